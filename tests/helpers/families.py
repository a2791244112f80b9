"""The optimizers that the contract and property tests run over."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax

import induced_metric
from induced_metric.optimizers import power

# name: a factory whose arguments all have values. ``learning_rate`` comes first everywhere.
OPTIMIZERS = {
    "sgd_metric": partial(induced_metric.sgd_metric, 0.1, xi=0.01),
    "sgd_log_metric": partial(induced_metric.sgd_log_metric, 1.0, xi=0.01),
    "sgd_rms": partial(induced_metric.sgd_rms, 0.03, xi=0.01),
    "sgd_log_rms": partial(induced_metric.sgd_log_rms, 0.5, xi=0.01),
    "adamw_metric": partial(induced_metric.adamw_metric, 0.03, xi=0.01, weight_decay=0.0),
    "adamw_metric_power": partial(
        induced_metric.adamw_metric, 0.1, xi=0.01, weight_decay=0.0, embedding=power(0.5)
    ),
    "lion_metric": partial(induced_metric.lion_metric, 0.03, xi=0.01, weight_decay=0.0),
    "muon_metric": partial(induced_metric.muon_metric, 0.03, xi=0.01),
}
FAST = [name for name in OPTIMIZERS if name != "muon_metric"]
OURS = ["sgd_metric", "sgd_log_metric", "sgd_rms", "sgd_log_rms"]


def parameters(dtype=jnp.float32):
    return {"kernel": jnp.linspace(-1, 1, 6, dtype=dtype).reshape(3, 2), "bias": jnp.ones(2, dtype)}


def loss(params):
    """Positive everywhere, least at kernel = 2, bias = -1."""
    return jnp.sum((params["kernel"] - 2) ** 2) + jnp.sum((params["bias"] + 1) ** 2) + 0.1


def step(optimizer, params, state):
    value, grads = jax.value_and_grad(loss)(params)
    updates, state = optimizer.update(grads, state, params, value=value)
    return optax.apply_updates(params, updates), state, value


def train(optimizer, params, steps):
    """Trains under jit + scan; returns the parameters, the state and the losses."""

    def body(carry, _):
        params, state, value = step(optimizer, *carry)
        return (params, state), value

    carry = (params, optimizer.init(params))
    (params, state), values = jax.jit(lambda carry: jax.lax.scan(body, carry, length=steps))(carry)
    return params, state, values


def assert_trees_close(left, right, **tolerance):
    assert jax.tree.structure(left) == jax.tree.structure(right)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **tolerance), left, right)
