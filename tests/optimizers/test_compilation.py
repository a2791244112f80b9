"""The optimizers under jit, vmap, grad and donation."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from families import FAST, OPTIMIZERS, OURS, assert_trees_close, loss, parameters, step, train

import induced_metric

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_update_does_not_retrace_on_new_values(name):
    optimizer, traces = OPTIMIZERS[name](), []

    @jax.jit
    def traced_step(params, state):
        traces.append(1)
        return step(optimizer, params, state)

    params, state = parameters(), optimizer.init(parameters())
    for _ in range(3):
        params, state, _ = traced_step(params, state)
    assert len(traces) == 1


@pytest.mark.parametrize("name", OURS)
def test_hyperparameters_may_be_traced(name):
    values = {"learning_rate": 0.05, "momentum": 0.8, "xi": 0.02, "beta": 0.5, "weight_decay": 0.01}
    if "rms" in name:
        values |= {"beta_rms": 0.95, "eps": 1e-7}
    factory = getattr(induced_metric, name)

    def run(hyperparameters):
        params, state = parameters(), factory(**hyperparameters).init(parameters())
        for _ in range(3):
            params, state, _ = step(factory(**hyperparameters), params, state)
        return params

    assert_trees_close(jax.jit(run)(values), run(values), rtol=1e-5)


@pytest.mark.parametrize("name", FAST)
def test_vmap_over_trials_is_a_loop_over_trials(name):
    def run(learning_rate, offset):
        factory = OPTIMIZERS[name].func
        optimizer = factory(learning_rate, **OPTIMIZERS[name].keywords)
        params = jax.tree.map(lambda leaf: leaf + offset, parameters())
        params, _, _ = step(optimizer, params, optimizer.init(params))
        return params

    rates, offsets = jnp.array([0.01, 0.1]), jnp.array([0.0, 0.3])
    mapped = jax.vmap(run)(rates, offsets)
    for i in range(2):
        own = jax.tree.map(partial(jnp.take, indices=i, axis=0), mapped)
        assert_trees_close(own, run(rates[i], offsets[i]), rtol=1e-5)


@pytest.mark.parametrize("name", FAST)
def test_donated_state_and_parameters_give_the_same_trajectory(name):
    optimizer = OPTIMIZERS[name]()
    donated = jax.jit(partial(step, optimizer), donate_argnums=(0, 1))
    params, state = parameters(), optimizer.init(parameters())
    for _ in range(4):
        params, state, _ = donated(params, state)
    expected, _, _ = train(optimizer, parameters(), 4)
    assert_trees_close(params, expected, rtol=1e-5)


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize("shapes", [[(100_000,)], [(300, 300), (300, 300)]], ids=["vector", "matrices"])
def test_donated_step_needs_no_temporary_of_the_size_of_the_parameters(name, shapes):
    # On a CPU such a temporary costs more than the arithmetic: fresh memory, one page fault every 4 KiB.
    params = [jnp.ones(shape) for shape in shapes]
    optimizer = OPTIMIZERS[name]()

    def update(carry, grads, value):
        updates, state = optimizer.update(grads, carry[1], carry[0], value=value)
        return optax.apply_updates(carry[0], updates), state

    carry = (params, optimizer.init(params))
    compiled = jax.jit(update, donate_argnums=0).lower(carry, params, jnp.asarray(1.0)).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < params[0].nbytes / 4


@pytest.mark.parametrize("name", OURS)
def test_update_can_be_differentiated_in_its_hyperparameters(name):
    def loss_after_a_step(xi):
        params, optimizer = parameters(jnp.float64), getattr(induced_metric, name)(0.1, xi=xi)
        params, _, _ = step(optimizer, params, optimizer.init(params))
        return loss(params)

    with jax.enable_x64(True):
        slope = jax.grad(loss_after_a_step)(0.01)
        difference = (loss_after_a_step(0.0101) - loss_after_a_step(0.0099)) / 2e-4
        np.testing.assert_allclose(slope, difference, rtol=1e-3)
