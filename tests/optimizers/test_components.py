"""k losses in k extra dimensions, and a loss axis that leans on the parameters."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from induced_metric.optimizers import (
    euclidean,
    identity,
    log,
    scale_by_component_metric,
    scale_by_induced_metric,
    scale_by_tilted_metric,
)

RNG = np.random.default_rng(0)
FACTOR = RNG.normal(size=(5, 5))
GAMMA = FACTOR @ FACTOR.T + np.eye(5)  # a dense metric on the parameters
XI = np.array([[1.0, 0.4, 0.0], [0.4, 0.5, -0.2], [0.0, -0.2, 2.0]])
GRADS = RNG.normal(size=(3, 5))
LOSSES = np.array([0.5, 1.5, 3.0])


def raise_index(vector):
    return jnp.asarray(np.linalg.inv(GAMMA), vector.dtype) @ vector


def run_both(left, right, steps=4, value=None, grads=lambda g: g):
    """Runs both from the same start on the same gradients; returns both last updates."""
    params = jnp.linspace(0.5, 2.0, 5)
    states = [left.init(params), right.init(params)]
    for seed in range(steps):
        gradient = jax.random.normal(jax.random.key(seed), (5,))
        a, states[0] = left.update(grads(gradient), states[0], params, value=value)
        b, states[1] = right.update(gradient, states[1], params, value=value)
    return a, b


@pytest.mark.parametrize("embedding", [identity, log], ids=["identity", "log"])
@pytest.mark.parametrize("xi", [0.3, np.diag(XI), XI], ids=["scalar", "diagonal", "matrix"])
def test_component_update_is_the_gradient_under_the_dense_inverse_metric(embedding, xi):
    transformation = scale_by_component_metric(
        3, jnp.asarray(xi), 0.0, 0.0, embedding, inverse_metric=raise_index
    )
    state = transformation.init(jnp.zeros(5))
    updates, _ = transformation.update(jnp.asarray(GRADS, jnp.float32), state, value=jnp.asarray(LOSSES))
    slopes = 1 / LOSSES if embedding is log else np.ones(3)
    rows = slopes[:, None] * GRADS
    weights = xi if np.ndim(xi) == 2 else np.diag(np.broadcast_to(xi, 3))
    expected = np.linalg.inv(GAMMA + rows.T @ weights @ rows) @ rows.sum(0)
    np.testing.assert_allclose(updates, expected, rtol=2e-4, atol=1e-6)


@pytest.mark.parametrize(("embedding", "value"), [(identity, None), (log, 0.7)], ids=["identity", "log"])
def test_one_component_is_the_metric_of_one_loss(embedding, value):
    one = scale_by_component_metric(1, 0.3, 0.6, 0.8, embedding)
    plain = scale_by_induced_metric(euclidean(0.8), 0.3, 0.6, embedding)
    actual, expected = run_both(one, plain, value=value, grads=lambda g: g[None])
    np.testing.assert_allclose(actual, expected, rtol=1e-5)


def test_parallel_losses_damp_each_other_and_orthogonal_ones_do_not():
    transformation = scale_by_component_metric(2, 1.0, 0.0, 0.0)

    def update(grads):
        return transformation.update(jnp.asarray(grads), transformation.init(jnp.zeros(2)))[0]

    np.testing.assert_allclose(update([[1.0, 0.0], [0.0, 1.0]]), [0.5, 0.5], rtol=1e-6)
    np.testing.assert_allclose(update([[1.0, 0.0], [1.0, 0.0]]), [2 / 3, 0.0], rtol=1e-6)


def test_components_train_in_a_chain_under_jit_on_a_tree():
    def losses(params):
        return jnp.stack([jnp.sum((params["a"] - 1) ** 2), jnp.sum((params["a"].mean() + params["b"]) ** 2)])

    optimizer = optax.chain(scale_by_component_metric(2, 0.1), optax.scale_by_learning_rate(0.1))

    @jax.jit
    def step(params, state):
        updates, state = optimizer.update(jax.jacrev(losses)(params), state, params, value=losses(params))
        return optax.apply_updates(params, updates), state

    params = {"a": jnp.zeros((2, 2)), "b": jnp.ones(3)}
    state, start = optimizer.init(params), losses(params).sum()
    for _ in range(60):
        params, state = step(params, state)
    assert losses(params).sum() < 0.05 * start


def test_component_arguments_are_checked():
    with pytest.raises(ValueError, match="components must be >= 1, got 0"):
        scale_by_component_metric(0)
    needs_value = scale_by_component_metric(2, embedding=log)
    with pytest.raises(ValueError, match="value=loss"):
        needs_value.update(jnp.ones((2, 3)), needs_value.init(jnp.ones(3)))
    with pytest.raises(TypeError, match="xi must be a number or an array scalar, got None"):
        scale_by_component_metric(2, xi=None)
    for xi in ([1.0, 2.0, 3.0], jnp.ones(1), np.ones((2, 3))):
        with pytest.raises(ValueError, match="xi must be one weight, 2 weights or a 2 × 2 matrix, got"):
            scale_by_component_metric(2, xi)
    for xi in ([-1.0, 2.0], [[1.0, 2.0], [2.0, 1.0]], [[1.0, 0.0], [0.5, 1.0]], [np.nan, 1.0]):
        with pytest.raises(ValueError, match="xi must be >= 0, and a matrix symmetric and positive"):
            scale_by_component_metric(2, xi)
    scale_by_component_metric(2, [[1.0, 1.0], [1.0, 1.0]])
    jax.jit(lambda xi: scale_by_component_metric(2, [xi, xi]).init(jnp.ones(3)))(1.0)
    with pytest.raises(TypeError, match="tilt must be a number or an array scalar, got 'a'"):
        scale_by_tilted_metric("a")


def test_a_value_is_one_loss_or_one_of_each_component():
    transformation = scale_by_component_metric(2, embedding=log)
    grads, state = jnp.ones((2, 3)), transformation.init(jnp.ones(3))
    updates = [
        transformation.update(grads, state, value=value)[0] for value in (2.0, [2.0, 2.0], jnp.full(2, 2.0))
    ]
    np.testing.assert_array_equal(updates[0], updates[1])
    np.testing.assert_array_equal(updates[0], updates[2])
    for value, got in (("3", "a str"), ([1.0, {}], "a list"), (jnp.ones(3), r"an array of shape \(3,\)")):
        sentence = f"value must be the 2 losses or one for all, got {got}"
        with pytest.raises((TypeError, ValueError), match=sentence):
            transformation.update(grads, state, value=value)


def test_weights_of_the_losses_may_be_a_list():
    grads = jnp.array([[1.0, 0.0], [0.0, 1.0]])
    for xi in ([1.0, 3.0], [[1.0, 0.0], [0.0, 3.0]]):
        transformation = scale_by_component_metric(2, xi, 0.0, 0.0)
        updates, _ = transformation.update(grads, transformation.init(jnp.zeros(2)))
        np.testing.assert_allclose(updates, [0.5, 0.25], rtol=1e-6)


@pytest.mark.parametrize("tilt", [-0.9, 0.0, 0.4])
@pytest.mark.parametrize("embedding", [identity, log], ids=["identity", "log"])
def test_tilted_update_is_the_gradient_under_the_dense_inverse_metric(tilt, embedding):
    xi, loss, gradient, params = 0.6, 1.7, GRADS[0], np.linspace(-1, 2, 5)
    transformation = scale_by_tilted_metric(tilt, xi, 0.0, 0.0, embedding, inverse_metric=raise_index)
    start = jnp.asarray(params, jnp.float32)
    updates, _ = transformation.update(
        jnp.asarray(gradient, jnp.float32), transformation.init(start), start, value=loss
    )
    omega = tilt * np.sqrt(xi) * params / np.sqrt(params @ np.linalg.inv(GAMMA) @ params)
    ambient = np.block([[GAMMA, omega[:, None]], [omega[None], np.array([[xi]])]])
    assert np.all(np.linalg.eigvalsh(ambient) > 0)
    slope = 1 / loss if embedding is log else 1.0
    jacobian = np.vstack([np.eye(5), slope * gradient])  # of the graph θ ↦ (θ, f(L(θ)))
    expected = np.linalg.inv(jacobian.T @ ambient @ jacobian) @ (slope * gradient)
    np.testing.assert_allclose(updates, expected, rtol=2e-4, atol=1e-6)


def test_no_tilt_is_the_metric_of_an_orthogonal_loss_axis():
    upright = scale_by_tilted_metric(0.0, 0.3, 0.6, 0.8, log)
    plain = scale_by_induced_metric(euclidean(0.8), 0.3, 0.6, log)
    actual, expected = run_both(upright, plain, value=0.7)
    np.testing.assert_allclose(actual, expected, rtol=1e-5)


def test_tilt_is_harmless_where_its_direction_vanishes():
    transformation = scale_by_tilted_metric(0.5, 1.0)
    zeros = jnp.zeros(3)
    updates, _ = transformation.update(jnp.ones(3), transformation.init(zeros), zeros)
    np.testing.assert_allclose(updates, np.full(3, 0.25), rtol=1e-6)


def test_tilted_arguments_are_checked():
    with pytest.raises(ValueError, match=r"tilt must be in \(-1, 1\), got 1.0"):
        scale_by_tilted_metric(1.0)
    transformation = scale_by_tilted_metric(0.5)
    with pytest.raises(ValueError, match="needs the parameters"):
        transformation.update(jnp.ones(3), transformation.init(jnp.ones(3)))
