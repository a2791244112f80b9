"""The residual network of the CIFAR-10 task (He et al., 2016, arXiv:1512.03385)."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import linen as nn


class BasicBlock(nn.Module):
    """Two 3×3 convolutions and a shortcut, projected by a 1×1 convolution where the shape changes.

    Attributes:
        width: channels of the output.
        stride: of the first convolution.
    """

    width: int
    stride: int = 1

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """Maps [examples, height, width, channels] to the block's width and, divided by it, stride."""
        strides = (self.stride, self.stride)
        y = nn.Conv(self.width, (3, 3), strides)(x)
        y = nn.relu(nn.BatchNorm(use_running_average=not train)(y))
        y = nn.Conv(self.width, (3, 3))(y)
        y = nn.BatchNorm(use_running_average=not train)(y)
        if x.shape != y.shape:
            x = nn.Conv(self.width, (1, 1), strides)(x)
            x = nn.BatchNorm(use_running_average=not train)(x)
        return nn.relu(x + y)


class ResNet(nn.Module):
    """A residual network for 32×32 images: 3×3 stem, no max-pool, halving from the second stage on.

    As published, convolutions have biases although BatchNorm follows, and BatchNorm has flax's defaults:
    momentum 0.99, epsilon 1e-5. Stages of two blocks with widths 64, 128, 256, 512 make ResNet-18.

    Attributes:
        widths: channels of each stage.
        blocks: blocks of each stage.
        classes: number of classes.
    """

    widths: Sequence[int] = (64, 128, 256, 512)
    blocks: int = 2
    classes: int = 10

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """Maps images [examples, height, width, channels] to logits [examples, classes]."""
        x = nn.Conv(self.widths[0], (3, 3))(x)
        x = nn.relu(nn.BatchNorm(use_running_average=not train)(x))
        for stage, width in enumerate(self.widths):
            for block in range(self.blocks):
                x = BasicBlock(width, stride=2 if stage and not block else 1)(x, train=train)
        return nn.Dense(self.classes)(jnp.mean(x, axis=(1, 2)))
