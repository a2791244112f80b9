"""The published grid: a row a run, its paths, and the numbers that are stable across versions."""

import jax
import numpy as np
import pandas as pd
import pytest

from induced_metric.analysis.landscapes import comparison
from induced_metric.landscapes import LANDSCAPES, GridSettings, run_grid
from induced_metric.records.published import PAPER

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def grid(candidates):
    jax.config.update("jax_enable_x64", True)
    published = {name: landscape for name, landscape in LANDSCAPES.items() if landscape.published}
    return run_grid(
        published,
        list(candidates.values()),
        GridSettings(iterations=1000, tolerances={"paper_text": 1e-10}, nudges=(1,), tile=64),
        select=comparison.best,
        devices=jax.devices(),
    )


def test_every_run_has_a_row_for_each_tolerance(grid):
    assert len(grid.runs) == 2 * 17_640
    assert not grid.runs.isna()[["converged", "iterations"]].any(axis=None)


def test_stable_published_best_runs_are_reproduced(grid):
    published = pd.read_csv(PAPER / "landscapes.csv")
    both = published.merge(
        comparison.best(grid.runs[grid.runs["tolerance"] == "notebook"]),
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
    counts = comparison.compare_counts(grid.runs, grid.nudged)
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
    both = ends.merge(comparison.best(grid.runs), on=["function", "optimizer", "tolerance", "configuration"])
    assert len(both) == 60
    assert both["iteration"].tolist() == both["iterations"].tolist()
    np.testing.assert_allclose(both["value"], both["final_value"], rtol=1e-9, atol=1e-14)
