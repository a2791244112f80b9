"""The fast layers compute what flax's and JAX's own do."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from hypothesis import given, settings
from hypothesis import strategies as st

from induced_metric.models.layers import dense_dot_general, gelu
from induced_metric.models.mlp import MLP


@given(st.floats(-30, 30, width=32))
@settings(deadline=None)
def test_gelu_and_its_derivative_are_jaxs(x):
    x = jnp.float32(x)
    np.testing.assert_allclose(gelu(x), jax.nn.gelu(x), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(jax.grad(gelu)(x), jax.grad(jax.nn.gelu)(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shape", [(3,), (5, 3), (2, 4, 3)])
def test_dense_is_flax_dense_with_its_gradients(shape):
    x = jax.random.normal(jax.random.key(0), shape)
    plain, ours = nn.Dense(7), nn.Dense(7, dot_general=dense_dot_general)
    params = plain.init(jax.random.key(1), x)

    def loss(layer, params, x):
        return jnp.sum(jnp.sin(layer.apply(params, x)))

    expected = jax.value_and_grad(loss, (1, 2))(plain, params, x)
    actual = jax.value_and_grad(loss, (1, 2))(ours, params, x)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-6), actual, expected)


def test_dense_refuses_another_contraction():
    with pytest.raises(ValueError, match="only the product of a dense layer"):
        dense_dot_general(jnp.ones((2, 3)), jnp.ones((2, 3)), (((0,), (0,)), ((), ())))


def test_mlp_starts_from_flax_defaults():
    class Plain(nn.Module):
        @nn.compact
        def __call__(self, x):
            hidden = nn.gelu(nn.Dense(8)(x))
            return nn.Dense(1)(hidden)

    x = jnp.ones((2, 4))
    ours = MLP((8, 1)).init(jax.random.key(3), x)
    theirs = Plain().init(jax.random.key(3), x)
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)
    np.testing.assert_allclose(MLP((8, 1)).apply(ours, x), Plain().apply(theirs, x), rtol=1e-6)
