"""One trial whose batches are divided over devices: the same trial, on all of them."""

import jax
import numpy as np
import pytest

import induced_metric
from induced_metric.lanes import Assignment, Lanes
from induced_metric.training.epoch import init_trial, train_epoch

pytestmark = pytest.mark.slow

HYPERPARAMETERS = {"learning_rate": 0.05, "momentum": 0.9}


def parts(task):
    return (
        lambda h, seed, _: init_trial(task, induced_metric.sgd, h, seed),
        lambda state, h, data: train_epoch(task, induced_metric.sgd, state, h, data),
    )


def everywhere():
    return jax.NamedSharding(jax.sharding.Mesh(jax.devices(), "data"), jax.P())


def curves(task, devices, **options):
    waiting = [Assignment(k, HYPERPARAMETERS, k, 3) for k in range(3)]
    found = {}

    def tell(reports):
        for report in reports:
            found.setdefault(report.trial, []).append(report.metrics[task.objective])
        return [True] * len(reports)

    with Lanes(
        *parts(task), hyperparameters=list(HYPERPARAMETERS), shared=(task.splits,), devices=devices, **options
    ) as lanes:
        lanes.run(lambda: waiting.pop(0) if waiting else None, tell)
    return {trial: np.concatenate(values) for trial, values in found.items()}


@pytest.mark.parametrize(
    ("name", "layout"),
    [
        ("mnist", "vmap"),
        *((name, "map") for name in ("mnist", "cifar10", "shakespeare")),
        *(pytest.param(name, "vmap", marks=pytest.mark.exhaustive) for name in ("cifar10", "shakespeare")),
    ],
)
def test_a_trial_on_two_devices_is_that_on_one(build, name, layout):
    """BatchNorm takes the statistics of the whole batch, dropout the masks of one device."""
    task = build(name, objective={"shakespeare": "validation/loss"}.get(name, "test/loss"))
    alone = curves(task, jax.devices()[:1], layout=layout)
    shared = curves(task, [everywhere()], layout=layout)
    for trial, values in alone.items():
        np.testing.assert_allclose(shared[trial], values, rtol=2e-3)


def test_every_device_computes_half_of_the_batch(build):
    task = build("mnist")
    init, advance = parts(task)

    def epoch(state, data):
        return advance(state, HYPERPARAMETERS, data)

    state = init(HYPERPARAMETERS, 0, None)
    sharding = everywhere()
    state, data = jax.device_put((state, task.splits), sharding)
    with jax.set_mesh(sharding.mesh):
        text = jax.jit(epoch).lower(state, data).compile().as_text()
    assert "all-reduce" in text  # of the gradients
    # 32 images a batch, 784 pixels each.
    assert "f32[16,784]" in text
    assert "f32[32,784]" not in text
