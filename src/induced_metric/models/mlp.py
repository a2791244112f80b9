"""The multi-layer perceptron of the regression and MNIST tasks."""

from collections.abc import Sequence

import jax
from flax import linen as nn
from flax.typing import Dtype


class MLP(nn.Module):
    """Dense layers with GELU (in its tanh form) between them; flax's default initialisers, as published.

    Attributes:
        widths: width of each layer after the input; the last one is the output.
        dtype: dtype of the computation, None for that of inputs and parameters; parameters stay float32.
    """

    widths: Sequence[int]
    dtype: Dtype | None = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps inputs of shape [..., features] to [..., widths[-1]]."""
        for width in self.widths[:-1]:
            x = nn.gelu(nn.Dense(width, dtype=self.dtype)(x))
        return nn.Dense(self.widths[-1], dtype=self.dtype)(x)
