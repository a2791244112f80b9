"""Dropout and its keys: the same masks however a batch is divided, into parts or over devices."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


class StepKeys(NamedTuple):
    """Randomness of a training step, the same however its batch is divided."""

    shared: jax.Array  # shape=(), for what the whole batch shares
    examples: jax.Array  # shape=(examples,), for what is an example's own

    @classmethod
    def of(cls, key: jax.Array, examples: int) -> "StepKeys":
        """The keys of a step of so many examples.

        ``split(key, n)[i]`` is ``fold_in(key, i)``: a key that is split and folded gives the same keys twice,
        so each of the two fields has a key of its own.
        """
        shared, own = jax.random.split(key)
        return cls(shared, jax.random.split(own, examples))

    def at(self, place: int) -> "StepKeys":
        """The keys of one of a model's random places."""
        return StepKeys(
            jax.random.fold_in(self.shared, place),
            jax.vmap(jax.random.fold_in, (0, None))(self.examples, place),
        )


def dropout(x: jax.Array, keys: jax.Array, rate: float) -> jax.Array:
    """Inverted dropout: an element is dropped with probability ``rate``, what stays is scaled up.

    The mask of an example follows from its own key, whatever other examples it is computed with. An element
    takes 16 random bits, half of what ``jax.random.bernoulli`` takes, so the rate is rounded to a multiple of
    2**-16 and the scale belongs to the rounded one.

    Args:
        x: of shape [examples, ...].
        keys: of shape [examples].
        rate: in [0, 1).
    """
    dropped = round(rate * 2**16)
    size = int(np.prod(x.shape[1:]))

    def bits(key: jax.Array) -> jax.Array:
        words = jax.random.bits(key, (-(-size // 2),), jnp.uint32)
        return jax.lax.bitcast_convert_type(words, jnp.uint16).reshape(-1)[:size].reshape(x.shape[1:])

    scale = 1 / (1 - dropped / 2**16)
    return jnp.where(jax.vmap(bits)(keys) >= dropped, x * scale, 0)
