r"""The metric that the graph of the loss inherits from the space around it (paper, Section 2).

Let :math:`\gamma` be a metric on the parameters and :math:`L = f(\mathscr L(\theta))` the height of
the graph. The pulled-back inverse metric applied to the gradient (Eqs. 6-10, 13, 14) is the
preconditioned gradient, scaled by one number:

.. math::
    s_t = \xi\, g_t \cdot \gamma^{-1} g_t, \quad
    \hat v_t = \mathrm{EMA}_\beta(s)_t / (1 - \beta^t), \quad
    r_t = \frac{f'}{1 + f'^2\, |\hat v_t|}, \quad
    u_t = r_t\, \gamma^{-1} \hat m_t

Two choices make an optimizer: the *embedding* f and the *geometry*, which says what
:math:`\gamma^{-1}` is and keeps the momentum.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, TypeAlias

import jax
import jax.numpy as jnp
import optax

from induced_metric.optimizers._checks import check_decay, check_non_negative

Params: TypeAlias = Any  # pytree of arrays
Scalar: TypeAlias = Any  # a number or an array of shape ()


class Embedding(NamedTuple):
    """The height of the graph over the parameters, as a function of the loss.

    Attributes:
        slope: f', as a function of the loss.
        needs_value: whether ``update`` must be given the loss as ``value=``.
    """

    slope: Callable[[jax.Array], jax.Array]
    needs_value: bool


identity = Embedding(slope=jnp.ones_like, needs_value=False)
log = Embedding(slope=jnp.reciprocal, needs_value=True)


class GeometryUpdate(Protocol):
    """``update(grads, state, params, count, **extra)`` of a geometry."""

    def __call__(
        self, grads: Params, state: Any, params: Params | None, *, count: jax.Array, **extra: Any
    ) -> tuple[Params, jax.Array, Any]:
        r"""Returns the direction :math:`\gamma^{-1}\hat m`, the squared norm :math:`g\cdot\gamma^{-1}g`, the state."""


class Geometry(NamedTuple):
    r"""What :math:`\gamma^{-1}` is: an ``init(params)`` and an ``update`` (see ``GeometryUpdate``)."""

    init: Callable[[Params], Any]
    update: GeometryUpdate


def euclidean(momentum: Scalar = 0.9) -> Geometry:
    r""":math:`\gamma = 1`; the direction is the bias-corrected moving average of the gradients."""
    check_decay(momentum=momentum)

    def update(grads, state, params, *, count, **extra):  # type: ignore[no-untyped-def]
        del params, extra
        first_moment = optax.tree.update_moment(grads, state, momentum, 1)
        direction = optax.tree.bias_correction(first_moment, momentum, count)
        return direction, optax.tree.norm(grads, squared=True), first_moment

    return Geometry(init=optax.tree.zeros_like, update=update)


class RMSState(NamedTuple):
    """State of ``rms``; both trees have the shapes of the parameters."""

    first_moment: Params
    second_moment: Params


def rms(momentum: Scalar = 0.9, beta_rms: Scalar = 0.99, eps: Scalar = 1e-8) -> Geometry:
    r""":math:`\gamma^{-1} = 1/(\sqrt{\hat r} + \epsilon)`, :math:`\hat r` the bias-corrected EMA of :math:`g^2`."""
    check_decay(momentum=momentum, beta_rms=beta_rms)
    check_non_negative(eps=eps)

    def init(params: Params) -> RMSState:
        return RMSState(optax.tree.zeros_like(params), optax.tree.zeros_like(params))

    def update(grads, state, params, *, count, **extra):  # type: ignore[no-untyped-def]
        del params, extra
        first_moment = optax.tree.update_moment(grads, state.first_moment, momentum, 1)
        second_moment = optax.tree.update_moment_per_elem_norm(grads, state.second_moment, beta_rms, 2)
        scale = jax.tree.map(
            lambda r: jnp.sqrt(r) + eps, optax.tree.bias_correction(second_moment, beta_rms, count)
        )
        corrected = optax.tree.bias_correction(first_moment, momentum, count)
        direction = jax.tree.map(jnp.divide, corrected, scale)
        squared_norm = optax.tree.sum(jax.tree.map(lambda g, d: g * g / d, grads, scale))
        return direction, squared_norm, RMSState(first_moment, second_moment)

    return Geometry(init=init, update=update)


def preconditioned_by(base: optax.GradientTransformation) -> Geometry:
    r"""The geometry that an optax transformation implies: :math:`\gamma^{-1}\hat m` is its update.

    The squared norm is taken as :math:`g \cdot P g` with the update P g of ``base``; it is exact where
    ``base`` has no momentum, and otherwise pairs the gradient with the averaged direction.
    """
    base = optax.with_extra_args_support(base)

    def update(grads, state, params, *, count, **extra):  # type: ignore[no-untyped-def]
        del count
        direction, state = base.update(grads, state, params, **extra)
        return direction, optax.tree.vdot(grads, direction), state

    return Geometry(init=base.init, update=update)


class InducedMetricState(NamedTuple):
    """State of ``scale_by_induced_metric``."""

    count: jax.Array  # shape=(), int32
    metric: jax.Array  # shape=(), EMA of ξ g·γ⁻¹g
    geometry: Any


def scale_by_induced_metric(
    geometry: Geometry, xi: Scalar = 0.1, beta: Scalar = 0.8, embedding: Embedding = identity
) -> optax.GradientTransformationExtraArgs:
    r"""Scales the direction of ``geometry`` by :math:`r_t` of the metric pulled back from the graph.

    Args:
        geometry: gives the direction and the squared norm of the gradient.
        xi: weight ξ of the loss direction in the metric; 0 leaves the direction as it is.
        beta: decay of the moving average of the squared norm; 0 means the instantaneous value.
        embedding: the height of the graph; ``log`` needs the loss as ``value=`` in ``update``.

    Returns:
        A transformation without learning rate or sign, like optax's other ``scale_by_*``.

    Raises:
        ValueError: for ``xi`` < 0 or ``beta`` outside [0, 1), or, in ``update``, if the embedding
            needs the loss and ``value=`` is missing.
    """
    check_non_negative(xi=xi)
    check_decay(beta=beta)

    def init(params: Params) -> InducedMetricState:
        return InducedMetricState(
            count=jnp.zeros([], jnp.int32), metric=jnp.zeros([]), geometry=geometry.init(params)
        )

    def update(grads, state, params=None, *, value=None, **extra):  # type: ignore[no-untyped-def]
        if embedding.needs_value and value is None:
            raise ValueError("this embedding needs the loss: call update(grads, state, params, value=loss)")
        count = optax.safe_increment(state.count)
        direction, squared_norm, geometry_state = geometry.update(
            grads, state.geometry, params, count=count, value=value, **extra
        )
        metric = optax.tree.update_moment(xi * squared_norm, state.metric, beta, 1)
        # Bias-correct before dividing: the first steps would otherwise be damped too little.
        norm = jnp.abs(optax.tree.bias_correction(metric, beta, count))
        slope = embedding.slope(jnp.asarray(1.0 if value is None else value))
        scale = slope / (1 + slope**2 * norm)
        updates = jax.tree.map(lambda d: (scale * d).astype(d.dtype), direction)
        return updates, InducedMetricState(count, metric, geometry_state)

    return optax.GradientTransformationExtraArgs(init, update)


def induced_metric(
    base: optax.GradientTransformation,
    *,
    xi: Scalar = 0.1,
    beta: Scalar = 0.8,
    embedding: Embedding = identity,
) -> optax.GradientTransformationExtraArgs:
    r"""Puts the induced metric on any optax transformation that preconditions gradients.

    Args:
        base: a transformation without learning rate, such as ``optax.scale_by_adam()``.
        xi: weight ξ of the loss direction in the metric.
        beta: decay of the moving average of the squared norm.
        embedding: the height of the graph.

    Returns:
        A transformation to chain with ``optax.scale_by_learning_rate``.

    Example:
        >>> import optax
        >>> from induced_metric import induced_metric
        >>> optimizer = optax.chain(
        ...     induced_metric(optax.scale_by_adam(), xi=1e-3), optax.scale_by_learning_rate(1e-2)
        ... )
    """
    return scale_by_induced_metric(preconditioned_by(base), xi, beta, embedding)
