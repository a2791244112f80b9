"""The residual network of the CIFAR-10 task (He et al., 2016, arXiv:1512.03385)."""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.typing import Dtype

from induced_metric.models.convolution import convolve


class BasicBlock(nn.Module):
    """Two 3×3 convolutions and a shortcut, projected by a 1×1 convolution where the shape changes.

    Attributes:
        width: channels of the output.
        stride: stride of the first convolution.
        dtype: as in ``ResNet``.
    """

    width: int
    stride: int = 1
    dtype: Dtype | None = None

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """Maps [examples, height, width, channels] to ``width`` channels; divides the size by ``stride``."""
        conv = functools.partial(nn.Conv, dtype=self.dtype, conv_general_dilated=convolve)
        norm = functools.partial(nn.BatchNorm, use_running_average=not train, dtype=self.dtype)
        strides = (self.stride, self.stride)
        y = conv(self.width, (3, 3), strides)(x)
        y = nn.relu(norm()(y))
        y = conv(self.width, (3, 3))(y)
        y = norm()(y)
        if x.shape != y.shape:
            x = conv(self.width, (1, 1), strides)(x)
            x = norm()(x)
        return nn.relu(x + y)


class ResNet(nn.Module):
    """A residual network for 32×32 images: 3×3 stem, no max-pooling, size halved from the second stage on.

    As published, convolutions have biases although BatchNorm follows, and BatchNorm has flax's defaults:
    momentum 0.99, epsilon 1e-5. ResNet-18 has stages of two blocks with widths 64, 128, 256 and 512.

    Attributes:
        widths: channels of each stage.
        blocks: blocks per stage.
        classes: number of classes.
        dtype: dtype of the computation, None for the parameters'; parameters and statistics stay float32.
    """

    widths: Sequence[int]
    blocks: int
    classes: int = 10
    dtype: Dtype | None = None

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """Maps images [examples, height, width, channels] to logits [examples, classes]."""
        x = nn.Conv(self.widths[0], (3, 3), dtype=self.dtype, conv_general_dilated=convolve)(x)
        x = nn.relu(nn.BatchNorm(use_running_average=not train, dtype=self.dtype)(x))
        for stage, width in enumerate(self.widths):
            for block in range(self.blocks):
                stride = 2 if stage and not block else 1
                x = BasicBlock(width, stride, self.dtype)(x, train=train)
        return nn.Dense(self.classes, dtype=self.dtype)(jnp.mean(x, axis=(1, 2)))
