r"""The metric that the graph of the loss inherits from the space around it (paper, Section 2).

Let :math:`\gamma` be a metric on the parameters and :math:`L = f(\mathscr L(\theta))` the height of
the graph. The pulled-back inverse metric, applied to the gradient (Eqs. 6-10, 13, 14), gives the
preconditioned gradient scaled by one number:

.. math::
    s_t = \xi\, g_t \cdot \gamma^{-1} g_t, \quad
    \hat v_t = \mathrm{EMA}_\beta(s)_t / (1 - \beta^t), \quad
    r_t = \frac{f'}{1 + f'^2\, |\hat v_t|}, \quad
    u_t = r_t\, \gamma^{-1} \hat m_t

Two choices define an optimiser: the *embedding* f and the *geometry*, which defines
:math:`\gamma^{-1}` and keeps the momentum.
"""

import numbers
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import optax

from induced_metric.optimizers._arguments import (
    Mask,
    Params,
    Scalar,
    Subsets,
    check_decay,
    check_non_negative,
    check_schedulable,
    is_number,
)
from induced_metric.optimizers.embeddings import Embedding, as_embedding, identity, metric_scale
from induced_metric.optimizers.geometries import Geometry, bias_correction, preconditioned_by
from induced_metric.optimizers.subsets import check_subsets, labels_of, leaf_scales, sums

Height: TypeAlias = Embedding | Callable[[jax.Array], jax.Array]  # of the graph, from the loss


class InducedMetricState(NamedTuple):
    """State of ``scale_by_induced_metric``."""

    count: jax.Array  # type: ignore[assignment]  # optax's name, also tuple.count; shape=(), int32
    metric: jax.Array  # shape=() or (subsets,), EMA of ξ g·γ⁻¹g
    geometry: Any


def checked_value(embedding: Embedding, value: Any, dtype: Any, losses: int | None = None) -> jax.Array:
    """The loss as an array; 1 if it is not given and the embedding does not need it.

    Args:
        embedding: the embedding of the loss.
        value: the loss; None if it is not given.
        dtype: dtype of the array.
        losses: how many losses there may be instead of one.

    Raises:
        ValueError: if the embedding needs the loss and there is none, or for an array of another shape.
        TypeError: for anything but numbers, such as the pair that ``has_aux`` returns.
    """
    if value is None:
        if embedding.needs_value:
            raise ValueError("this embedding needs the loss: call update(grads, state, params, value=loss)")
        return jnp.asarray(1.0, dtype)
    listed = losses is not None and isinstance(value, list | tuple)
    wanted = "the scalar loss" if losses is None else f"the {losses} losses or one for all"
    if not all(map(is_number, value if listed else [value])):
        raise TypeError(f"value must be {wanted}, got a {type(value).__name__}")
    loss = jnp.asarray(value, dtype)
    if loss.shape not in ((), (losses,)):
        raise ValueError(f"value must be {wanted}, got an array of shape {loss.shape}")
    return loss


def scale_by_induced_metric(
    geometry: Geometry,
    xi: Scalar = 0.1,
    beta: Scalar = 0.8,
    embedding: Height = identity,
    *,
    subsets: Subsets = None,
) -> optax.GradientTransformationExtraArgs:
    r"""Scales the direction of ``geometry`` by the factor :math:`r_t` of the induced metric.

    With ``subsets``, the metric is pulled back to each subset B of the parameters separately: it is
    block-diagonal, :math:`\gamma_B + \xi f'^2 l_B l_B^T`, and every subset has its own
    :math:`r_{B} = f' / (1 + f'^2 |\hat v_B|)`. Without subsets, all parameters share one factor.

    Args:
        geometry: gives the direction and the squared norm of the gradient.
        xi: weight ξ of the loss direction in the metric; with 0 the direction is only multiplied by f', which
            is 1 for ``identity``.
        beta: decay of the moving average of the squared norm; 0 uses only the current value.
        embedding: the height of the graph, an ``Embedding`` or a function of the loss. All but
            ``identity`` need the loss as ``value=`` in ``update``.
        subsets: one label for each leaf of the parameters, as a tree or as a function that maps the
            parameters to one (such as ``each_leaf``); leaves with the same label share a metric.

    Returns:
        A transformation without learning rate or sign, like optax's ``scale_by_*``.

    Raises:
        ValueError: for ``xi`` < 0 or ``beta`` outside [0, 1), or, in ``update``, if the embedding
            needs the loss and ``value=`` is missing.
    """
    check_non_negative(xi=xi)
    check_decay(beta=beta)
    check_subsets(subsets)
    embedding = as_embedding(embedding)

    def init(params: Params) -> InducedMetricState:
        dtype = jnp.result_type(jnp.float32, *(jnp.result_type(leaf) for leaf in jax.tree.leaves(params)))
        labels = labels_of(subsets, params)
        shape = () if labels is None else (len(set(labels)),)
        return InducedMetricState(
            count=jnp.zeros([], jnp.int32),
            metric=jnp.zeros(shape, dtype),
            geometry=geometry.init(params),
        )

    def update(grads, state, params=None, *, value=None, **extra):  # type: ignore[no-untyped-def]
        dtype = state.metric.dtype
        loss = checked_value(embedding, value, dtype)
        if value is not None:
            extra["value"] = value
        count = optax.safe_increment(state.count)
        direction, squared_norms, geometry_state = geometry.update(
            grads, state.geometry, params, count=count, **extra
        )
        labels = labels_of(subsets, grads)
        # An infinite sample would never leave the average, and would be NaN where xi is 0; the largest finite
        # number decays with beta.
        most = np.finfo(dtype).max
        squared_norm = jnp.minimum(sums(labels, jax.tree.leaves(squared_norms), dtype), most)
        sample = jnp.minimum(xi * squared_norm, most)
        metric = optax.tree.update_moment(sample, state.metric, beta, 1).astype(dtype)
        norm = jnp.abs(metric * bias_correction(beta, count))
        scale = metric_scale(embedding.slope(loss), norm).astype(dtype)
        updates = jax.tree.map(
            lambda d, r, g: (d * r.astype(jnp.promote_types(d.dtype, jnp.float32))).astype(g.dtype),
            direction,
            leaf_scales(labels, scale, direction),
            grads,
        )
        return updates, InducedMetricState(count, metric, geometry_state)

    return optax.GradientTransformationExtraArgs(init, update)


def induced_metric(
    base: optax.GradientTransformation,
    *,
    xi: Scalar = 0.1,
    beta: Scalar = 0.8,
    embedding: Height = identity,
    subsets: Subsets = None,
) -> optax.GradientTransformationExtraArgs:
    r"""Puts the induced metric on any optax transformation.

    With P g the update of ``base`` for the gradient g, :math:`\gamma^{-1} \hat m = P g` and

    .. math::
        \hat v_t = \mathrm{EMA}_\beta(\xi\, g_t \cdot P g_t), \quad
        u_t = \frac{f'}{1 + f'^2 |\hat v_t|} P g_t.

    The trace is exact if P has no memory of earlier gradients. With momentum in ``base``, it is the product
    of the gradient with the averaged direction, which may be negative: hence the absolute value. A learning
    rate in ``base``, including its sign, is part of γ⁻¹, so that ξ then weights a smaller trace. Weight decay
    in ``base`` would be part of P g, and so be scaled by r and enter v̂: leave it out, and use ``descend``.

    Args:
        base: any optax transformation without weight decay, such as ``optax.scale_by_adam()``.
        xi: weight ξ >= 0 of the loss direction in the metric; with 0 the direction of ``base`` is only
            multiplied by f', which is 1 for ``identity``.
        beta: decay β of the moving average of the trace, in [0, 1).
        embedding: the height of the graph: ``identity``, ``log``, ``sqrt``, ``power(p)``, ``shifted_log(c)``,
            ``softplus`` or any increasing, differentiable function of the loss.
        subsets: labels that divide the parameters into subsets with a metric each; see
            ``scale_by_induced_metric``.

    Returns:
        A transformation; ``update`` passes all its arguments on to ``base`` and needs the loss as
        ``value=`` unless the embedding is ``identity``.

    Raises:
        ValueError: for a number outside its range, or, in ``update``, without a needed ``value=``.
        TypeError: for a base that is not a transformation, or an embedding that is neither an ``Embedding``
            nor a function.

    Example:
        >>> import jax.numpy as jnp, optax
        >>> from induced_metric import induced_metric
        >>> optimizer = optax.chain(
        ...     induced_metric(optax.scale_by_adam(), xi=1e-3, embedding=jnp.log1p),
        ...     optax.scale_by_learning_rate(1e-2),
        ... )
        >>> params = {"w": jnp.ones(3)}
        >>> state = optimizer.init(params)
        >>> updates, state = optimizer.update({"w": jnp.ones(3)}, state, params, value=0.5)
        >>> updates["w"].shape
        (3,)

    References:
        Harvey, The Optimiser Hidden in Plain Sight, Section 2.
    """
    return scale_by_induced_metric(preconditioned_by(base), xi, beta, embedding, subsets=subsets)


def descend(
    direction: optax.GradientTransformation,
    learning_rate: optax.ScalarOrSchedule,
    weight_decay: optax.ScalarOrSchedule,
    mask: Mask = None,
) -> optax.GradientTransformationExtraArgs:
    """θ ← θ − η (direction + λ θ): decoupled weight decay that the metric does not scale."""
    check_schedulable(learning_rate=learning_rate, weight_decay=weight_decay)
    without_decay = isinstance(weight_decay, numbers.Real) and weight_decay == 0
    return optax.chain(
        direction,
        # Without weight decay the parameters are not needed, so update(grads, state) works.
        optax.identity() if without_decay else optax.add_decayed_weights(weight_decay, mask),
        optax.scale_by_learning_rate(learning_rate),
    )
