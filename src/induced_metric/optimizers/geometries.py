r"""Geometries: the metric :math:`\gamma` of the parameters, without the loss (paper, Eq. 5)."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.typing import DTypeLike

from induced_metric.optimizers._arguments import Params, Scalar, check_decay, check_positive, check_real


class GeometryUpdate(Protocol):
    """``update(grads, state, params, count=…)`` of a geometry."""

    def __call__(
        self, grads: Params, state: Any, params: Params | None, *, count: jax.Array, **extra: Any
    ) -> tuple[Params, Params, Any]:
        r"""Returns :math:`\gamma^{-1}\hat m`, :math:`g\cdot\gamma^{-1}g` for every leaf, and the state."""


class Geometry(NamedTuple):
    r"""Defines :math:`\gamma^{-1}` by ``init(params)`` and ``update`` (see ``GeometryUpdate``)."""

    init: Callable[[Params], Any]
    update: GeometryUpdate


class RMSState(NamedTuple):
    """State of ``rms``; both trees have the shapes of the parameters."""

    first_moment: Params
    second_moment: Params


def bias_correction(decay: Scalar, count: jax.Array) -> jax.Array:
    """``1 / (1 - decay**count)``, one factor for a whole tree; optax divides every element instead."""
    return jnp.reciprocal(1 - decay**count)


def accumulators(params: Params, dtype: DTypeLike | None = None) -> Params:
    """Zeros in the shapes of the parameters, by default in their dtype or float32, whichever is wider.

    A moving average with a decay of 0.99 or more stalls in bfloat16, because its increments round to zero.
    """

    def zeros(leaf: Any) -> jax.Array:
        return jnp.zeros_like(leaf, dtype or jnp.promote_types(jnp.result_type(leaf), jnp.float32))

    return jax.tree.map(zeros, params)


def wide(leaf: jax.Array) -> jax.Array:
    """The leaf in at least float32, in which gradients are averaged and squares are summed.

    In float16, for example, the square of a gradient of 1e-4 is 0.
    """
    return leaf.astype(jnp.promote_types(leaf.dtype, jnp.float32))


def euclidean(
    momentum: Scalar = 0.9, *, heavy_ball: bool = False, accumulator_dtype: DTypeLike | None = None
) -> Geometry:
    r""":math:`\gamma = 1`; the direction is the bias-corrected moving average of the gradients.

    Args:
        momentum: decay μ of the moving average, in [0, 1).
        heavy_ball: use the sum :math:`b_t = \mu b_{t-1} + g_t` as the direction, as in ``optax.sgd``. In
            the long run, it is the average times 1 / (1 − μ).
        accumulator_dtype: dtype of the moving average; by default that of the parameters, or float32
            where theirs is narrower.
    """
    check_decay(momentum=momentum)

    def init(params: Params) -> Params:
        check_real(params)
        return accumulators(params, accumulator_dtype)

    def update(grads, state, params, *, count, **extra):  # type: ignore[no-untyped-def]
        del params, extra
        grads = jax.tree.map(wide, grads)
        if heavy_ball:
            first_moment = direction = optax.tree.add_scale(grads, momentum, state)
        else:
            first_moment = optax.tree.update_moment(grads, state, momentum, 1)
            correction = bias_correction(momentum, count)
            direction = jax.tree.map(lambda m: m * correction.astype(m.dtype), first_moment)
        squared_norms = jax.tree.map(lambda g: jnp.sum(jnp.square(g)), grads)
        return direction, squared_norms, optax.tree.cast_like(first_moment, state)

    return Geometry(init=init, update=update)


def rms(
    momentum: Scalar = 0.9,
    beta_rms: Scalar = 0.99,
    eps: Scalar = 1e-8,
    *,
    accumulator_dtype: DTypeLike | None = None,
) -> Geometry:
    r""":math:`\gamma^{-1} = 1/(\sqrt{\hat r} + \epsilon)`, where r̂ is the bias-corrected EMA of :math:`g^2`.

    As in Adam, a coordinate whose :math:`g^2` overflows, above 1.8e19 for g in float32, never moves again.

    Args:
        momentum: decay μ of the moving average of the gradients, in [0, 1).
        beta_rms: decay of the moving average of their squares, in [0, 1).
        eps: ε > 0, added outside the square root.
        accumulator_dtype: dtype of both moving averages; by default that of the parameters, or float32
            where theirs is narrower.
    """
    check_decay(momentum=momentum, beta_rms=beta_rms)
    check_positive(eps=eps)  # 0 / 0 of one coordinate would be NaN in the norm of all

    def init(params: Params) -> RMSState:
        check_real(params)
        return RMSState(*(accumulators(params, accumulator_dtype) for _ in range(2)))

    def update(grads, state, params, *, count, **extra):  # type: ignore[no-untyped-def]
        del params, extra
        grads = jax.tree.map(wide, grads)
        first_moment = optax.tree.update_moment(grads, state.first_moment, momentum, 1)
        second_moment = optax.tree.update_moment_per_elem_norm(grads, state.second_moment, beta_rms, 2)
        correction = bias_correction(momentum, count)
        unbiased = jnp.sqrt(bias_correction(beta_rms, count))

        def inverse_metric(vector: jax.Array, *diagonal: jax.Array) -> jax.Array:
            r, unbiased, eps = diagonal
            return vector / (jnp.sqrt(r) * unbiased.astype(r.dtype) + eps.astype(r.dtype))

        def squared_norm(g: jax.Array, r: jax.Array) -> jax.Array:
            # The norm must be known before the update, so both evaluate the inverse metric. In XLA it costs
            # more to share it than to repeat it: if shared, it is written to a new buffer and read twice.
            # g · (g / d) instead of g² / d, because the square of a large gradient would be infinite.
            hidden = jax.lax.optimization_barrier((r, unbiased, jnp.asarray(eps)))
            return jnp.sum(g * inverse_metric(g, *hidden))

        squared_norms = jax.tree.map(squared_norm, grads, second_moment)
        direction = jax.tree.map(
            lambda m, r: inverse_metric(m * correction.astype(m.dtype), r, unbiased, jnp.asarray(eps)),
            first_moment,
            second_moment,
        )
        moments = RMSState(first_moment, second_moment)
        return direction, squared_norms, optax.tree.cast_like(moments, state)

    return Geometry(init=init, update=update)


def preconditioned_by(base: optax.GradientTransformation) -> Geometry:
    r"""The geometry that an optax transformation implies: :math:`\gamma^{-1}\hat m` is its update P g.

    The squared norm is :math:`g \cdot P g`. It is exact if ``base`` has no momentum. Otherwise it is the
    product of the gradient with the averaged direction, an approximation. It costs one dot product.

    Args:
        base: any optax transformation, with or without a learning rate.

    Raises:
        TypeError: for anything else.
    """
    if not (hasattr(base, "init") and hasattr(base, "update")):
        raise TypeError(f"base must be an optax transformation, such as optax.scale_by_adam(), got {base!r}")
    base = optax.with_extra_args_support(base)

    def update(grads, state, params, *, count, **extra):  # type: ignore[no-untyped-def]
        del count
        direction, state = base.update(grads, state, params, **extra)
        products = jax.tree.map(product, grads, direction)
        return direction, products, state

    def product(g: jax.Array, d: jax.Array) -> jax.Array:
        products = wide(g) * wide(d)
        # Finite even if they overflow, with room for the sums and ξ: a base with a learning rate makes them
        # negative, one with momentum makes both signs, and neither -∞ nor NaN would ever leave the average.
        most = float(np.finfo(products.dtype).max) / 2**40
        return jnp.sum(jnp.clip(products, -most, most))

    def init(params: Params) -> Any:
        check_real(params)
        return base.init(params)

    return Geometry(init=init, update=update)
