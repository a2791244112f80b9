"""Layers in a form that XLA's CPU backend runs fast; the mathematics is flax's own."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

_GELU_SCALE = np.float32(np.sqrt(2 / np.pi))
_GELU_CUBIC = 0.044715


@jax.custom_jvp
def gelu(x: jax.Array) -> jax.Array:
    r"""GELU in its tanh form, :math:`x (1 + \tanh(\sqrt{2/\pi} (x + 0.044715 x^3))) / 2`, as ``jax.nn.gelu``.

    Its derivative reuses the tanh of the forward pass, the dearest part of a small MLP's step.
    """
    return 0.5 * x * (1 + jnp.tanh(_GELU_SCALE * (x + _GELU_CUBIC * x**3)))


@gelu.defjvp
def _gelu_jvp(primals: tuple[jax.Array], tangents: tuple[jax.Array]) -> tuple[jax.Array, jax.Array]:
    (x,), (x_dot,) = primals, tangents
    tanh = jnp.tanh(_GELU_SCALE * (x + _GELU_CUBIC * x**3))
    slope = 0.5 * (1 + tanh) + 0.5 * x * (1 - tanh**2) * _GELU_SCALE * (1 + 3 * _GELU_CUBIC * x**2)
    return 0.5 * x * (1 + tanh), slope * x_dot


@jax.custom_vjp
def _matmul(x: jax.Array, kernel: jax.Array) -> jax.Array:
    return x @ kernel


def _matmul_forward(x: jax.Array, kernel: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return x @ kernel, (x, kernel)


def _matmul_backward(
    residuals: tuple[jax.Array, jax.Array], cotangent: jax.Array
) -> tuple[jax.Array, jax.Array]:
    x, kernel = residuals
    rows, columns = x.reshape(-1, x.shape[-1]), cotangent.reshape(-1, cotangent.shape[-1])
    # (gᵀx)ᵀ instead of xᵀg: XLA's CPU matmul is faster with the narrow factor on the left.
    return cotangent @ kernel.T, (columns.T @ rows).T


_matmul.defvjp(_matmul_forward, _matmul_backward)


def dense_dot_general(
    x: jax.Array, kernel: jax.Array, dimension_numbers: Any, precision: Any = None, **_: Any
) -> jax.Array:
    """``dot_general`` for ``flax.linen.Dense(dot_general=...)``: the last axis of ``x`` with a 2-D kernel.

    Raises:
        ValueError: for another contraction, or for a precision, which this product does not take.
    """
    if dimension_numbers != (((x.ndim - 1,), (0,)), ((), ())) or kernel.ndim != 2 or precision is not None:
        raise ValueError(f"only the product of a dense layer is supported, got {dimension_numbers}")
    return _matmul(x, kernel)


class StepKeys(NamedTuple):
    """Randomness of a training step, the same however its batch is divided."""

    shared: jax.Array  # shape=(), for what the whole batch shares
    examples: jax.Array  # shape=(examples,), for what is an example's own

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

    scale = np.float32(1 / (1 - dropped / 2**16))
    return jnp.where(jax.vmap(bits)(keys) >= dropped, x * scale, 0)
