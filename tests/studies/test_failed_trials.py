"""Trials whose program fails: recorded as failed with the reason, and the study goes on without them."""

import json

import jax
import jax.numpy as jnp
import optuna
import pandas as pd
import pytest
import toys

from induced_metric import tracking
from induced_metric.space import Float, Int

SPACE = {"x": Float(0.0, 9.0), "width": Int(1, 4)}
SETTINGS = {"search_space": SPACE, "trials": 20}


def advance(state, h):
    if h["width"] == 2:
        raise ValueError("width must not be 2")
    state, metrics = toys.advance(state, h)
    if h["width"] == 3:
        metrics["test/loss"] += jnp.sort(jnp.arange(1 << 46, dtype=jnp.float32) * h["x"])[0]
    return state, metrics


@pytest.fixture(scope="module")
def lanes():
    with toys.lanes(advance, static=["width"], devices=jax.devices()[:1]) as lanes:
        yield lanes


def told(directory):
    backend = optuna.storages.journal.JournalFileBackend(str(directory / "toy.journal"))
    return optuna.load_study(
        study_name="paper-toy-tpe-sgd", storage=optuna.storages.JournalStorage(backend)
    ).trials


def run(where, lanes, **changes):
    with pytest.warns(UserWarning, match="; the study goes on without it") as warned:
        events = toys.run(where, lanes, **SETTINGS, **changes)
    assert len(warned) == 1  # others may fail alike
    return events


@pytest.mark.parametrize("create_sampler", [optuna.samplers.RandomSampler, optuna.samplers.TPESampler])
def test_a_trial_whose_program_fails_is_recorded_and_the_study_goes_on(tmp_path, lanes, create_sampler):
    where = toys.files(tmp_path)
    events = run(where, lanes, create_sampler=create_sampler)
    trials, curves = where.records.read()
    assert list(trials["trial"]) == list(range(20))
    failed = trials[trials["width"].isin([2, 3])]
    assert 0 < len(failed) < 20
    assert (trials["state"] == "failed").equals(trials["width"].isin([2, 3]))
    assert (failed["value"] == 1e30).all()
    assert (failed["best_epoch"] == -1).all()
    assert (failed["epochs"] == 0).all()
    assert not failed["diverged"].any()
    reasons = {row["width"]: json.loads(row["provenance"])["failed"] for row in failed.to_dict("records")}
    assert set(reasons) == {2, 3}
    assert reasons[2] == "ValueError: width must not be 2"
    assert "RESOURCE_EXHAUSTED" in reasons[3]
    complete = trials[trials["state"] == "complete"]
    assert curves.groupby("trial").size().to_dict() == dict.fromkeys(complete["trial"], toys.EPOCHS)
    assert not any("failed" in json.loads(facts) for facts in complete["provenance"])
    assert events[-1].failed == len(failed)
    assert events[-1].finished == 20
    assert events[-1].best == complete["value"].min()
    states = [trial.state for trial in told(tmp_path)]
    assert [state is optuna.trial.TrialState.FAIL for state in states] == list(trials["state"] == "failed")


def test_a_study_with_failed_trials_goes_on_as_the_undisturbed_one(tmp_path, lanes):
    whole, parts = toys.files(tmp_path / "whole"), toys.files(tmp_path / "parts")
    run(whole, lanes)
    for dispatches in (4, 9, 1000):
        stops = iter([False] * dispatches)
        with pytest.warns(UserWarning, match="failed"):
            toys.run(parts, lanes, stop=lambda stops=stops: next(stops, True), **SETTINGS)
    for found, expected in zip(toys.outcome(parts), toys.outcome(whole), strict=True):
        pd.testing.assert_frame_equal(found, expected, check_exact=True)


@pytest.mark.slow
def test_a_trial_that_fails_in_its_midst_keeps_its_curve_and_has_the_worst_value(tmp_path):
    def late(step):
        if step >= 7:
            raise RuntimeError("late")
        return step

    def explode(state, h):
        if h["width"] == 2:
            scalar = jax.ShapeDtypeStruct((), jnp.float32)
            state = jax.pure_callback(late, scalar, state)
        return toys.advance(state, h)

    settings = {
        **SETTINGS, "pruner": optuna.pruners.MedianPruner(n_startup_trials=30), "rungs": [3, 6, 9],
        "create_sampler": optuna.samplers.RandomSampler,
    }  # fmt: skip
    where = toys.files(tmp_path)
    with toys.lanes(explode, static=["width"]) as lanes:
        with pytest.warns(UserWarning, match="failed"):
            toys.run(where, lanes, **settings)
        trials, curves = where.records.read()
        with pytest.warns(UserWarning, match="failed"):
            toys.run(where, lanes, **{**settings, "trials": 30})  # those recorded are judged again
    failed = trials[trials["state"] == "failed"]
    assert set(failed["width"]) == {2}
    assert (failed["epochs"] == 6).all()
    assert (failed["value"] == 1e30).all()
    assert (curves[curves["trial"].isin(failed["trial"])].groupby("trial").size() == 6).all()


@pytest.mark.slow
def test_a_failed_trial_is_mirrored_like_any_other(tmp_path, lanes):
    where = toys.files(tmp_path)
    key = toys.plan().key._replace(task="regression")
    run(where, lanes, key=key)
    (tmp_path / "records").rename(tmp_path / "kept")
    directory = key.directory(tmp_path)
    directory.parent.mkdir(parents=True)
    (tmp_path / "kept").rename(directory)
    assert tracking.export("regression", results=tmp_path) == 20
