"""The orders of the training examples: permutations, other ones each epoch, as good as independent."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import induced_metric
from induced_metric.training import shuffling
from induced_metric.training.epoch import init_trial, train_epoch


@pytest.mark.parametrize("examples", [1, 2, 3, 70, 997, 8192, 50_000])
def test_a_bijection_takes_every_example_once(examples):
    orders = [np.asarray(shuffling.bijection(jax.random.key(seed), examples)) for seed in range(3)]
    for order in orders:
        np.testing.assert_array_equal(np.sort(order), np.arange(examples))
    if examples >= 70:
        assert not np.array_equal(orders[0], orders[1])


def overlaps(orders, batch):
    """Pearson's statistic of how many examples each batch of an epoch shares with each of the next."""
    examples = orders.shape[1]
    batches = examples // batch
    of = np.empty_like(orders)
    np.put_along_axis(of, orders, np.broadcast_to(np.arange(examples) // batch, orders.shape), axis=1)
    found = []
    for one, other in itertools.pairwise(of):
        counts = np.zeros((batches, batches))
        np.add.at(counts, (one, other), 1)
        found.append(((counts - batch / batches) ** 2).sum() / (batch / batches))
    return np.array(found), (batches - 1) ** 2


def orders_of(rounds, monkeypatch, *, examples=1024, epochs=400):
    monkeypatch.setattr(shuffling, "_ROUNDS", rounds)
    keys = jax.random.split(jax.random.key(0), epochs)
    return np.asarray(jax.lax.map(lambda key: shuffling.bijection(key, examples), keys))


def test_batches_of_two_epochs_overlap_as_those_of_independent_permutations(monkeypatch):
    found, freedom = overlaps(orders_of(shuffling._ROUNDS, monkeypatch), 128)
    assert stats.kstest(found, stats.chi2(freedom).cdf).pvalue > 0.01
    # Few rounds leave neighbours together: the statistic sees that.
    few, _ = overlaps(orders_of(3, monkeypatch), 128)
    assert stats.kstest(few, stats.chi2(freedom).cdf).pvalue < 1e-6


@pytest.mark.parametrize("shuffle", ["once", "every_epoch", "every_epoch_bijection"])
def test_an_epoch_takes_the_examples_in_the_order_of_its_kind(tiny_task, shuffle):
    """Of a task whose parameters count how often each example was seen."""
    examples, batch, epochs = 70, 16, 3

    def loss(params, model_state, indices, _):
        return -jnp.sum(params["seen"][indices]), (model_state, {})

    task = dataclasses.replace(
        tiny_task,
        shuffle=shuffle,
        precision="float32",
        splits={"train": np.arange(examples), "test": np.arange(4)},
        eval_splits=("test",),
        init=lambda _: ({"seen": jnp.zeros(examples)}, {}),
        loss=loss,
        metrics=lambda *_: {"loss": jnp.zeros([])},
    )
    hyperparameters = {"learning_rate": 1.0, "momentum": 0.0}
    state = init_trial(task, induced_metric.sgd, hyperparameters, jnp.uint32(3))
    left_out, before = [], np.zeros(examples)
    for _ in range(epochs):
        state, _ = train_epoch(task, induced_metric.sgd, state, hyperparameters, task.splits)
        seen = np.asarray(state.params["seen"])
        new, before = seen - before, seen
        assert sorted(new) == [0] * (examples % batch) + [1] * (examples - examples % batch)
        left_out.append(frozenset(np.flatnonzero(new == 0)))
    assert len(set(left_out)) == (1 if shuffle == "once" else epochs)
