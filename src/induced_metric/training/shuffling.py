"""The order of the training examples: a random permutation, or one bijection of another an epoch."""

import jax
import jax.numpy as jnp

_ROUNDS = 16  # from 12 on, how the batches of two epochs overlap is that of independent permutations


def permutation(key: jax.Array, examples: int) -> jax.Array:
    """All permutations alike; drawn by sorting, which takes longer than some models do for an epoch."""
    return jax.random.permutation(key, examples)


def bijection(key: jax.Array, examples: int) -> jax.Array:
    r"""A pseudo-random permutation of 0 … n - 1 without sorting: each index goes its own way.

    In every round i, of a random :math:`K_i` and a pseudo-random bit :math:`F_i`,

    .. math:: x \leftarrow \begin{cases} K_i - x \bmod n & \text{if } F_i(\max(x, K_i - x \bmod n)) \\
        x & \text{else} \end{cases}

    which swaps x with its partner or leaves both (swap-or-not: Hoang, Morris and Rogaway, CRYPTO 2012). There
    are fewer of these than permutations: as an order, take them of a permutation that was drawn.

    Args:
        key: of the generator.
        examples: n, below 2**31.

    Returns:
        shape=(n,), int32.
    """
    bits = jax.random.bits(key, (2, _ROUNDS), jnp.uint32)
    pivots = (bits[0] % jnp.uint32(examples)).astype(jnp.int32)
    factors = (bits[1] | 1).astype(jnp.int32)
    x = jnp.arange(examples, dtype=jnp.int32)
    for pivot, factor in zip(pivots, factors, strict=True):
        partner = pivot - x
        partner = jnp.where(partner < 0, partner + examples, partner)
        # The top bit of a product with a random odd number: all bits of the index have a part in it.
        swap = jnp.maximum(x, partner) * factor < 0
        x = jnp.where(swap, partner, x)
    return x
