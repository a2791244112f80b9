"""The winner of a study: the best sound trial of those that the search was to have."""

import json

import pytest
import synthetic

from induced_metric.errors import UserError
from induced_metric.records import RecordStore, StudyKey
from induced_metric.studies import winners
from induced_metric.studies.plan import trial_seed

KEY = StudyKey("fair", "regression", "tpe", "sgd")
CONFIG = {
    "task": {"name": "regression", "eval_splits": ["validation"]},
    "sampler": {"name": "tpe"},
    "seed": 0,
}


def study(directory, values, *, direction="minimize", diverged=(), states=None):
    store = RecordStore(directory)
    for number, value in enumerate(values):
        row, curve = synthetic.trial(number, optimizer="sgd", epochs=2)
        changes = {
            "value": value,
            "direction": direction,
            "diverged": number in diverged,
            "state": (states or {}).get(number, "complete"),
            "config": json.dumps(CONFIG),
            "learning_rate": number + 0.5,
        }
        store.append([row | changes], [curve])
    return store


def winner(store, trials, config=CONFIG):
    return winners.winner(
        store, KEY, trials=trials, hyperparameters=["learning_rate"], space={}, config=config
    )


def test_the_winner_is_the_best_sound_trial_the_first_of_equals(tmp_path):
    values = [0.5, 0.1, 0.3, 0.2, 0.2, 0.01]
    store = study(tmp_path, values, diverged=[1], states={2: "pruned"})
    found = winner(store, 5)
    assert (found.trial, found.value, found.hyperparameters) == (3, 0.2, {"learning_rate": 3.5})
    assert found.facts() == {"sampler": "tpe", "trial": 3, "value": 0.2}
    assert winner(store, 6).trial == 5


def test_the_winner_is_the_greatest_where_that_is_better(tmp_path):
    assert winner(study(tmp_path, [0.5, 0.9, 0.3], direction="maximize"), 3).trial == 1


def test_what_only_the_search_has_is_no_difference(tmp_path):
    store = study(tmp_path, [0.5])
    task = {"name": "regression", "eval_splits": ["validation", "test"]}
    assert winner(store, 1, {"task": task, "sampler": {"name": "confirmed"}, "seed": 7}).trial == 0
    with pytest.raises(UserError, match=r"task.name: regression -> mnist"):
        winner(store, 1, {**CONFIG, "task": {"name": "mnist"}})


def test_no_winner_of_an_unfinished_search_or_of_diverged_trials(tmp_path):
    with pytest.raises(UserError, match="fair-regression-tpe-sgd has 0 of its 2 trials"):
        winner(RecordStore(tmp_path), 2)
    store = study(tmp_path, [0.5, 0.1], diverged=[0, 1])
    with pytest.raises(UserError, match="fair-regression-tpe-sgd has 2 of its 3 trials"):
        winner(store, 3)
    with pytest.raises(UserError, match="all 2 trials of fair-regression-tpe-sgd diverged"):
        winner(store, 2)


def test_a_seed_of_the_search_is_not_fresh(tmp_path):
    found = winner(study(tmp_path, [0.5]), 1)._replace(seeds=frozenset([trial_seed(9, 2)]))
    found.check_fresh(9, 2)
    found.check_fresh(8, 3)
    with pytest.raises(UserError, match=r"sampler.seed=9 gives trial 2 a seed"):
        found.check_fresh(9, 3)
