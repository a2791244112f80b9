"""Flax, orbax and sharded arrays."""

import subprocess
import sys
import textwrap

import families
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from families import OPTIMIZERS, OURS, loss, parameters

import induced_metric

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", ["sgd_metric", "sgd_rms"])
def test_train_state_applies_gradients(name):
    train_state = pytest.importorskip("flax.training.train_state")
    state = train_state.TrainState.create(apply_fn=None, params=parameters(), tx=OPTIMIZERS[name]())
    apply = jax.jit(lambda state: state.apply_gradients(grads=jax.grad(loss)(state.params)))
    for _ in range(20):
        state = apply(state)
    assert int(state.step) == 20
    assert loss(state.params) < 0.7 * loss(parameters())


def test_train_state_takes_the_loss_through_tx():
    train_state = pytest.importorskip("flax.training.train_state")
    state = train_state.TrainState.create(
        apply_fn=None, params=parameters(), tx=induced_metric.sgd_log_metric(1.0, xi=0.01)
    )

    @jax.jit
    def apply(state):
        value, grads = jax.value_and_grad(loss)(state.params)
        updates, opt_state = state.tx.update(grads, state.opt_state, state.params, value=value)
        params = optax.apply_updates(state.params, updates)
        return state.replace(step=state.step + 1, params=params, opt_state=opt_state)

    for _ in range(20):
        state = apply(state)
    assert loss(state.params) < 0.7 * loss(parameters())


@pytest.mark.parametrize("name", OURS)
def test_nnx_optimizer_trains_a_module(name):
    nnx = pytest.importorskip("flax.nnx")
    model = nnx.Linear(3, 2, rngs=nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, OPTIMIZERS[name].func(0.1, xi=0.01), wrt=nnx.Param)
    x = jax.random.normal(jax.random.key(1), (8, 3))

    @nnx.jit
    def step(model, optimizer):
        value, grads = nnx.value_and_grad(lambda model: jnp.mean((model(x) - 1) ** 2))(model)
        optimizer.update(model, grads, value=value)
        return value

    values = [float(step(model, optimizer)) for _ in range(30)]
    assert values[-1] < 0.7 * values[0]


@pytest.mark.parametrize("name", OURS)
def test_orbax_restores_the_state_and_training_continues(name, tmp_path):
    checkpoint = pytest.importorskip("orbax.checkpoint")
    optimizer, params = OPTIMIZERS[name](), parameters()

    @jax.jit
    def step(params, state):
        value, grads = jax.value_and_grad(loss)(params)
        updates, state = optimizer.update(grads, state, params, value=value)
        return optax.apply_updates(params, updates), state

    params, state = step(params, optimizer.init(params))
    with checkpoint.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "state", (params, state))
        checkpointer.wait_until_finished()
        fresh = (parameters(), optimizer.init(parameters()))
        restored = checkpointer.restore(tmp_path / "state", fresh)
    assert jax.tree.structure(restored) == jax.tree.structure((params, state))
    jax.tree.map(np.testing.assert_array_equal, step(*restored), step(params, state))


TWO_DEVICES = """
    import jax, jax.numpy as jnp, numpy as np, optax, sys
    jax.config.update("jax_num_cpu_devices", 2)
    sys.path.insert(0, {path!r})
    from families import OPTIMIZERS

    mesh = jax.make_mesh((2,), ("devices",))
    sharding = jax.NamedSharding(mesh, jax.P("devices"))
    params = {{"kernel": jnp.linspace(-1, 1, 32).reshape(8, 4), "bias": jnp.arange(6.0)}}
    sharded = jax.device_put(params, sharding)
    loss = lambda params: jnp.sum((params["kernel"] - 2) ** 2) + jnp.sum((params["bias"] + 1) ** 2)

    for name in {names!r}:
        optimizer = OPTIMIZERS[name]()

        @jax.jit
        def step(params, state):
            value, grads = jax.value_and_grad(loss)(params)
            updates, state = optimizer.update(grads, state, params, value=value)
            return optax.apply_updates(params, updates), state

        def run(params):
            state = optimizer.init(params)
            for _ in range(3):
                params, state = step(params, state)
            return params, state

        expected, (actual, state) = run(params)[0], run(sharded)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), actual, expected)
        assert all(leaf.sharding.is_equivalent_to(sharding, leaf.ndim) for leaf in jax.tree.leaves(actual))
        moments = [leaf for leaf in jax.tree.leaves(state) if leaf.ndim > 0]
        assert moments and all(len(leaf.sharding.device_set) == 2 for leaf in moments), name
        assert not any(leaf.is_fully_replicated for leaf in moments), name
"""


def test_sharded_parameters_give_the_same_trajectory_and_sharded_state():
    names = ["sgd_metric", "sgd_log_metric", "sgd_rms", "adamw_metric"]
    script = textwrap.dedent(TWO_DEVICES).format(path=families.__file__.rsplit("/", 1)[0], names=names)
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)
