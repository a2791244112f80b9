"""A convolution that on a CPU is as fast as matrix products, also in loops and with large batches."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp

from induced_metric.models.sharding import data_axes

Pair: TypeAlias = tuple[int, int]
_LAYOUT = ("NHWC", "HWIO", "NHWC")
# Numbers of examples computed at once on a CPU, so that they stay in its caches; measured.
_PART = 64
_PART_OF_KERNEL_GRADIENT = 8
# Up to this many channels and features, the kernel's gradient is faster as a convolution than as a product of
# patches. Both were measured in turn: the median ratio of their times was 0.3 to 0.8 with 3 to 32 channels,
# batches of 32 to 256 and images of 8×8 to 32×32, in parts of 32. No part of 16, 32 or 64 was always best.
_NARROW = 32
_PART_OF_NARROW_GRADIENT = 32
_LARGE_IMAGE = 512  # pixels; from this size on, a batch in one piece is faster, since it saves copies


def convolve(
    images: jax.Array,
    kernel: jax.Array,
    strides: Sequence[int],
    padding: Sequence[Pair] | str,
    **options: Any,
) -> jax.Array:
    """``jax.lax.conv_general_dilated`` for ``flax.linen.Conv``, without its other options.

    On a CPU, three things make XLA's own convolution slow and are avoided here. On other devices XLA's
    convolution is used as it is.

    - XLA has fast kernels for only one order of dimensions. It converts others to that order, but not inside
      a loop, and an epoch is a loop. There, a layer of ResNet-18 with its gradients is 100 times slower.
    - Its gradient of the kernel, a convolution with windows as large as the images, has a fifth of the speed
      of a matrix product. Here the gradient is such a product, of the cotangent and the patches of a few
      images at a time. With few channels it is instead a convolution of a part of the batch.
    - With many small images, its kernels exceed the caches. Here they get a part of the batch at a time.

    Under a mesh whose size divides the batch, every device computes its share of the examples.

    Args:
        images: array of shape [examples, height, width, channels].
        kernel: array of shape [rows, columns, channels, features].
        strides: strides along height and width.
        padding: ``SAME``, ``VALID``, or one pair for the height and one for the width.
        options: the options that ``flax.linen.Conv`` passes; they must have their defaults.

    Returns:
        An array of shape [examples, height', width', features].

    Raises:
        ValueError: for dilation, groups, a precision or another order of dimensions.
    """
    _refuse(options, images.shape, kernel.shape)
    if isinstance(padding, str):
        padding = jax.lax.padtype_to_pads(images.shape[1:3], kernel.shape[:2], strides, padding)
    return jax.lax.platform_dependent(
        images,
        kernel,
        cpu=functools.partial(_on_cpu, strides=tuple(strides), padding=tuple(padding)),
        default=functools.partial(_convolution, strides=strides, padding=padding),
    )


def _refuse(options: dict[str, Any], images: Sequence[int], kernel: Sequence[int]) -> None:
    """Raises ValueError unless every option has its default, so that none is silently ignored."""
    for name, value in options.items():
        if name == "dimension_numbers":
            layout = jax.lax.conv_dimension_numbers(images, kernel, _LAYOUT)
            default = value is None or jax.lax.conv_dimension_numbers(images, kernel, value) == layout
        else:
            default = value is None or value == {
                "lhs_dilation": (1, 1),
                "rhs_dilation": (1, 1),
                "feature_group_count": 1,
                "batch_group_count": 1,
            }.get(name)
        if not default:
            raise ValueError(f"convolve does not support {name}={value}: leave it at its default")


def _convolution(
    images: jax.Array, kernel: jax.Array, strides: Sequence[int], padding: Sequence[Pair], **options: Any
) -> jax.Array:
    return jax.lax.conv_general_dilated(
        images, kernel, strides, padding, dimension_numbers=_LAYOUT, **options
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
    def convolution(images: jax.Array, kernel: jax.Array) -> jax.Array:
        return _in_parts(lambda part: _convolution(part, kernel, strides, padding), images)

    axes = data_axes(len(images))
    if not axes:
        return convolution(images, kernel)
    spec = jax.P(axes)
    return jax.shard_map(convolution, in_specs=(spec, jax.P()), out_specs=spec, check_vma=False)(
        images, kernel
    )


def _forward(images: jax.Array, kernel: jax.Array, strides: Sequence[int], padding: Sequence[Pair]) -> Any:
    return _with_gradients(images, kernel, strides, padding), (images, kernel)


def _backward(
    strides: Sequence[int], padding: Sequence[Pair], inputs: tuple[jax.Array, jax.Array], cotangent: jax.Array
) -> tuple[jax.Array, jax.Array]:
    def gradients(images: jax.Array, kernel: jax.Array, cotangent: jax.Array) -> tuple[jax.Array, jax.Array]:
        return (
            _images_gradient(images.shape[1:3], kernel, cotangent, strides, padding),
            _kernel_gradient(images, kernel.shape, cotangent, strides, padding),
        )

    axes = data_axes(len(cotangent))
    if axes:

        def share(*arrays: jax.Array) -> tuple[jax.Array, jax.Array]:
            of_images, of_kernel = gradients(*arrays)
            return of_images, jax.lax.psum(of_kernel, axes)

        spec = jax.P(axes)
        of_images, of_kernel = jax.shard_map(
            share, in_specs=(spec, jax.P(), spec), out_specs=(spec, jax.P()), check_vma=False
        )(*inputs, cotangent)
    else:
        of_images, of_kernel = gradients(*inputs, cotangent)
    return of_images, of_kernel.astype(inputs[1].dtype)


_with_gradients.defvjp(_forward, _backward)


def _images_gradient(
    size: Sequence[int],
    kernel: jax.Array,
    cotangent: jax.Array,
    strides: Sequence[int],
    padding: Sequence[Pair],
) -> jax.Array:
    """A convolution of the dilated cotangent, padded so that the result has the size of the images."""
    turned = jnp.swapaxes(jnp.flip(kernel, (0, 1)), 2, 3)
    around = []
    for axis in range(2):
        spread = (cotangent.shape[axis + 1] - 1) * strides[axis] + 1
        before = kernel.shape[axis] - 1 - padding[axis][0]
        around.append((before, size[axis] - spread + padding[axis][0]))
    return _in_parts(lambda part: _convolution(part, turned, (1, 1), around, lhs_dilation=strides), cotangent)


def _kernel_gradient(
    images: jax.Array,
    shape: Sequence[int],
    cotangent: jax.Array,
    strides: Sequence[int],
    padding: Sequence[Pair],
) -> jax.Array:
    """The sum of cotangent × patch over examples and positions, in parts and in at least float32."""
    if max(shape[2:]) <= _NARROW:
        of_part = functools.partial(_as_convolution, shape=shape, strides=strides, padding=padding)
        size = _PART_OF_NARROW_GRADIENT
    else:
        of_part = functools.partial(_as_product, shape=shape, strides=strides, padding=padding)
        size = _PART_OF_KERNEL_GRADIENT
    whole, rest = _split(size, images, cotangent)
    total = of_part(*rest)
    if whole is not None:
        total, _ = jax.lax.scan(lambda total, part: (total + of_part(*part), None), total, whole)
    return total


def _as_convolution(
    images: jax.Array, cotangent: jax.Array,
    *, shape: Sequence[int], strides: Sequence[int], padding: Sequence[Pair],
) -> jax.Array:  # fmt: skip
    """A convolution that takes channels as examples, with the dilated cotangents as windows."""
    around = []
    for axis in range(2):
        spread = (cotangent.shape[axis + 1] - 1) * strides[axis] + 1
        before = padding[axis][0]
        around.append((before, shape[axis] - 1 + spread - images.shape[axis + 1] - before))
    total = _convolution(
        images.transpose(3, 1, 2, 0),
        cotangent.transpose(1, 2, 0, 3),
        (1, 1),
        around,
        rhs_dilation=strides,
        preferred_element_type=jnp.promote_types(images.dtype, jnp.float32),
    )
    return total.transpose(1, 2, 0, 3)


def _as_product(
    images: jax.Array, cotangent: jax.Array,
    *, shape: Sequence[int], strides: Sequence[int], padding: Sequence[Pair],
) -> jax.Array:  # fmt: skip
    """A matrix product of the cotangents and the patches of the images, side by side."""
    height, width = cotangent.shape[1:3]
    # On a CPU, XLA cannot multiply two bfloat16 matrices with a float32 result: it raises an error.
    wide = jnp.promote_types(images.dtype, jnp.float32)
    images, cotangent = images.astype(wide), cotangent.astype(wide)
    padded = jax.lax.pad(
        images, jnp.zeros([], images.dtype), [(0, 0, 0), *((*pair, 0) for pair in padding), (0, 0, 0)]
    )
    patches = [
        padded[
            :,
            row : row + (height - 1) * strides[0] + 1 : strides[0],
            column : column + (width - 1) * strides[1] + 1 : strides[1],
        ]
        for row in range(shape[0])
        for column in range(shape[1])
    ]
    total = jax.lax.dot_general(
        cotangent,
        jnp.concatenate(patches, axis=-1),
        (((0, 1, 2), (0, 1, 2)), ((), ())),
    )
    return total.T.reshape(shape)


def _in_parts(function: Callable[[jax.Array], jax.Array], images: jax.Array) -> jax.Array:
    """Applies a function that treats each example alone, to a part of them at a time if images are small."""
    if images.shape[1] * images.shape[2] >= _LARGE_IMAGE:
        return function(images)
    whole, (rest,) = _split(_PART, images)
    last = function(rest)
    if whole is None:
        return last
    first = jax.lax.map(function, whole[0])
    return jnp.concatenate([first.reshape(-1, *last.shape[1:]), last])


def _split(size: int, *arrays: jax.Array) -> tuple[tuple[jax.Array, ...] | None, tuple[jax.Array, ...]]:
    """Stacked parts of ``size`` examples, or None if there are none, and the last 1 to ``size`` examples."""
    parts = (arrays[0].shape[0] - 1) // size
    end = parts * size
    rest = tuple(array[end:] for array in arrays)
    if not parts:
        return None, rest
    return tuple(array[:end].reshape(parts, size, *array.shape[1:]) for array in arrays), rest
