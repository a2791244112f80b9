"""The fair study: equal budgets, and how settings are chosen."""

import itertools

import jax
import numpy as np
import pytest

from induced_metric.landscapes import LANDSCAPES, FairSettings, run_fair
from induced_metric.landscapes.fair import choose, random_starts

SETTINGS = FairSettings(
    settings=4,
    selection_starts=6,
    curve_starts=5,
    report_starts=7,
    iterations=200,
    tolerances={"paper_text": 1e-10},
    seed=3,
    tile=8,
    tiles=2,
)


@pytest.fixture(scope="module")
def study(candidates):
    jax.config.update("jax_enable_x64", True)
    return run_fair(
        {name: LANDSCAPES[name] for name in ("himmelblau", "matyas")},
        [candidates["sgd"], candidates["sgd_log_metric"]],
        SETTINGS,
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


@pytest.mark.slow
def test_every_optimizer_gets_the_same_budget(study):
    sizes = study.settings.groupby(["function", "optimizer", "offset", "tolerance"]).size()
    assert len(sizes) == 2 * 3 * 2
    assert set(sizes) == {SETTINGS.settings}
    assert set(study.settings["selection_starts"]) == {SETTINGS.selection_starts}
    assert set(study.settings["curve_starts"]) == {SETTINGS.curve_starts}
    reported = study.runs.groupby(["function", "optimizer", "offset", "tolerance", "arm"]).size()
    assert len(reported) == 2 * 3 * 2 * 3
    assert set(reported) == {SETTINGS.report_starts}


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


def test_the_control_runs_on_functions_that_are_raised(study):
    offsets = study.runs.groupby("optimizer")["offset"].unique().map(sorted).to_dict()
    assert offsets == {"sgd": [0.0], "sgd_log_metric": [0.0, 1.0]}
