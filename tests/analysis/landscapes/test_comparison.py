"""The best runs of the published grid and the counts of converged ones."""

import pandas as pd
import pytest

from induced_metric.analysis.landscapes import comparison


def runs(**columns):
    frame = pd.DataFrame(columns)
    return frame.assign(
        function="f",
        optimizer="o",
        tolerance="t",
        configuration=range(len(frame)),
        duplicate=False,
        diverged=False,
    )


@pytest.mark.parametrize(
    ("converged", "iterations", "final_value", "winner"),
    [
        ([False, True, True], [9, 8, 3], [1e-9, 0.1, 0.2], 2),  # converged first, then fewest iterations
        ([True, True, True], [5, 3, 3], [0.0, 0.2, 0.1], 1),  # ties to the first in grid order
        ([False, False, False], [1000, 7, 1000], [2.0, float("nan"), 1.0], 2),  # else the lowest value
        ([False, False], [3, 4], [float("nan"), float("inf")], 1),  # NaN is the worst
    ],
)
def test_selection_rule(converged, iterations, final_value, winner):
    chosen = comparison.best(runs(converged=converged, iterations=iterations, final_value=final_value))
    assert chosen["configuration"].tolist() == [winner]


def test_counts_leave_duplicates_out():
    frame = runs(converged=[True, True, False], iterations=[1, 1, 2], final_value=[0.0, 0.0, 1.0])
    frame.loc[1, "duplicate"] = True
    row = comparison.counts(frame).iloc[0]
    assert (row["converged"], row["configurations"]) == (2, 3)
    assert (row["distinct_converged"], row["distinct_configurations"]) == (1, 2)


def test_the_published_tables_follow_from_the_published_records(published):
    runs, nudged = published["grid"], published["nudged"]
    for name, table in {
        "best": comparison.best_table(runs),
        "counts": comparison.counts(runs),
        "comparison": comparison.compare(runs, nudged),
        "counts_comparison": comparison.compare_counts(runs, nudged),
    }.items():
        pd.testing.assert_frame_equal(table, published[name], check_dtype=False)
