"""The order of the training examples: a random permutation, possibly rearranged by a bijection each epoch."""

import jax
import jax.numpy as jnp

_ROUNDS = 16  # from 12 on, the batches of two epochs overlap as with independent permutations


def bijection(key: jax.Array, examples: int) -> jax.Array:
    r"""A pseudo-random permutation of 0 … n - 1 without sorting: each index is mapped on its own.

    Every round i has a random :math:`K_i` and a pseudo-random bit :math:`F_i`, and maps

    .. math:: x \leftarrow \begin{cases} K_i - x \bmod n & \text{if } F_i(\max(x, K_i - x \bmod n)) \\
        x & \text{else} \end{cases}

    which swaps x with its partner or leaves both (swap-or-not: Hoang, Morris and Rogaway, CRYPTO 2012). There
    are fewer of these bijections than permutations, so apply one to a permutation drawn at random.

    Args:
        key: key of the random generator.
        examples: n, below 2**31.

    Returns:
        An int32 array of shape (n,).
    """
    bits = jax.random.bits(key, (2, _ROUNDS), jnp.uint32)
    pivots = (bits[0] % jnp.uint32(examples)).astype(jnp.int32)
    factors = (bits[1] | 1).astype(jnp.int32)
    x = jnp.arange(examples, dtype=jnp.int32)
    for pivot, factor in zip(pivots, factors, strict=True):
        partner = pivot - x
        partner = jnp.where(partner < 0, partner + examples, partner)
        # The top bit of a product with a random odd number depends on all bits of the index.
        swap = jnp.maximum(x, partner) * factor < 0
        x = jnp.where(swap, partner, x)
    return x
