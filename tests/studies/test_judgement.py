"""What a pruner said of each trial, and its threshold, are in the trial's record."""

import json
from types import SimpleNamespace

import numpy as np
import optuna
import pytest
import toys
from optuna.pruners import HyperbandPruner, MedianPruner, SuccessiveHalvingPruner

from induced_metric.studies.judgement import judge
from induced_metric.studies.study import Study
from induced_metric.studies.wandb_hyperband import WandbHyperbandPruner
from induced_metric.training.trial import Goal

HALVING = SuccessiveHalvingPruner(min_resource=3, reduction_factor=3)
PRUNERS = {
    "halving": (HALVING, [3, 9]),
    "hyperband": (HyperbandPruner(min_resource=3, max_resource=toys.EPOCHS, reduction_factor=3), [3, 9]),
    "published": (WandbHyperbandPruner(min_iter=3, eta=3), [3, 6, 9]),
}


@pytest.fixture(scope="module")
def lanes():
    with toys.lanes() as lanes:
        yield lanes


@pytest.mark.slow
@pytest.mark.parametrize("direction", ["minimize", "maximize"])
@pytest.mark.parametrize("name", PRUNERS)
def test_records_say_when_a_trial_was_judged_by_what_and_why_it_was_stopped(tmp_path, lanes, name, direction):
    pruner, rungs = PRUNERS[name]
    where = toys.files(tmp_path)
    goal = Goal("test/loss", direction, 1e30 if direction == "minimize" else -1e30, toys.EPOCHS)
    settings = {"pruner": pruner, "rungs": rungs, "goal": goal, "trials": 30}
    stops = iter([False] * 9)
    toys.run(where, lanes, stop=lambda: next(stops, True), **settings)
    toys.run(where, lanes, **settings)
    trials, curves = where.records.read()
    best, sign = (np.fmin.accumulate, 1) if direction == "minimize" else (np.fmax.accumulate, -1)
    compared = 0
    for row in trials.to_dict("records"):
        judged = json.loads(row["provenance"]).get("judged", [])
        last = row["epochs"] - (row["state"] != "pruned")  # one that ends at a rung by itself is not judged
        assert [one["epochs"] for one in judged] == [rung for rung in rungs if rung <= last]
        assert [one["stopped"] for one in judged[:-1]] == [False] * (len(judged) - 1)
        assert any(one["stopped"] for one in judged) == (row["state"] == "pruned")
        objective = best(curves.loc[curves["trial"] == row["trial"], "test/loss"].to_numpy())
        for one in judged:
            assert one["value"] is None or one["value"] == objective[one["epochs"] - 1]
            if None not in one.values():
                compared += 1
                assert one["stopped"] == (sign * one["value"] > sign * one["threshold"])
    assert compared > 20


@pytest.mark.parametrize(("direction", "sign"), [("minimize", 1), ("maximize", -1)])
@pytest.mark.parametrize(
    ("pruner", "expected"),
    [
        (HALVING, [5, 4, 4, 4, 4, 4, 4, 4, 4.5]),  # the best third, and the best one at least
        (WandbHyperbandPruner(min_iter=3, eta=3), [5, 4, 5, 5, 5, 5, 5, 5, 5]),  # the next one beyond it
        (MedianPruner(n_startup_trials=0), [None] * 9),  # its rule is not known
    ],
    ids=["halving", "published", "another"],
)
def test_the_threshold_is_the_worst_value_that_goes_on(pruner, expected, direction, sign):
    study = optuna.create_study(direction=direction, pruner=pruner)
    found = []
    for value in (5, 4, 6, 7, 8, 2, 9, 10, 4.5):
        trial = study.ask()
        found.append(judge(study, trial._trial_id, 3, float(sign * value)))
    assert [one.threshold for one in found] == [None if bound is None else sign * bound for bound in expected]
    if expected[0] is not None:
        assert [one.stopped for one in found] == [sign * one.value > sign * one.threshold for one in found]


def test_what_is_not_finite_is_null():
    study = optuna.create_study(pruner=HALVING)
    judged = judge(study, study.ask()._trial_id, 3, float("nan"))
    assert judged.facts() == {"epochs": 3, "value": None, "threshold": None, "stopped": True}


@pytest.mark.parametrize(("ended", "said"), [(False, [3, 5]), (True, [3])])
def test_at_a_rung_where_a_trial_diverged_other_workers_wait_for_its_record(ended, said):
    """They would judge it there, and the worker that has it does not."""
    reports = []
    storage = SimpleNamespace(report=lambda number, epochs, value: reports.append(epochs))
    study = SimpleNamespace(plan=SimpleNamespace(rungs=(3, 5, 15)), _storage=storage)
    trial = SimpleNamespace(number=0, done=5, ended=ended, best_until=float)
    Study._say(study, SimpleNamespace(trial=trial), since=0)
    assert reports == said
