r"""Embeddings: the height :math:`f(\mathscr L)` of the graph over the parameters (paper, Eqs. 6 and 14).

Only the slope :math:`f'` enters an update. Any increasing, differentiable function of a scalar is an
embedding; those below have names. Where the slope is infinite (``log`` at a loss of exactly zero), the
loss cannot fall any further, and the update is zero.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from induced_metric.optimizers._arguments import Scalar, check_non_negative, check_positive


class Embedding(NamedTuple):
    """The height of the graph as a function of the loss, with its slope.

    Attributes:
        height: f.
        slope: f', the derivative of ``height``.
        needs_value: whether ``update`` must be given the loss as ``value=``.
    """

    height: Callable[[jax.Array], jax.Array]
    slope: Callable[[jax.Array], jax.Array]
    needs_value: bool = True


identity = Embedding(height=jnp.asarray, slope=jnp.ones_like, needs_value=False)

#: For positive losses. Below zero it continues as log|L|, whose descent drives the loss to zero.
log = Embedding(height=jnp.log, slope=jnp.reciprocal)

#: For positive losses; between ``identity`` and ``log``.
sqrt = Embedding(height=jnp.sqrt, slope=lambda loss: 0.5 * jax.lax.rsqrt(loss))

#: log(1 + e^L), for losses of any sign: ``identity`` far above zero, exponentially flat far below.
softplus = Embedding(height=jax.nn.softplus, slope=jax.nn.sigmoid)


def power(p: Scalar) -> Embedding:
    r"""The embedding :math:`f(L) = L^p` for positive losses.

    Args:
        p: the exponent, > 0; 1 is ``identity`` and 1/2 is ``sqrt``. As p tends to 0, the update tends to
            that of ``log``, up to the factors p in the learning rate and p² in ξ.

    Returns:
        An embedding that needs the loss.

    Raises:
        ValueError: for p <= 0.

    Example:
        >>> from induced_metric.optimizers import power
        >>> float(power(2.0).slope(3.0))
        6.0
    """
    check_positive(p=p)
    return Embedding(
        height=lambda loss: jnp.asarray(loss) ** p,
        slope=lambda loss: p * jnp.asarray(loss) ** (p - 1),
    )


def shifted_log(offset: Scalar) -> Embedding:
    r"""The embedding :math:`f(L) = \log(L + c)`, for losses above −c.

    Unlike that of ``log``, its update changes if the loss is rescaled. For losses below c it descends like
    ``identity``, up to the factor 1/c in the learning rate and 1/c² in ξ.

    Args:
        offset: c >= 0; 0 is ``log``.

    Returns:
        An embedding that needs the loss.

    Raises:
        ValueError: for c < 0.

    Example:
        >>> from induced_metric.optimizers import shifted_log
        >>> float(shifted_log(1.0).slope(3.0))
        0.25
    """
    check_non_negative(offset=offset)
    return Embedding(
        height=lambda loss: jnp.log(jnp.asarray(loss) + offset),
        slope=lambda loss: jnp.reciprocal(jnp.asarray(loss) + offset),
    )


_READY_MADE = {"identity": identity, "log": log, "sqrt": sqrt, "softplus": softplus}


def named_embedding(height: str) -> Embedding:
    """Returns a predefined embedding by name, for configurations, whose ``_target_`` must be callable.

    Args:
        height: ``identity``, ``log``, ``sqrt`` or ``softplus``.

    Raises:
        ValueError: for any other name.

    Example:
        >>> from induced_metric.optimizers import log, named_embedding
        >>> named_embedding("log") is log
        True
    """
    if height not in _READY_MADE:
        raise ValueError(f"height must be one of {', '.join(_READY_MADE)}, got {height!r}")
    return _READY_MADE[height]


def as_embedding(embedding: Embedding | Callable[[jax.Array], jax.Array]) -> Embedding:
    """Returns an embedding unchanged, and turns a function into one whose slope is found by ``jax.grad``.

    Args:
        embedding: an ``Embedding`` or an increasing, differentiable function of the loss.

    Raises:
        TypeError: for anything else.

    Example:
        >>> import jax.numpy as jnp
        >>> from induced_metric.optimizers import as_embedding
        >>> float(as_embedding(jnp.arcsinh).slope(0.0))
        1.0
    """
    if isinstance(embedding, Embedding):
        return embedding
    allowed = "identity, log, sqrt, softplus, power(p), shifted_log(c) or a function of the loss"
    if not callable(embedding):
        raise TypeError(f"embedding must be {allowed}, got {embedding!r}")
    makers: tuple[Any, ...] = (power, shifted_log, named_embedding)
    if embedding in makers:
        raise TypeError(f"embedding must be {allowed}, got {embedding.__name__} without its argument")
    return Embedding(height=embedding, slope=jax.grad(embedding))


def metric_scale(slope: jax.Array, norm: jax.Array) -> jax.Array:
    r"""The factor :math:`r = f' / (1 + f'^2 |\hat v|)` of Eqs. 10, 13 and 14.

    Args:
        slope: f' at the current loss.
        norm: :math:`|\hat v|`, of any shape.
    """
    # 1 / (1/f' + f' v) has no squares, so it is correct for losses and gradients of any magnitude.
    flat = jnp.isinf(slope) | (slope == 0)
    safe = jnp.where(flat, 1.0, slope)
    return jnp.where(flat, 0.0, 1 / (1 / safe + safe * norm))
