"""A study whose trials take no time, for tests of what is recorded of it, whoever was killed meanwhile."""

import contextlib
import functools
import itertools
import math
import time

import jax
import jax.numpy as jnp
import optuna

from induced_metric.lanes import Lanes
from induced_metric.records import RecordStore, StudyKey
from induced_metric.space import Float
from induced_metric.studies.journal import JournalStorage
from induced_metric.studies.plan import StudyPlan
from induced_metric.studies.postgres import PostgresStorage
from induced_metric.studies.running import run_studies
from induced_metric.studies.server import Server
from induced_metric.studies.storage import StudyFiles
from induced_metric.training.checkpoints import Checkpoints
from induced_metric.training.trial import Goal

EPOCHS = 45  # three looks at a trial that no pruner judges
TPE = functools.partial(optuna.samplers.TPESampler, multivariate=True)
HALVING = optuna.pruners.SuccessiveHalvingPruner(min_resource=5, reduction_factor=3)
SEARCHES = {
    "random": {},
    "tpe": {"create_sampler": TPE, "in_flight": 8},
    "halving": {"create_sampler": TPE, "in_flight": 8, "pruner": HALVING, "rungs": (5, 15, 30)},
}
OF_A_RUN = ["seconds", "finished", "provenance"]  # columns that another run has others of
SOON = 20.0  # seconds after which what should have ended has not


def toy_lanes():
    """A 'training' whose loss falls towards (x - 2)^2, and blows up for x > 9, at the first rung."""

    def advance(state, h):
        loss = (h["x"] - 2) ** 2 + h["offset"] + 1 / (1 + state)
        return state + 1, {"test/loss": jnp.where((h["x"] > 9) & (state > 1), jnp.nan, loss)}

    return Lanes(
        lambda h, seed: jnp.float32(0.0), advance, hyperparameters=["x", "offset"],
        devices=jax.devices()[:1], steps_per_dispatch=3,
    )  # fmt: skip


def plan(search="random", **changes):
    settings = {
        "key": StudyKey("paper", "toy", search, "sgd"),
        "search_space": {"x": Float(0.0, 10.0), "offset": Float(0.1, 1.0, log=True)},
        "fixed": {},
        "goal": Goal("test/loss", "minimize", 1e30, EPOCHS),
        "trials": 12,
        "seed": 3,
        "create_sampler": optuna.samplers.RandomSampler,
        "config": {"task": {"epochs": EPOCHS}, "seed": 3},
        "provenance": {"commit": "a" * 40, "dirty": False},
    }
    return StudyPlan(**{**settings, **SEARCHES[search], **changes})


def files(directory, server=None, *, every=0, **settings):
    """Where a study lies that workers share by a server; without one, this process has it alone."""
    journal = directory / "toy.journal"
    storage = (
        PostgresStorage(
            server=server, lock=journal.with_suffix(".lock"), **{"claims": 5, "same_code": True, **settings}
        )
        if server
        else JournalStorage(journal)
    )
    return StudyFiles(
        storage=storage,
        records=RecordStore(directory / "records"),
        checkpoints=Checkpoints(directory / "checkpoints", every=every),
    )


def run(plan, files, lanes, *, stop=None, on_progress=lambda _: None):
    """Runs a study until its end, or ``stop``, or for ``SOON``; returns its records."""
    end = time.monotonic() + SOON
    run_studies([(plan, files, on_progress)], lanes, stop=stop or (lambda: time.monotonic() > end))
    return files.records.read()


def stopping_after(dispatches):
    """``stop`` for ``run``, which also asks it once before the first dispatch."""
    calls = itertools.count()
    return lambda: next(calls) > dispatches


@contextlib.contextmanager
def serving(url, *, just_come=False, **settings):
    server = Server(url, **{"grace": 60, "patience": 300, **settings})
    if not just_come:  # as if it had worked for longer than the grace
        server._answering = -math.inf
    try:
        yield server
    finally:
        server.close()


def assert_same(found, expected):
    """Two runs recorded the same, bit for bit: every column of every trial and of every epoch."""
    assert list(found.trials["trial"]) == list(range(len(expected.trials)))
    for ours, theirs in zip(found, expected, strict=True):
        ours, theirs = (frame.drop(columns=OF_A_RUN, errors="ignore") for frame in (ours, theirs))
        assert set(ours) == set(theirs)
        assert ours[list(theirs)].equals(theirs)
