"""The committed study of regression, proposed again: its trials are looked up instead of trained."""

import json
from pathlib import Path

import hydra
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from induced_metric import records
from induced_metric.lanes import Lanes
from induced_metric.records import RecordStore, StudyKey
from induced_metric.space import Float
from induced_metric.studies.journal import JournalStorage
from induced_metric.studies.plan import StudyPlan
from induced_metric.studies.running import run_studies
from induced_metric.studies.storage import StudyFiles
from induced_metric.training.checkpoints import Checkpoints
from induced_metric.training.trial import Goal

pytestmark = pytest.mark.slow

PUBLISHED = Path(__file__).parents[2] / "results" / "published"
TRIALS = 120  # a dozen of SGD's diverged by then, at different epochs
WORST = float(np.finfo(np.float32).max)


def published(optimizer):
    trials, curves = records.load("regression", optimizers=[optimizer], results=PUBLISHED)
    return trials[trials["trial"] < TRIALS], curves[curves["trial"] < TRIALS]


def lanes_of(trials, curves, **options):
    """Lanes whose 'training' reads a trial's recorded curve, found by the trial's seed."""
    epochs = int(trials["epochs"].max())
    losses = np.full((len(trials), epochs), np.nan, np.float32)
    losses[curves["trial"], curves["epoch"]] = curves["test/loss"]
    seeds = trials["seed"].to_numpy(np.uint32)

    def init(hyperparameters, seed, seeds, losses):
        return jnp.argmax(seeds == seed), jnp.int32(0)

    def advance(state, hyperparameters, seeds, losses):
        trial, epoch = state
        return (trial, epoch + 1), {"test/loss": losses[trial, epoch]}

    return Lanes(init, advance, hyperparameters=[], shared=(seeds, losses), **options)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize(
    "options", [{}, {"width": 7, "queue": 1, "steps_per_dispatch": 9}], ids=["own", "odd"]
)
def test_the_published_study_is_proposed_again_bit_for_bit(tmp_path, optimizer, options):
    trials, curves = published(optimizer)
    config = json.loads(trials["config"].iloc[0])
    space = {
        name: Float(**given) for name, given in config["search_space"].items() if name in config["optimizer"]
    }
    assert len(space) in (2, 3)
    plan = StudyPlan(
        key=StudyKey("paper", "regression", "tpe", optimizer),
        # In the order of the optimizer's own hyperparameters, which is that of the sampler's draws.
        search_space={name: space[name] for name in ORDER[optimizer]},
        fixed={},
        goal=Goal("test/loss", "minimize", WORST, 200),
        trials=TRIALS,
        seed=0,
        create_sampler=hydra.utils.instantiate(config["sampler"]["create"]),
        in_flight=8,
    )
    files = StudyFiles(
        storage=JournalStorage(tmp_path / "journal"),
        records=RecordStore(tmp_path / "records"),
        checkpoints=Checkpoints(tmp_path / "checkpoints"),
    )
    with lanes_of(trials, curves, devices=jax.devices(), **options) as lanes:
        run_studies([(plan, files, lambda _: None)], lanes)
    again = files.records.trials()
    for name in ("trial", "seed", "epochs", "value", *space):
        assert again[name].tolist() == trials[name].tolist(), name


ORDER = {"adam": ["learning_rate", "beta1", "beta2"], "sgd": ["learning_rate", "momentum"]}
