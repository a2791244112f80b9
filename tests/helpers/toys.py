"""A study of a 'training' that takes microseconds, wherever its files are to be."""

import jax.numpy as jnp
import optuna

from induced_metric.lanes import Lanes
from induced_metric.records import RecordStore, StudyKey
from induced_metric.space import Float
from induced_metric.studies.journal import JournalStorage
from induced_metric.studies.plan import StudyPlan
from induced_metric.studies.running import run_studies
from induced_metric.studies.storage import StudyFiles
from induced_metric.training.checkpoints import Checkpoints
from induced_metric.training.trial import Goal

EPOCHS = 12
COLUMNS = ["trial", "x", "seed", "value", "state", "epochs", "diverged"]


def advance(state, h):
    """The loss falls towards (x - 2)², and blows up for x > 9."""
    loss = (h["x"] - 2) ** 2 + 1 / (1 + state)
    return state + 1, {"test/loss": jnp.where((h["x"] > 9) & (state > 1), jnp.nan, loss)}


def lanes(step=advance, **options):
    return Lanes(
        lambda h, seed: jnp.float32(0.0), step, hyperparameters=["x"], steps_per_dispatch=3, **options
    )


def plan(**changes):
    settings = {
        "key": StudyKey("paper", "toy", "tpe", "sgd"),
        "search_space": {"x": Float(0.0, 10.0)},
        "fixed": {},
        "goal": Goal("test/loss", "minimize", 1e30, EPOCHS),
        "trials": 16,
        "seed": 3,
        "create_sampler": optuna.samplers.TPESampler,
        "in_flight": 4,
        "config": {"task": {"epochs": EPOCHS}, "seed": 3},
    }
    return StudyPlan(**{**settings, **changes})


def files(directory, *, records=None, journal=None, checkpoints=None, every=0, **storage):
    """A study's files in a directory, some of them in other ones."""
    return StudyFiles(
        storage=JournalStorage((journal or directory) / "toy.journal", **storage),
        records=RecordStore((records or directory) / "records"),
        checkpoints=Checkpoints((checkpoints or directory) / "checkpoints", every=every),
    )


def run(where, engine, *, on_progress=lambda _: None, stop=lambda: False, **changes):
    """Runs a study to its end; returns the progress that it reported."""
    events = []
    run_studies(
        [(plan(**changes), where, lambda event: events.append(event) or on_progress(event))],
        engine,
        stop=stop,
    )
    return events


def outcome(where):
    """What the records say that does not depend on the clock."""
    trials, curves = where.records.read()
    return trials[COLUMNS], curves.drop(columns="seconds")
