"""The fair study: what is drawn, how settings are chosen, and its statistics."""

import itertools

import jax
import numpy as np
import pandas as pd
import pytest

from induced_metric.analysis.landscapes import success as analysis
from induced_metric.landscapes import LANDSCAPES
from induced_metric.landscapes.fair import Plan, choose, random_starts, run_fair

PLAN = Plan(
    settings=4, selection_starts=6, curve_starts=5, report_starts=7, iterations=200, seed=3, tile=8, tiles=2
)


@pytest.fixture(scope="module")
def study(contenders):
    jax.config.update("jax_enable_x64", True)
    chosen = [contenders["sgd"], contenders["sgd_log_metric"]]
    return run_fair(
        {name: LANDSCAPES[name] for name in ("himmelblau", "matyas")},
        chosen,
        tolerances={"paper_text": 1e-10},
        plan=PLAN,
        offsets={"sgd": (0.0,), "sgd_log_metric": (0.0, 1.0)},
        devices=jax.devices(),
    )


def test_starts_are_in_the_domain_and_differ_by_purpose():
    landscape = LANDSCAPES["goldstein_price"]
    starts = {
        purpose: random_starts("goldstein_price", landscape, purpose, 50, 0)
        for purpose in ("selection", "curve", "report")
    }
    low, high = np.array(landscape.domain).T
    for first, second in itertools.combinations(starts.values(), 2):
        assert not set(map(tuple, first)) & set(map(tuple, second))
    assert all(((low <= s) & (s <= high)).all() for s in starts.values())


@pytest.mark.parametrize(
    ("converged", "iterations", "winner"),
    [([3, 5, 4], [1, 9, 1], 1), ([5, 5, 4], [9, 8, 1], 1), ([5, 5], [7, 7], 0)],
)
def test_settings_are_chosen_by_success_then_speed_then_order(converged, iterations, winner):
    assert choose(np.array(converged), np.array(iterations)) == winner


def test_every_optimizer_gets_the_same_budget(study):
    sizes = study.settings.groupby(["function", "optimizer", "offset", "tolerance"]).size()
    assert len(sizes) == 2 * 3 * 2
    assert set(sizes) == {PLAN.settings}
    assert set(study.settings["selection_starts"]) == {PLAN.selection_starts}
    assert set(study.settings["curve_starts"]) == {PLAN.curve_starts}
    reported = study.runs.groupby(["function", "optimizer", "offset", "tolerance", "arm"]).size()
    assert len(reported) == 2 * 3 * 2 * 3
    assert set(reported) == {PLAN.report_starts}


def test_the_tuned_setting_is_the_best_of_those_drawn(study):
    for key, group in study.settings.groupby(["function", "optimizer", "offset", "tolerance"]):
        best = group.sort_values(
            ["selection_converged", "selection_iterations", "setting"], ascending=[False, True, True]
        ).iloc[0]
        chosen = study.chosen.set_index(["function", "optimizer", "offset", "tolerance", "arm"])
        assert chosen.loc[(*key, "tuned"), "learning_rate"] == best["learning_rate"]


def test_one_shared_setting_serves_all_functions(study):
    shared = study.chosen[study.chosen["arm"] == "shared"]
    settings = shared[["optimizer", "offset", "tolerance", "learning_rate"]].drop_duplicates()
    assert len(settings) == 3 * 2


def test_momentum_convention_is_one_for_all(contenders):
    draws = contenders["sgd"].draws(8, 0)
    low, high = contenders["sgd"].search["learning_rate"][:2]
    averaged = draws["learning_rate"] / (1 - draws["momentum"])
    assert np.all((low <= averaged) & (averaged <= high))


@pytest.mark.parametrize("budget", [1, 2, 3, 5])
def test_rank_probabilities_are_those_of_all_subsets(budget):
    counted = np.bincount([min(s) for s in itertools.combinations(range(5), budget)], minlength=5)
    np.testing.assert_allclose(analysis.best_of(5, budget), counted / counted.sum())


def test_success_against_budget_ends_at_the_best_setting(study):
    curve = analysis.against_budget(study.settings)
    for key, group in study.settings[study.settings["offset"] == 0].groupby(
        ["function", "optimizer", "tolerance"]
    ):
        ranked = group.sort_values(
            ["selection_converged", "selection_iterations", "setting"], ascending=[False, True, True]
        )
        own = curve.set_index(["function", "optimizer", "tolerance", "budget"])["success"]
        best = ranked["curve_converged"].iloc[0] / PLAN.curve_starts
        assert own[(*key, PLAN.settings)] == pytest.approx(best)
        assert own[(*key, 1)] == pytest.approx(group["curve_converged"].mean() / PLAN.curve_starts)


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
    row = analysis.summary(frame([True] * 50 + [False] * 50, [10] * 50 + [1000] * 50)).iloc[0]
    assert row["expected"] == 1010
    assert row["expected_low"] < 1010 < row["expected_high"]
    assert row["success_low"] < row["success"] == 0.5 < row["success_high"]
    assert row["iterations"] == 10


def test_where_nothing_converged_only_a_lower_bound_is_left():
    row = analysis.summary(frame([False] * 100, [1000] * 100)).iloc[0]
    assert row["success"] == 0 < row["success_high"]
    assert 1000 < row["expected_low"] < row["expected"] == float("inf")
    assert np.isnan(row["iterations"])


def test_the_control_has_a_name_of_its_own():
    assert analysis.summary(frame([True], [1], offset=1.0))["optimizer"].tolist() == ["o, f + 1"]


def test_standing_compares_intervals_and_leaves_controls_apart():
    intervals = {"adam": (0.1, 0.2), "log": (0.5, 0.6), "log, f + 1": (0.0, 0.05), "sgd": (0.15, 0.3)}
    table = pd.DataFrame(
        [
            {"function": "f", "optimizer": name, "success_low": low, "success_high": high}
            for name, (low, high) in intervals.items()
        ]
    )
    found = analysis.standing(table).set_index("optimizer")
    assert found["alone"].to_dict() == {"adam": False, "log": True, "log, f + 1": False, "sgd": False}
    assert found["beaten"].to_dict() == {"adam": True, "log": False, "log, f + 1": True, "sgd": True}
