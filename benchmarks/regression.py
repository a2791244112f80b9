"""Seconds of a regression trial (200 epochs, train and test loss every epoch): ours and a plain loop.

Ours is measured twice: the latency of one trial alone, as train.py runs it, and the throughput of a study's
lanes on all cores, as seconds per trial. The plain loop runs one trial at a time, so both figures are equal.

Run: python benchmarks/regression.py [rounds]. Figures are medians over the rounds, in which all sides take
turns.
"""

import sys
from functools import partial

from interleave import configured, interleave, serve, serve_lanes

HYPERPARAMETERS = {
    "adam": {"learning_rate": 3e-3, "beta1": 0.9, "beta2": 0.99, "eps": 1e-8},
    "sgd_rms": {
        "learning_rate": 3e-3, "momentum": 0.9, "xi": 0.01, "beta": 0.8, "beta_rms": 0.99,
        "weight_decay": 1e-4, "eps": 1e-8,
    },
    "muon": {
        "learning_rate": 3e-3, "beta": 0.9, "adam_b1": 0.9, "adam_b2": 0.99,
        "weight_decay": 1e-4, "eps": 1e-8,
    },
}  # fmt: skip
TRIALS = 32  # of ours in a round: several per lane, so that the tail matters little


def plain(requests, optimizer_name):
    """What one would write with flax and optax: a jitted step and jitted evaluations, called from Python."""
    import jax
    import jax.numpy as jnp
    import optax
    from flax import linen as nn

    import induced_metric

    class MLP(nn.Module):
        @nn.compact
        def __call__(self, x):
            x = nn.gelu(nn.Dense(32)(x))
            x = nn.gelu(nn.Dense(32)(x))
            return nn.Dense(1)(x)

    task, model = configured("regression"), MLP()
    (x_train, y_train), (x_test, y_test) = (
        jax.tree.map(jnp.asarray, task.splits[split]) for split in ("train", "test")
    )
    optimizer = optax.with_extra_args_support(
        getattr(induced_metric, optimizer_name)(**HYPERPARAMETERS[optimizer_name])
    )

    def loss(params, x, y):
        return jnp.mean((model.apply(params, x)[:, 0] - y) ** 2)

    @jax.jit
    def step(params, opt_state, x, y):
        value, grads = jax.value_and_grad(loss)(params, x, y)
        updates, opt_state = optimizer.update(grads, opt_state, params, value=value)
        return optax.apply_updates(params, updates), opt_state

    evaluate = jax.jit(loss)

    def trial(seed, epochs):
        params = model.init(jax.random.key(seed), x_train[:1])
        opt_state = optimizer.init(params)
        order = jax.random.permutation(jax.random.key(seed + 1), len(x_train))
        x, y = x_train[order], y_train[order]
        curve = []
        for _ in range(epochs):
            for start in range(0, len(x), task.batch_size):
                batch = slice(start, start + task.batch_size)
                params, opt_state = step(params, opt_state, x[batch], y[batch])
            curve.append((float(evaluate(params, x_train, y_train)), float(evaluate(params, x_test, y_test))))
        return curve

    serve(requests, lambda: trial(0, task.epochs))


def ours(requests, optimizer_name, trials, **options):
    serve_lanes(
        requests,
        partial(configured, "regression"),
        optimizer_name,
        HYPERPARAMETERS[optimizer_name],
        trials=trials,
        epochs=200,
        units=trials,
        **options,
    )


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    headings = ("plain", "latency", "ratio", "throughput", "ratio")
    print(
        f"{'seconds per trial, median of ' + str(rounds):32} " + " ".join(f"{name:>10}" for name in headings)
    )
    for name in HYPERPARAMETERS:
        sides = {
            "plain": partial(plain, optimizer_name=name),
            "latency": partial(ours, optimizer_name=name, trials=1, alone=True),
            "throughput": partial(ours, optimizer_name=name, trials=TRIALS),
        }
        medians = {side: measured.median for side, measured in interleave(sides, rounds=rounds).items()}
        line = f"{name:32} {medians['plain']:10.3f}"
        for side in ("latency", "throughput"):
            line += f" {medians[side]:10.3f} {medians['plain'] / medians[side]:9.1f}x"
        print(line, flush=True)


if __name__ == "__main__":
    main()
