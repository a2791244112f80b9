"""Dropout and its keys: the masks do not depend on how a batch is divided, into parts or over devices."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


class StepKeys(NamedTuple):
    """The random keys of a training step, which do not depend on how its batch is divided."""

    shared: jax.Array  # shape=(), for masks that the whole batch shares
    examples: jax.Array  # shape=(examples,), for masks that belong to one example

    @classmethod
    def of(cls, key: jax.Array, examples: int) -> "StepKeys":
        """The keys of a step with this many examples.

        ``split(key, n)[i]`` is ``fold_in(key, i)``, so splitting and folding the same key would give the same
        keys twice. Each of the two fields therefore has a key of its own.
        """
        shared, per_example = jax.random.split(key)
        return cls(shared, jax.random.split(per_example, examples))

    def at(self, place: int) -> "StepKeys":
        """The keys for one of the places in a model that use randomness."""
        return StepKeys(
            jax.random.fold_in(self.shared, place),
            jax.vmap(jax.random.fold_in, (0, None))(self.examples, place),
        )


def dropout(x: jax.Array, keys: jax.Array, rate: float) -> jax.Array:
    """Inverted dropout: elements are dropped with probability ``rate`` and the others are scaled up.

    The mask of an example depends only on its own key, not on the examples computed with it. An element
    takes 16 random bits, half as many as ``jax.random.bernoulli`` takes. The rate is therefore rounded to a
    multiple of 2**-16, and the scale matches the rounded rate.

    Args:
        x: array of shape [examples, ...].
        keys: keys of shape [examples].
        rate: dropout rate in [0, 1).
    """
    dropped = round(rate * 2**16)
    size = int(np.prod(x.shape[1:]))

    def bits(key: jax.Array) -> jax.Array:
        words = jax.random.bits(key, (-(-size // 2),), jnp.uint32)
        return jax.lax.bitcast_convert_type(words, jnp.uint16).reshape(-1)[:size].reshape(x.shape[1:])

    scale = 1 / (1 - dropped / 2**16)
    return jnp.where(jax.vmap(bits)(keys) >= dropped, x * scale, 0)
