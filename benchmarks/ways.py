"""Ways to train n trials of a task with Adam, on random data of the published shapes; for accelerator.py.

Each way is a function of a task and a number of trials. It compiles, and returns a ``Way``: a function that
trains every trial for some epochs and waits for them, and how many trials it trains. (c) is in processes.py.
"""

import contextlib
import math
import time
from pathlib import Path
from typing import NamedTuple
from unittest import mock

from interleave import configured

ADAM = {"learning_rate": 1e-3, "beta1": 0.9, "beta2": 0.99, "eps": 1e-8}
EPOCHS = {"regression": 200, "mnist": 200, "shakespeare": 250, "cifar10": 400}  # epochs of a published trial
# An epoch of ResNet-18 has 48 steps and evaluates nine batches; here it has four steps and one batch.
SHARE = {"cifar10": 1 / 12}
FULL = {
    "regression": {},
    "mnist": {},
    "shakespeare": {},
    "cifar10": {"train_examples": 4096, "test_examples": 1024},
}
QUICK = {
    "regression": {"train_examples": 256, "test_examples": 128, "batch_size": 64},
    "mnist": {"train_examples": 256, "test_examples": 128, "batch_size": 64},
    "shakespeare": {"train_sequences": 16, "evaluated_sequences": 8, "batch_size": 8, "context": 16,
                    "layers": 1, "heads": 2, "embed_dim": 16},
    "cifar10": {"train_examples": 32, "test_examples": 16, "batch_size": 16, "widths": [4], "blocks": 1},
}  # fmt: skip


class Way(NamedTuple):
    run: object  # run(epochs) trains
    trials: int  # number of trials that run trains
    facts: dict


def task_of(name, *, quick, precision):
    """The task of ``conf/task/<name>.yaml`` on random data, so that no data set is needed."""
    import numpy as np

    from induced_metric.data import Dataset
    from induced_metric.data.releases import RELEASES
    from induced_metric.tasks import cifar10, mnist, shakespeare

    rng = np.random.default_rng(0)

    def random(data_set):
        release = RELEASES[data_set]
        if data_set == "tiny_shakespeare":
            splits = {split: {"text": rng.integers(32, 97, count, np.uint8)}
                      for split, count in release.examples.items()}  # fmt: skip
        else:
            shape = (28, 28, 1) if data_set == "mnist" else (32, 32, 3)
            splits = {split: {"image": rng.integers(0, 256, (count, *shape), np.uint8),
                              "label": rng.integers(0, 10, count, np.uint8)}
                      for split, count in release.examples.items()}  # fmt: skip
        return Dataset(release, splits, Path("random"))

    with contextlib.ExitStack() as patched:
        for module in (mnist, cifar10, shakespeare):
            patched.enter_context(mock.patch.object(module, "load", random))
        return configured(name, precision=precision, **(QUICK if quick else FULL)[name])


def _stepwise(task, *, published):
    """A jitted step called from Python; if ``published``, with batches from the host, evaluated eagerly."""
    import jax
    import jax.numpy as jnp
    import numpy as np
    import optax

    import induced_metric
    from induced_metric.models.dropout import StepKeys

    optimizer = induced_metric.adam(**ADAM)
    place = np.asarray if published else jnp.asarray
    splits = jax.tree.map(place, dict(task.splits))

    @jax.jit
    def step(params, model_state, opt_state, batch, key):
        keys = StepKeys.of(key, task.batch_size)
        (_, (model_state, _)), grads = jax.value_and_grad(task.loss, has_aux=True)(
            params, model_state, batch, keys
        )
        updates, opt_state = optimizer.update(grads, opt_state, params)
        return optax.apply_updates(params, updates), model_state, opt_state

    measure = task.metrics if published else jax.jit(task.metrics)

    def trial(epochs, seed=0):
        params, model_state = task.init(jax.random.key(seed))
        opt_state = optimizer.init(params)
        order = np.random.default_rng(seed).permutation(task.num_examples("train"))
        for epoch in range(epochs):
            for k in range(len(order) // task.batch_size):
                indices = order[k * task.batch_size : (k + 1) * task.batch_size]
                batch = jax.tree.map(lambda array: array[indices], splits["train"])  # noqa: B023
                key = jax.random.key(epoch * 1000 + k)
                params, model_state, opt_state = step(params, model_state, opt_state, batch, key)
            for split in task.eval_splits:
                count = task.num_sampled(split) or task.num_examples(split)
                for start in range(0, count, task.batch_size):
                    part = slice(start, min(start + task.batch_size, count))
                    batch = jax.tree.map(lambda array: array[part], splits[split])  # noqa: B023
                    jax.tree.map(float, measure(params, model_state, batch))

    with jax.default_matmul_precision(task.matmul_precision):
        trial(1)

    def run(epochs):
        with jax.default_matmul_precision(task.matmul_precision):
            trial(epochs)

    return Way(run, 1, {})


def published(task, trials, **_):
    """(a) The shape of the published loop."""
    del trials
    return _stepwise(task, published=True)


def plain(task, trials, **_):
    """(b) Plain jitted optax, one trial after another."""
    del trials
    return _stepwise(task, published=False)


def naive(task, trials, **_):
    """(d) All trials in lock step: a jitted vmap of one epoch, in which no place is refilled."""
    import jax
    import jax.numpy as jnp

    import induced_metric
    from induced_metric.training.epoch import init_trial, train_epoch

    data = jax.device_put(dict(task.splits))
    numbers = {name: jnp.full(trials, value) for name, value in ADAM.items()}
    seeds = jnp.arange(trials, dtype=jnp.uint32)
    init = jax.jit(jax.vmap(lambda numbers, seed: init_trial(task, induced_metric.adam, numbers, seed)))
    epoch = jax.jit(
        jax.vmap(
            lambda state, numbers, data: train_epoch(task, induced_metric.adam, state, numbers, data),
            in_axes=(0, 0, None),
        ),
        donate_argnums=0,
    )

    def run(epochs):
        state = init(numbers, seeds)
        for _ in range(epochs):
            state, metrics = epoch(state, numbers, data)
        jax.block_until_ready(metrics)

    run(1)
    return Way(run, trials, {})


def lanes(task, trials, *, held, before=None, **_):
    """(e) The lanes, as a study has them; ``before``: what an earlier result says about the task's lanes."""
    import induced_metric
    from induced_metric.lanes import Assignment
    from induced_metric.lanes.facts import lane_facts
    from induced_metric.lanes.placement import Placement
    from induced_metric.training.program import TrialProgram

    placement = Placement(trials=trials, before=before)
    start = time.perf_counter()
    engine = held.enter_context(TrialProgram(task, induced_metric.adam, ADAM).lanes(placement))
    took = time.perf_counter() - start
    facts = lane_facts(engine)
    probed = facts["lanes"].get("measured") != (before or {}).get("measured")
    # The devices compile at the same time.
    compiled = engine.compile_seconds / facts["lanes"]["places"]
    probe = max(0.0, took - compiled) if probed else 0.0
    # Twice as many trials as fit at once are enough: further ones are trained at the same speed.
    count = min(trials, 2 * engine.capacity)

    def run(epochs):
        engine.run_all(Assignment(k, ADAM, k, epochs) for k in range(count))

    return Way(run, count, {**facts, "compile_seconds": took - probe, "probe_seconds": probe})


WAYS = {way.__name__: way for way in (lanes, naive, plain, published)}


def measured(way, task, trials, *, seconds, **options):
    """Seconds of compilation and of one epoch of one trial, with the details of the measurement."""
    with contextlib.ExitStack() as held:
        start = time.perf_counter()
        prepared = WAYS[way](task, trials, held=held, **options)
        compiled = time.perf_counter() - start
        first = took = _timed(prepared.run, 1)
        epochs = max(1, min(200, math.floor(seconds / first)))
        if epochs > 1:
            took = _timed(prepared.run, epochs)
    return {
        "compile_seconds": compiled,
        "epochs_measured": epochs,
        "trials_measured": prepared.trials,
        "seconds_measured": took,
        "first_epoch_seconds": first,
        "seconds_per_trial_epoch": took / (epochs * prepared.trials),
        **prepared.facts,
    }


def _timed(run, epochs):
    start = time.perf_counter()
    run(epochs)
    return time.perf_counter() - start
