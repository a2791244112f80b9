"""A convolution whose gradients are as fast inside a loop on CPU as outside."""

import functools
from collections.abc import Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp

Pair: TypeAlias = tuple[int, int]
_LAYOUT = ("NHWC", "HWIO", "NHWC")


def convolve(
    images: jax.Array, kernel: jax.Array, strides: Sequence[int], padding: Sequence[Pair] | str, **_: Any
) -> jax.Array:
    """``jax.lax.conv_general_dilated`` for ``flax.linen.Conv``, without dilation or groups.

    On CPU, XLA hands a convolution to its fast kernels only in one order of dimensions. It puts others into
    that order, the gradients among them, but not inside of a loop, and an epoch is a loop: there they took
    eight times as long. So on CPU the gradients are written in that order here; elsewhere they are JAX's own.

    Args:
        images: of shape [examples, height, width, channels].
        kernel: of shape [rows, columns, channels, features].
        strides: along height and width.
        padding: ``SAME``, ``VALID`` or a pair for height and one for width.

    Returns:
        Of shape [examples, height', width', features].
    """
    if isinstance(padding, str):
        padding = jax.lax.padtype_to_pads(images.shape[1:3], kernel.shape[:2], strides, padding)
    return jax.lax.platform_dependent(
        images,
        kernel,
        cpu=functools.partial(_on_cpu, strides=tuple(strides), padding=tuple(padding)),
        default=functools.partial(_convolution, strides=strides, padding=padding),
    )


def _convolution(
    images: jax.Array, kernel: jax.Array, strides: Sequence[int], padding: Sequence[Pair], **dilation: Any
) -> jax.Array:
    return jax.lax.conv_general_dilated(
        images, kernel, strides, padding, dimension_numbers=_LAYOUT, **dilation
    )


def _on_cpu(
    images: jax.Array, kernel: jax.Array, strides: Sequence[int], padding: Sequence[Pair]
) -> jax.Array:
    if kernel.shape[:2] == (1, 1) and padding == ((0, 0), (0, 0)):
        return images[:, :: strides[0], :: strides[1]] @ kernel[0, 0]
    return _with_gradients(images, kernel, strides, padding)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _with_gradients(
    images: jax.Array, kernel: jax.Array, strides: Sequence[int], padding: Sequence[Pair]
) -> jax.Array:
    return _convolution(images, kernel, strides, padding)


def _forward(images: jax.Array, kernel: jax.Array, strides: Sequence[int], padding: Sequence[Pair]) -> Any:
    return _convolution(images, kernel, strides, padding), (images, kernel)


def _backward(
    strides: Sequence[int], padding: Sequence[Pair], inputs: tuple[jax.Array, jax.Array], cotangent: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """The two gradients as convolutions; their padding gives each the shape of its input."""
    images, kernel = inputs
    of_images, of_kernel = [], []
    for axis in range(2):
        size, window, (low, _) = images.shape[axis + 1], kernel.shape[axis], padding[axis]
        # Of the cotangent, dilated by the stride.
        spread = (cotangent.shape[axis + 1] - 1) * strides[axis] + 1
        of_images.append((window - 1 - low, size - spread + low))
        of_kernel.append((low, window - 1 + spread - size - low))
    images_gradient = _convolution(
        cotangent,
        jnp.swapaxes(jnp.flip(kernel, (0, 1)), 2, 3),
        (1, 1),
        of_images,
        lhs_dilation=strides,
    )
    kernel_gradient = _convolution(
        jnp.transpose(images, (3, 1, 2, 0)),
        jnp.transpose(cotangent, (1, 2, 0, 3)),
        (1, 1),
        of_kernel,
        rhs_dilation=strides,
    )
    return images_gradient, jnp.transpose(kernel_gradient, (1, 2, 0, 3))


_with_gradients.defvjp(_forward, _backward)
