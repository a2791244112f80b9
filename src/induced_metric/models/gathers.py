"""Choosing rows and entries by index, with gradients that accelerators compute without a scatter.

The gradient of a gather is a scatter: fine on a CPU, but on a GPU additions that race, or, where these have
to be deterministic, one after the other. There a comparison with all indices, of which there are few, gives
the same numbers as a product or a choice.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn


class Embed(nn.Embed):
    """``flax.linen.Embed``, looked up with ``rows``."""

    def __call__(self, inputs: jax.Array) -> jax.Array:
        """Maps integers of any shape to that shape with a dimension of ``features`` more."""
        (embedding,) = self.promote_dtype(self.embedding, dtype=self.dtype, inexact=False)
        return rows(embedding, inputs)


@jax.custom_vjp
def rows(table: jax.Array, indices: jax.Array) -> jax.Array:
    """``table[indices]``; shapes=(rows, features) and any, which gets a dimension of features more."""
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
        # Sums of cotangents, which no lower precision of products is meant for.
        return jnp.matmul(chosen, flat, precision=jax.lax.Precision.HIGHEST).astype(table.dtype)

    return jax.lax.platform_dependent(cotangent, cpu=scattered, default=multiplied), None


rows.defvjp(_rows_forward, _rows_backward)


@jax.custom_vjp
def entries(values: jax.Array, indices: jax.Array) -> jax.Array:
    """The entry of each vector that its index names; shapes=(..., n) and (...), which the result has."""
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
