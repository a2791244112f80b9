"""Statistics of the fair study: success, expected iterations, what tuning bought."""

import numpy as np
import pandas as pd
import pytest

from induced_metric.analysis.landscapes import success


def test_success_against_budget_ends_at_the_best_setting(published):
    settings = published["fair_settings"]
    settings = settings[(settings["function"] == "himmelblau") & (settings["offset"] == 0)]
    curve = success.against_budget(settings).set_index(["optimizer", "tolerance", "budget"])["success"]
    groups = settings.groupby(["optimizer", "tolerance"])
    assert len(groups) == 6 * 2
    for key, group in groups:
        ranked = group.sort_values(
            ["selection_converged", "selection_iterations", "setting"], ascending=[False, True, True]
        )
        rates = ranked["curve_converged"] / ranked["curve_starts"]
        assert curve[(*key, len(group))] == pytest.approx(rates.iloc[0])
        assert curve[(*key, 1)] == pytest.approx(rates.mean())


def frame(converged, iterations, offset=0.0):
    return pd.DataFrame(
        {
            "function": "f",
            "optimizer": "o",
            "offset": offset,
            "tolerance": "t",
            "arm": "tuned",
            "start": range(len(converged)),
            "converged": converged,
            "iterations": iterations,
        }
    )


def test_expected_iterations_count_the_failures():
    row = success.summary(frame([True] * 50 + [False] * 50, [10] * 50 + [1000] * 50)).iloc[0]
    assert row["expected"] == 1010
    assert row["expected_low"] < 1010 < row["expected_high"]
    assert row["success_low"] < row["success"] == 0.5 < row["success_high"]
    assert row["iterations"] == 10


def test_where_nothing_converged_only_a_lower_bound_is_left():
    row = success.summary(frame([False] * 100, [1000] * 100)).iloc[0]
    assert row["success"] == 0 < row["success_high"]
    assert 1000 < row["expected_low"] < row["expected"] == float("inf")
    assert np.isnan(row["iterations"])


def test_the_control_has_a_name_of_its_own():
    assert success.summary(frame([True], [1], offset=1.0))["optimizer"].tolist() == ["o, f + 1"]


def test_standing_compares_intervals_and_leaves_controls_apart():
    intervals = {"adam": (0.1, 0.2), "log": (0.5, 0.6), "log, f + 1": (0.0, 0.05), "sgd": (0.15, 0.3)}
    table = pd.DataFrame(
        [
            {"function": "f", "optimizer": name, "success_low": low, "success_high": high}
            for name, (low, high) in intervals.items()
        ]
    )
    found = success.standing(table).set_index("optimizer")
    assert found["alone"].to_dict() == {"adam": False, "log": True, "log, f + 1": False, "sgd": False}
    assert found["beaten"].to_dict() == {"adam": True, "log": False, "log, f + 1": True, "sgd": True}
