"""Gathers whose gradients are no scatter on an accelerator: the same numbers as JAX's own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from induced_metric.models import gathers

TABLE = jax.random.normal(jax.random.key(0), (5, 3))
ROWS = jnp.array([[4, 0, 4, 1], [1, 1, 4, 0]])  # some twice, some never
VALUES = jax.random.normal(jax.random.key(1), (2, 4, 5))
WEIGHTS = jax.random.normal(jax.random.key(2), (2, 4, 3))


@pytest.fixture(params=["cpu", "default"])
def platform(request, monkeypatch):
    """The branch that a platform takes."""
    monkeypatch.setattr(
        jax.lax, "platform_dependent", lambda *given, **branches: branches[request.param](*given)
    )
    return request.param


def gradient(function, *given):
    return jax.jit(jax.grad(function))(*given)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_rows_and_their_gradient_are_those_of_take(platform, dtype):
    table, weights = TABLE.astype(dtype), WEIGHTS.astype(dtype)
    assert (gathers.rows(table, ROWS) == jnp.take(table, ROWS, axis=0)).all()
    found = gradient(lambda table: (gathers.rows(table, ROWS) * weights).sum(), table)
    wanted = gradient(lambda table: (jnp.take(table, ROWS, axis=0) * weights).sum(), table)
    assert found.dtype == dtype
    if platform == "cpu":
        assert (found == wanted).all()
    tolerance = 1e-6 if dtype == jnp.float32 else 0.03
    np.testing.assert_allclose(
        found.astype(jnp.float32), wanted.astype(jnp.float32), rtol=tolerance, atol=tolerance
    )
    assert (found[2:4] == 0).all()


def test_entries_and_their_gradient_are_bit_for_bit_those_of_take_along_axis(platform):
    def jaxs(values):
        return jnp.take_along_axis(values, ROWS[..., None], axis=-1)[..., 0]

    assert (gathers.entries(VALUES, ROWS) == jaxs(VALUES)).all()
    found = gradient(lambda values: jnp.sin(gathers.entries(values, ROWS)).sum(), VALUES)
    assert (found == gradient(lambda values: jnp.sin(jaxs(values)).sum(), VALUES)).all()


def test_lanes_have_gradients_of_their_own(platform):
    tables = jnp.stack([TABLE, 2 * TABLE])
    found = jax.vmap(jax.grad(lambda table, indices: jnp.sin(gathers.rows(table, indices)).sum()))(
        tables, ROWS
    )
    for table, indices, own in zip(tables, ROWS, found, strict=True):
        wanted = jax.grad(lambda table, indices: jnp.sin(jnp.take(table, indices, axis=0)).sum())(
            table, indices
        )
        np.testing.assert_allclose(own, wanted, rtol=1e-6)


def test_the_embedding_is_flaxs_by_name_and_number():
    ours, flaxs = gathers.Embed(5, 3), nn.Embed(5, 3)
    params = ours.init(jax.random.key(0), ROWS)
    assert jax.tree.all(jax.tree.map(jnp.array_equal, params, flaxs.init(jax.random.key(0), ROWS)))
    assert (ours.apply(params, ROWS) == flaxs.apply(params, ROWS)).all()
    half = gathers.Embed(5, 3, dtype=jnp.bfloat16).apply(params, ROWS)
    assert half.dtype == jnp.bfloat16
