"""The published grid: its sizes, its selection rule, and the numbers that are stable across versions."""

from pathlib import Path

import jax
import numpy as np
import pandas as pd
import pytest

from induced_metric.analysis.landscapes import comparison as analysis
from induced_metric.landscapes import LANDSCAPES
from induced_metric.landscapes.candidates import duplicates
from induced_metric.landscapes.grid import run_grid
from induced_metric.records.published import PAPER

ROOT = Path(__file__).parents[2]

SIZES = {
    "adam": 360,
    "sgd": 72,
    "sgd_metric": 288,
    "sgd_log_metric": 288,
    "sgd_rms": 1440,
    "muon": 1080,
}


@pytest.fixture(scope="module")
def grid(contenders):
    jax.config.update("jax_enable_x64", True)
    published = {name: landscape for name, landscape in LANDSCAPES.items() if landscape.published}
    return run_grid(
        published,
        list(contenders.values()),
        tolerances={"paper_text": 1e-10},
        iterations=1000,
        nudges=[1],
        select=analysis.best,
        devices=jax.devices(),
    )


@pytest.mark.parametrize(("name", "size"), SIZES.items())
def test_sizes_of_the_grid(contenders, name, size):
    columns = contenders[name].configurations()
    assert {len(column) for column in columns.values()} == {size}


def test_duplicates_are_those_published(contenders):
    repeated = {name: int(duplicates(c.configurations()).sum()) for name, c in contenders.items()}
    # 1e-5 is one learning rate of nine; Muon has one β of three twice as well.
    assert repeated == {
        "adam": 40,
        "sgd": 8,
        "sgd_metric": 32,
        "sgd_log_metric": 32,
        "sgd_rms": 160,
        "muon": 1080 - 8 * 2 * 40,
    }


def test_every_run_has_a_row_for_each_tolerance(grid):
    assert len(grid.runs) == 2 * 17_640
    assert not grid.runs.isna()[["converged", "iterations"]].any(axis=None)


def test_stable_published_best_runs_are_reproduced(grid):
    published = pd.read_csv(PAPER / "landscapes.csv")
    both = published.merge(
        analysis.best(grid.runs[grid.runs["tolerance"] == "notebook"]),
        on=["function", "optimizer"],
        suffixes=("_published", ""),
    )
    assert len(both) == 30
    stable = both["function"].isin(["beale", "himmelblau"])
    for function, names in {
        "ackley": ["sgd_log_metric"],
        "rastrigin": ["sgd_log_metric", "sgd", "muon"],
        "rosenbrock": ["sgd_metric", "adam", "sgd", "sgd_rms"],
    }.items():
        stable |= (both["function"] == function) & both["optimizer"].isin(names)
    both = both[stable]
    assert len(both) == 20
    assert both["iterations"].tolist() == both["iterations_published"].tolist()
    np.testing.assert_allclose(both["final_value"], both["final_value_published"], rtol=5e-3, atol=1e-30)


def test_counts_agree_up_to_chaotic_runs(grid):
    counts = analysis.compare_counts(grid.runs, grid.nudged)
    counts = counts.set_index("name")
    assert counts.loc["all", "configurations"] == 17_640
    assert counts.loc["sgd", "ours"] == 20
    assert abs(counts["ours"] - counts["published"]).max() <= 30
    assert (counts["distinct"] <= counts["ours"]).all()


def test_the_stricter_tolerance_is_reached_later_or_not_at_all(grid):
    wide = grid.runs.pivot_table(
        index=["function", "optimizer", "configuration"],
        columns="tolerance",
        values=["converged", "iterations"],
    )
    converged = wide["converged"]
    assert (converged["paper_text"] <= converged["notebook"]).all()
    assert (wide["iterations"]["paper_text"] >= wide["iterations"]["notebook"]).all()


def test_paths_end_where_their_runs_did(grid):
    ends = grid.paths.groupby(["function", "optimizer", "tolerance"]).tail(1)
    both = ends.merge(analysis.best(grid.runs), on=["function", "optimizer", "tolerance", "configuration"])
    assert len(both) == 60
    assert both["iteration"].tolist() == both["iterations"].tolist()
    np.testing.assert_allclose(both["value"], both["final_value"], rtol=1e-9, atol=1e-14)


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
    chosen = analysis.best(runs(converged=converged, iterations=iterations, final_value=final_value))
    assert chosen["configuration"].tolist() == [winner]


def test_counts_leave_duplicates_out():
    frame = runs(converged=[True, True, False], iterations=[1, 1, 2], final_value=[0.0, 0.0, 1.0])
    frame.loc[1, "duplicate"] = True
    row = analysis.counts(frame).iloc[0]
    assert (row["converged"], row["configurations"]) == (2, 3)
    assert (row["distinct_converged"], row["distinct_configurations"]) == (1, 2)
