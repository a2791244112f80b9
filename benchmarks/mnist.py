"""Seconds per full-size MNIST epoch: ours, a loop of the published shape, and a plain jitted loop.

Run: python benchmarks/mnist.py [rounds]. An epoch is 58 steps of 1,024 images and the accuracy on 9,216 test
images; in a second table, also the accuracy on the training images. All sides evaluate the same. It needs the
data set (make data TASK=mnist). Figures are medians over the rounds, in which all sides take turns.
"""

import os
import sys
from functools import partial

from interleave import configured, interleave, serve, serve_lanes

from induced_metric.data import load
from induced_metric.errors import UserError

HYPERPARAMETERS = {"learning_rate": 3e-3, "beta1": 0.9, "beta2": 0.99, "eps": 1e-8}
WEIGHTS = [784 * 64, 64 * 64, 64 * 10]
# A product takes 2 operations per weight and example; the first layer needs no gradient of its input.
TRAINING = 2 * (3 * sum(WEIGHTS) - WEIGHTS[0]) * 58 * 1024
EVALUATION = {"train": 2 * sum(WEIGHTS) * 60_000, "test": 2 * sum(WEIGHTS) * 9216}
TRIALS, EPOCHS = 4 * os.cpu_count(), 20  # of ours in a round: one trial for every lane


def _loop(eval_splits, *, jitted):
    """One epoch of a Python loop over batches; the published one evaluates eagerly and copies every batch."""
    import jax
    import jax.numpy as jnp
    import numpy as np
    import optax
    from flax import linen as nn

    import induced_metric

    class MLP(nn.Module):
        @nn.compact
        def __call__(self, x):
            for width in (64, 64):
                x = nn.gelu(nn.Dense(width)(x))
            return nn.Dense(10)(x)

    task, model = configured("mnist"), MLP()
    (x, y), (x_test, y_test) = (
        (images.astype(np.float32) / 255, labels.astype(np.int32))
        for images, labels in (task.splits["train"], task.splits["test"])
    )
    if jitted:
        x, y, x_test, y_test = map(jnp.asarray, (x, y, x_test, y_test))
    optimizer = induced_metric.adam(**HYPERPARAMETERS)
    params = model.init(jax.random.key(0), x[:1])
    opt_state = optimizer.init(params)
    order = np.random.default_rng(0).permutation(len(x))
    splits = {"train": (x, y, 58), "test": (x_test, y_test, 9)}

    @jax.jit
    def step(params, opt_state, images, labels):
        def loss(params):
            logits = model.apply(params, images)
            return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

        updates, opt_state = optimizer.update(jax.grad(loss)(params), opt_state, params)
        return optax.apply_updates(params, updates), opt_state

    def accuracy(params, images, labels):
        return (jnp.argmax(model.apply(params, images), -1) == labels).mean()

    measure = jax.jit(accuracy) if jitted else accuracy

    def epoch():
        nonlocal params, opt_state
        for k in range(58):
            batch = order[k * 1024 : (k + 1) * 1024]
            params, opt_state = step(params, opt_state, x[batch], y[batch])
        for images, labels, batches in [splits[split] for split in eval_splits]:
            for k in range(batches):
                part = slice(k * 1024, (k + 1) * 1024)
                float(measure(params, images[part], labels[part]))

    return epoch


def published(requests, eval_splits):
    serve(requests, _loop(eval_splits, jitted=False))


def plain(requests, eval_splits):
    serve(requests, _loop(eval_splits, jitted=True))


def ours(requests, eval_splits):
    """The lanes: seconds divided by the epochs of all trials."""
    task = partial(configured, "mnist", eval_splits=eval_splits)
    serve_lanes(requests, task, "adam", HYPERPARAMETERS, trials=TRIALS, epochs=EPOCHS, units=TRIALS * EPOCHS)


def matmul(requests):
    """The machine's limit: a large product on all cores, reported as seconds per 1e9 operations."""
    import jax
    import jax.numpy as jnp

    a = jnp.ones((2048, 2048))
    product = jax.jit(lambda a: a @ a)
    serve(requests, lambda: product(a).block_until_ready(), units=2 * 2048**3 / 1e9)


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    try:
        load("mnist")
    except UserError as error:
        print(f"mnist.py cannot measure anything: {error}")
        return
    for eval_splits in (("test",), ("train", "test")):
        sides = {side.__name__: partial(side, eval_splits=eval_splits) for side in (published, plain, ours)}
        measured = interleave({**sides, "matmul": matmul}, rounds=rounds)
        seconds = {name: one.median for name, one in measured.items()}
        print(
            f"{'seconds per epoch, evaluating ' + ' and '.join(eval_splits):44} {'seconds':>8} {'to ours':>8}"
        )
        for name in sides:
            print(f"{name:44} {seconds[name]:8.4f} {seconds[name] / seconds['ours']:7.2f}x")
        work = TRAINING + sum(EVALUATION[split] for split in eval_splits)
        rate, peak = work / seconds["ours"] / 1e9, 1 / seconds["matmul"]
        print(
            f"ours: {rate:.0f} GFLOP/s in matrix products, {rate / peak:.0%} of a large product's {peak:.0f}"
        )


if __name__ == "__main__":
    main()
