"""Selects rows and entries by index, with gradients that accelerators compute without a scatter.

The gradient of a gather is a scatter. That is fine on a CPU. On a GPU its additions race or, if they must be
deterministic, run one after the other. There, the indices are compared with all possible values, of which
there are few, and a matrix product or a selection gives the same numbers.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn


class Embed(nn.Embed):
    """``flax.linen.Embed`` with a lookup by ``rows``."""

    def __call__(self, inputs: jax.Array) -> jax.Array:
        """Maps integers of any shape to that shape with a further dimension of size ``features``."""
        (embedding,) = self.promote_dtype(self.embedding, dtype=self.dtype, inexact=False)
        return rows(embedding, inputs)


@jax.custom_vjp
def rows(table: jax.Array, indices: jax.Array) -> jax.Array:
    """``table[indices]``; shapes=(rows, features) and any shape, to which the result adds (features,)."""
    return jnp.take(table, indices, axis=0)


def _rows_forward(table: jax.Array, indices: jax.Array) -> Any:
    return rows(table, indices), (table, indices)


def _rows_backward(residuals: Any, cotangent: jax.Array) -> Any:
    table, indices = residuals

    def scattered(cotangent: jax.Array) -> jax.Array:
        return jax.vjp(lambda table: jnp.take(table, indices, axis=0), table)[1](cotangent)[0]

    def multiplied(cotangent: jax.Array) -> jax.Array:
        chosen = jax.nn.one_hot(indices.reshape(-1), len(table), axis=0, dtype=cotangent.dtype)
        flat = cotangent.reshape(-1, table.shape[1])
        # These are sums of cotangents, so a lower precision that was set for products must not apply.
        return jnp.matmul(chosen, flat, precision=jax.lax.Precision.HIGHEST).astype(table.dtype)

    return jax.lax.platform_dependent(cotangent, cpu=scattered, default=multiplied), None


rows.defvjp(_rows_forward, _rows_backward)


@jax.custom_vjp
def entries(values: jax.Array, indices: jax.Array) -> jax.Array:
    """The entry of each vector at its index; shapes=(..., n) and (...); the result has the latter."""
    return jnp.take_along_axis(values, indices[..., None], axis=-1)[..., 0]


def _entries_forward(values: jax.Array, indices: jax.Array) -> Any:
    return entries(values, indices), (values, indices)


def _entries_backward(residuals: Any, cotangent: jax.Array) -> Any:
    values, indices = residuals

    def scattered(cotangent: jax.Array) -> jax.Array:
        def chosen(values: jax.Array) -> jax.Array:
            return jnp.take_along_axis(values, indices[..., None], axis=-1)[..., 0]

        return jax.vjp(chosen, values)[1](cotangent)[0]

    def selected(cotangent: jax.Array) -> jax.Array:
        every = jax.lax.broadcasted_iota(indices.dtype, values.shape, values.ndim - 1)
        return jnp.where(indices[..., None] == every, cotangent[..., None], 0)

    return jax.lax.platform_dependent(cotangent, cpu=scattered, default=selected), None


entries.defvjp(_entries_forward, _entries_backward)
