"""Rules that stop trials on curves: those of the studies' pruners, in the order of a study."""

from pathlib import Path

import numpy as np
import optuna
import pytest

from induced_metric import records
from induced_metric.analysis.replays.pruning import (
    History,
    Pruner,
    median,
    stopped,
    successive_halving,
    wandb_hyperband,
)
from induced_metric.analysis.runs import objective
from induced_metric.errors import UserError

PUBLISHED = Path(__file__).parents[3] / "results" / "published"
EPOCHS, RUNGS = 70, (20, 40, 60)


def curves(trials, seed):
    """Falling curves with noise, some of which never end or are not finite at some epoch."""
    rng = np.random.default_rng(seed)
    level, rate = rng.gamma(2, 1, (trials, 1)), rng.uniform(0.1, 1, (trials, 1))
    costs = level * (1 + np.arange(EPOCHS)) ** -rate + 0.05 * rng.standard_normal((trials, EPOCHS))
    return costs


def judged(costs, pruner):
    """Whom one of Optuna's pruners stops, and when, where trials are trained one after the other."""
    study = optuna.create_study(pruner=pruner)
    epochs, best = [], np.minimum.accumulate(costs, axis=1)
    for curve in best:
        trial = study.ask()
        for rung in RUNGS:
            trial.report(curve[rung - 1], rung)
            if trial.should_prune():
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                epochs.append(rung)
                break
        else:
            study.tell(trial, curve[-1])
            epochs.append(EPOCHS)
    return epochs


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("rule", "pruner"),
    [
        (median(n_startup_trials=5), optuna.pruners.MedianPruner(n_startup_trials=5)),
        (
            successive_halving(min_resource=20, reduction_factor=3),
            optuna.pruners.SuccessiveHalvingPruner(min_resource=20, reduction_factor=3),
        ),
    ],
    ids=["median", "successive_halving"],
)
def test_a_rule_stops_whom_optunas_pruner_stops(rule, pruner, seed):
    costs = curves(60, seed)
    rules = Pruner(name="rule", rule=rule, rungs=RUNGS, in_flight=1)
    ends = stopped(costs, np.full(60, EPOCHS), np.zeros(60, bool), rules)
    expected = judged(costs, pruner)
    assert ends.epochs.tolist() == expected
    assert (ends.stopped == (np.array(expected) < EPOCHS)).all()
    assert 5 < ends.stopped.sum() < 60
    assert not ends.unknown.any()


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_the_published_rule_stops_whom_the_recorded_study_stopped(optimizer):
    trials, every = records.load(
        "regression", sampler="wandb_bayes+wandb_hyperband", optimizers=[optimizer], results=PUBLISHED
    )
    metric, _ = objective({"": records.Records(trials, every)})
    wide = every.pivot_table(index="trial", columns="epoch", values=metric, dropna=False)
    costs = wide.reindex(trials["trial"]).to_numpy(float)
    pruned = (trials["state"] == "pruned").to_numpy()
    ran = trials["epochs"].to_numpy()
    rule = wandb_hyperband(min_iter=20, eta=3)
    pruner = Pruner(name="published", rule=rule, rungs=range(20, 200, 20), in_flight=8)
    ends = stopped(costs, ran, pruned, pruner)
    assert pruned.sum() > 400
    assert (ends.stopped == pruned).all()
    assert (ends.epochs == ran).all()
    assert not ends.unknown.any()
    # Another number of trials in flight compares with others.
    alone = stopped(costs, ran, pruned, Pruner(name="", rule=rule, rungs=range(20, 200, 20), in_flight=1))
    assert (alone.stopped != pruned).any()


def test_a_trial_that_is_known_no_further_is_said_to_be_unknown():
    costs = np.full((6, EPOCHS), 1.0)
    costs[5, 20:] = np.nan
    never = Pruner(name="never", rule=lambda *_: False, rungs=RUNGS, in_flight=2)
    ran = np.array([*[EPOCHS] * 5, 20])
    ends = stopped(costs, ran, ran == 20, never)
    assert ends.unknown.tolist() == [False] * 5 + [True]
    assert ends.epochs.tolist() == ran.tolist()


def test_no_rung_before_the_last_epoch_stops_nobody():
    pruner = Pruner(name="always", rule=lambda *_: True, rungs=RUNGS, in_flight=2)
    ends = stopped(np.ones((3, 20)), np.full(3, 20), np.zeros(3, bool), pruner)
    assert not ends.stopped.any()
    with pytest.raises(UserError, match="at least one epoch"):
        stopped(np.ones((3, 0)), np.zeros(3, int), np.zeros(3, bool), pruner)


def test_what_is_not_finite_is_stopped_by_every_rule():
    history = History({20: {0: 1.0, 1: 2.0, 2: 3.0, 3: 3.0, 4: 4.0, 5: np.inf}}, {0, 1, 2, 3, 4})
    for rule in (
        median(n_startup_trials=5),
        successive_halving(min_resource=20, reduction_factor=3),
        wandb_hyperband(min_iter=20, eta=3),
    ):
        assert rule(history, 5, 20)
        assert not rule(history, 0, 20)
