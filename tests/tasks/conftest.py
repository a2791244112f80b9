"""Synthetic data sets of the three tasks, prepared as TFDS would, small enough to train on in a second."""

import configured
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tfds_files

import induced_metric
from induced_metric.data.releases import RELEASES
from induced_metric.training.epoch import init_trial, train_epoch

WORDS = ["to ", "be ", "or ", "not ", "that ", "is ", "the ", "question\n"]


def text(words, seed):
    return "".join(np.random.default_rng(seed).choice(WORDS, words))


@pytest.fixture(scope="session")
def prepared(tmp_path_factory):
    """The data directory, the sizes of its data sets, and its texts."""
    root = tmp_path_factory.mktemp("tfds")
    sizes = {}
    for name, shape in (("mnist", (28, 28, 1)), ("cifar10", (32, 32, 3))):
        splits = {"train": tfds_files.images(100, shape), "test": tfds_files.images(50, shape, seed=1)}
        tfds_files.write(root, name, RELEASES[name].version, splits)
        sizes[name] = {"train": 100, "test": 50}
    texts = {"train": text(400, 0), "validation": text(60, 1), "test": text(60, 2)}
    tfds_files.write(root, "tiny_shakespeare", RELEASES["tiny_shakespeare"].version, texts)
    sizes["tiny_shakespeare"] = {split: len(content) for split, content in texts.items()}
    return root, sizes, texts


@pytest.fixture
def synthetic(prepared, monkeypatch):
    """``TFDS_DATA_DIR`` with small data sets in the place of the released ones."""
    root, sizes, texts = prepared
    monkeypatch.setenv("TFDS_DATA_DIR", str(root))
    for name, examples in sizes.items():
        labels = {split: (count // 10,) * 10 for split, count in examples.items()}
        release = RELEASES[name]._replace(examples=examples, labels=labels, digests={})
        monkeypatch.setitem(RELEASES, name, release)
    return {"root": root, "texts": texts}


TINY = {
    "regression": {
        "epochs": 4, "batch_size": 16, "train_examples": 70, "test_examples": 40, "widths": (4, 1),
    },
    "mnist": {
        "epochs": 4, "batch_size": 32, "train_examples": 100, "test_examples": 50, "widths": (16, 10),
    },
    "cifar10": {
        "epochs": 6, "batch_size": 16, "train_examples": 50, "test_examples": 30, "widths": (4,), "blocks": 1,
    },
    "shakespeare": {
        "epochs": 4, "batch_size": 16, "micro_batch": 4, "evaluated_sequences": 10,
        "context": 16, "layers": 1, "heads": 2, "embed_dim": 8,
    },
}  # fmt: skip


@pytest.fixture
def tiny_settings(synthetic):
    """The builder of a task and the settings of a small version: ``tiny_settings("mnist", batch_size=8)``."""

    def tiny(name, **settings):
        if name not in TINY:  # a task of somebody's own
            pytest.skip(f"{name} has no small version in tests/tasks/conftest.py")
        return configured.settings(name, **{**TINY[name], **settings})

    return tiny


@pytest.fixture
def build(tiny_settings):
    """Builds a small version of a task: ``build("mnist", batch_size=8)``."""

    def build(name, **settings):
        make, whole = tiny_settings(name, **settings)
        return make(**whole)

    return build


class Trial:
    """One trial under SGD, its epoch compiled once."""

    def __init__(self, task, *, seed=0, learning_rate=0.0):
        self.task = task
        self.hyperparameters = {"learning_rate": learning_rate, "momentum": 0.0}
        self.state = init_trial(task, induced_metric.sgd, self.hyperparameters, jnp.uint32(seed))
        self._epoch = jax.jit(
            lambda state, data: train_epoch(task, induced_metric.sgd, state, self.hyperparameters, data)
        )

    def epoch(self, state=None):
        """Metrics of an epoch from the trial's state, which moves on, or from another one."""
        after, metrics = self._epoch(self.state if state is None else state, self.task.splits)
        if state is None:
            self.state = after
        return {name: float(value) for name, value in metrics.items()}


@pytest.fixture
def start():
    """Starts a trial: ``start(task, seed=1)``; by default its parameters stay as they are."""
    return Trial
