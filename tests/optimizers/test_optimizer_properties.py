"""Properties over shapes, dtypes and magnitudes."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from families import FAST, OPTIMIZERS, OURS, parameters
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import induced_metric
from induced_metric.optimizers import euclidean, rms, scale_by_induced_metric

pytestmark = pytest.mark.slow

QUICK = settings(max_examples=25, deadline=None, derandomize=True)
SHAPES = st.sampled_from([(), (1,), (3,), (2, 3), (0,), (1, 2, 2)])


def gradients(limit):
    values = st.floats(-limit, limit, width=32)
    return SHAPES.flatmap(lambda shape: arrays.arrays(np.float32, shape, elements=values))


def finite(tree):
    return all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(tree))


@pytest.mark.parametrize("name", OURS)
@QUICK
@given(grads=gradients(2.0**60), loss=st.floats(2.0**-60, 2.0**60, width=32))
def test_gradients_with_finite_squares_give_finite_updates(name, grads, loss):
    optimizer = OPTIMIZERS[name]()
    state = optimizer.init(jnp.asarray(grads))
    for _ in range(2):
        updates, state = optimizer.update(jnp.asarray(grads), state, value=loss)
        assert finite((updates, state))
        assert updates.shape == grads.shape


@QUICK
@given(
    grads=arrays.arrays(np.float32, (4,), elements=st.floats(2.0**-7, 100, width=32)),
    factor=st.floats(1.5, 10.0),
    xi=st.floats(1e-4, 10.0),
)
def test_r_decreases_with_the_norm_of_the_gradient(grads, factor, xi):
    transformation = scale_by_induced_metric(euclidean(), xi, beta=0.0)

    def r(grads):
        updates, _ = transformation.update(grads, transformation.init(grads))
        return float(jnp.linalg.norm(updates) / jnp.linalg.norm(grads))

    small, large = r(jnp.asarray(grads)), r(jnp.asarray(factor * grads))
    assert 0 < large <= small * (1 + 1e-6) <= 1 + 2e-6
    if xi * np.sum(np.square(grads, dtype=np.float64)) > 1e-4:
        assert large < small


@pytest.mark.parametrize("geometry", [euclidean(0.5), rms(0.5, 0.9)], ids=["euclidean", "rms"])
@QUICK
@given(grads=arrays.arrays(np.float32, (4,), elements=st.floats(-10, 10, width=32)), xi=st.floats(1e-9, 1e-3))
def test_update_tends_to_that_without_the_metric_as_xi_tends_to_zero(geometry, grads, xi):
    def update(xi):
        transformation = scale_by_induced_metric(geometry, xi, 0.8)
        return transformation.update(jnp.asarray(grads), transformation.init(jnp.asarray(grads)))

    (with_metric, state), (without, _) = update(xi), update(0.0)
    # |r - 1| <= ξ g·γ⁻¹g: first order in ξ.
    assert np.all(np.abs(with_metric - without) <= (float(state.metric) / 0.2 + 1e-6) * np.abs(without))


@pytest.mark.parametrize("name", FAST)
@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16, jnp.float32])
def test_update_is_jittable_and_preserves_dtype(name, dtype):
    optimizer, params = OPTIMIZERS[name](), parameters(dtype)
    state = optimizer.init(params)
    updates, after = jax.jit(optimizer.update)(params, state, params, value=jnp.asarray(1.0, dtype))
    assert {leaf.dtype for leaf in jax.tree.leaves(updates)} == {jnp.dtype(dtype)}
    assert jax.tree.map(lambda leaf: leaf.dtype, after) == jax.tree.map(lambda leaf: leaf.dtype, state)


@pytest.mark.parametrize("name", OURS)
def test_bfloat16_parameters_keep_float32_moments_that_do_not_stall(name):
    optimizer = OPTIMIZERS[name](momentum=0.999)
    grads = jnp.ones(3, jnp.bfloat16)
    state = optimizer.init(grads)
    assert {leaf.dtype for leaf in jax.tree.leaves(state) if leaf.ndim} == {jnp.dtype(jnp.float32)}
    for _ in range(20):
        updates, state = optimizer.update(grads, state, value=1.0)
    exact, state = OPTIMIZERS[name](momentum=0.999), None
    state = exact.init(jnp.ones(3))
    for _ in range(20):
        expected, state = exact.update(jnp.ones(3), state, value=1.0)
    np.testing.assert_allclose(updates.astype(jnp.float32), expected, rtol=2**-7)


def test_float16_gradients_are_squared_in_float32():
    transformation = scale_by_induced_metric(euclidean(), xi=1.0, beta=0.0)
    grads = jnp.full(3, 300.0, jnp.float16)  # its square is infinite in float16
    _, state = transformation.update(grads, transformation.init(grads))
    np.testing.assert_allclose(state.metric, 270_000.0, rtol=1e-5)


@pytest.mark.parametrize("name", OURS)
def test_accumulator_dtype_can_be_chosen(name):
    optimizer = OPTIMIZERS[name](accumulator_dtype=jnp.bfloat16)
    state = optimizer.init(parameters())
    updates, state = optimizer.update(parameters(), state, value=1.0)
    assert {leaf.dtype for leaf in jax.tree.leaves(state) if leaf.ndim} == {jnp.dtype(jnp.bfloat16)}
    assert {leaf.dtype for leaf in jax.tree.leaves(updates)} == {jnp.dtype(jnp.float32)}


@pytest.mark.parametrize("name", OURS)
def test_float64_is_used_where_the_parameters_have_it(name):
    with jax.enable_x64(True):
        optimizer, grads = OPTIMIZERS[name](), jnp.array([1e-3, 2.0])
        state = optimizer.init(grads)
        updates, state = optimizer.update(grads, state, value=jnp.asarray(1.0))
        assert {leaf.dtype for leaf in jax.tree.leaves((updates, state))} <= {
            jnp.dtype(jnp.float64),
            jnp.dtype(jnp.int32),
        }
        # float32 parameters stay float32 under x64.
        narrow = jnp.ones(2, jnp.float32)
        updates, state = optimizer.update(narrow, optimizer.init(narrow), value=jnp.asarray(1.0))
        assert {leaf.dtype for leaf in jax.tree.leaves((updates, state))} <= {
            jnp.dtype(jnp.float32),
            jnp.dtype(jnp.int32),
        }


@pytest.mark.parametrize("name", FAST)
def test_zero_gradients_leave_the_parameters_alone(name):
    optimizer = OPTIMIZERS[name]()
    zeros = jax.tree.map(jnp.zeros_like, parameters())
    state = optimizer.init(zeros)
    for value in (1.0, 0.0):
        updates, state = optimizer.update(zeros, state, zeros, value=value)
        assert all(bool((leaf == 0).all()) for leaf in jax.tree.leaves(updates))


@pytest.mark.parametrize("name", ["sgd_metric", "sgd_log_metric"])
def test_one_huge_gradient_is_clipped_and_forgotten(name):
    # The square of 1e25 is infinite in float32; an average that kept it would stop training for ever.
    optimizer = getattr(induced_metric, name)(0.1, momentum=0.0, xi=0.01, beta=0.5)
    state = optimizer.init(jnp.zeros(2))
    updates, state = optimizer.update(jnp.array([1e25, -1e25]), state, value=1.0)
    assert np.all(np.abs(updates) < 1e-6)
    for _ in range(150):
        updates, state = optimizer.update(jnp.array([1.0, -1.0]), state, value=1.0)
    np.testing.assert_allclose(updates, [-0.1 / 1.02, 0.1 / 1.02], rtol=1e-3)


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"momentum": jnp.float32(2)}, ValueError),
        ({"xi": jnp.array(-1.0)}, ValueError),
        ({"learning_rate": jnp.array([0.1, 0.2])}, TypeError),
    ],
)
def test_a_number_in_an_array_is_checked_like_any_other(settings, error):
    (name,) = settings
    with pytest.raises(error, match=f"{name} must be"):
        induced_metric.sgd_metric(**{"learning_rate": 0.1, **settings})
    with pytest.raises(error, match=f"{name} must be"):
        induced_metric.sgd_rms(**{"learning_rate": 0.1, **settings})


@pytest.mark.parametrize("xi", [0.0, 0.01, 1e4])
def test_a_base_with_a_learning_rate_forgets_a_huge_gradient(xi):
    """Its product with the gradient is negative, and may overflow in some leaves more than in others."""
    optimizer = induced_metric.induced_metric(optax.sgd(0.1), xi=xi, beta=0.5)
    params = {"a": jnp.zeros(2), "b": jnp.zeros(3)}
    state = optimizer.init(params)
    huge = {"a": jnp.array([1e25, -1e25]), "b": jnp.full(3, 1e20)}
    updates, state = optimizer.update(huge, state, params)
    assert finite((updates, state))
    for _ in range(150):
        updates, state = optimizer.update(jax.tree.map(jnp.ones_like, params), state, params)
    np.testing.assert_allclose(updates["b"], -0.1 / (1 + xi * 0.1 * 5), rtol=1e-3)


def test_huge_gradients_of_both_signs_are_forgotten():
    """With momentum the product of a gradient and the direction is of either sign, in one array."""
    optimizer = induced_metric.induced_metric(optax.sgd(0.1, momentum=0.5), xi=0.01, beta=0.5)
    params = jnp.zeros(2)
    state = optimizer.init(params)
    for grads in ([1e25, 1e25], [1e24, -1e24], *[[1.0, 1.0]] * 150):
        updates, state = optimizer.update(jnp.array(grads), state, params)
        assert finite((updates, state))
    np.testing.assert_allclose(updates, -0.2 / (1 + 0.01 * 0.2 * 2), rtol=1e-3)


def test_without_xi_a_huge_gradient_is_that_of_sgd():
    optimizer = induced_metric.sgd_metric(0.1, momentum=0.0, xi=0.0)
    state = optimizer.init(jnp.zeros(2))
    for grads in (jnp.array([1e25, -1.0]), jnp.array([1.0, -1.0])):
        updates, state = optimizer.update(grads, state)
        np.testing.assert_allclose(updates, -0.1 * grads, rtol=1e-6)


@pytest.mark.parametrize("name", OURS)
def test_tiny_gradients_are_not_rounded_to_zero(name):
    optimizer = OPTIMIZERS[name]()
    grads = jnp.array([1e-25, -3e-25])
    updates, _ = optimizer.update(grads, optimizer.init(grads), value=1.0)
    assert np.all(np.sign(updates) == [-1, 1])


@pytest.mark.parametrize(("name", "rate"), [("sgd_metric", 10.0), ("sgd_rms", 1e-3), ("sgd_log_rms", 1e-3)])
def test_tiny_float16_gradients_are_averaged_in_float32(name, rate):
    """The square of 1e-4 is 0 in float16: the step would be divided by ε alone."""

    def trained(dtype):
        optimizer = getattr(induced_metric, name)(rate)
        params = jnp.zeros(3, dtype)
        state = optimizer.init(params)
        for _ in range(3):
            updates, state = optimizer.update(jnp.full(3, 1e-4, dtype), state, params, value=jnp.float32(1.0))
            params = optax.apply_updates(params, updates)
        return params

    np.testing.assert_allclose(trained(jnp.float16), trained(jnp.float32), rtol=1e-2)
