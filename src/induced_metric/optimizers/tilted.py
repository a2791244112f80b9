r"""Off-diagonal elements in the metric of the ambient space (paper, Eq. 5 and Section 4: open questions)."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.typing import DTypeLike

from induced_metric.optimizers._arguments import (
    Params,
    Scalar,
    check_decay,
    check_non_negative,
    check_number,
    check_real,
)
from induced_metric.optimizers.components import unchanged
from induced_metric.optimizers.embeddings import as_embedding, identity
from induced_metric.optimizers.geometries import accumulators, bias_correction, wide
from induced_metric.optimizers.metric import Height, checked_value


class TiltedMetricState(NamedTuple):
    """State of ``scale_by_tilted_metric``."""

    count: jax.Array  # type: ignore[assignment]  # optax's name, also tuple.count; shape=(), int32
    metric: jax.Array  # shape=(2,), EMA of g·γ⁻¹g and of d·γ⁻¹g / |d|
    first_moment: Params


def _inner(left: Params, right: Params, dtype: Any) -> jax.Array:
    products = jax.tree.map(lambda a, b: jnp.sum(wide(a) * wide(b)).astype(dtype), left, right)
    return sum(jax.tree.leaves(products), start=jnp.zeros([], dtype))


def scale_by_tilted_metric(
    tilt: Scalar,
    xi: Scalar = 0.1,
    beta: Scalar = 0.8,
    momentum: Scalar = 0.9,
    embedding: Height = identity,
    *,
    direction: Callable[[Params], Params] = unchanged,
    inverse_metric: Callable[[Params], Params] = unchanged,
    accumulator_dtype: DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    r"""Uses the metric pulled back from a space whose loss axis is not orthogonal to the parameters.

    The ambient metric and the metric it induces on the graph are

    .. math::
        \begin{pmatrix} \gamma & \omega \\ \omega^T & \xi \end{pmatrix}, \quad
        g = \gamma + f' (\omega l^T + l \omega^T) + \xi f'^2\, l l^T, \quad
        \omega = \kappa \sqrt\xi\, d / \sqrt{d \cdot \gamma^{-1} d},

    where the tilt κ is the cosine of the angle between the loss axis and the direction d. For \|κ\| < 1 both
    are positive definite. With :math:`a = f' \omega \cdot \gamma^{-1} l` and
    :math:`b = f'^2\, l \cdot \gamma^{-1} l`, both from moving averages, the Woodbury identity gives

    .. math::
        u = g^{-1} f' l = \frac{(1 + a)\, f'\, \gamma^{-1} l - b\, \gamma^{-1} \omega}
            {(1 + a)^2 + b\, \xi (1 - \kappa^2)}.

    κ = 0 is Eq. 8. If d is the parameters themselves, the second term is a weight decay (κ < 0) or growth
    (κ > 0) in proportion to the steepness of the loss.

    Args:
        tilt: κ in (-1, 1).
        xi: weight ξ >= 0 of the loss direction.
        beta: decay β of the moving averages of the squared norm and of d·γ⁻¹g, in [0, 1).
        momentum: decay μ of the moving average of the gradients, in [0, 1).
        embedding: the height f of the graph as a function of the loss.
        direction: the vector field d, a function from the parameters to a tree like them; by default it
            returns the parameters.
        inverse_metric: applies a linear, positive :math:`\gamma^{-1}` to a tree like the parameters.
        accumulator_dtype: dtype of the moving average of the gradients; by default that of the
            parameters, or float32 where theirs is narrower.

    Returns:
        A transformation; ``update`` needs the parameters, and ``value=`` unless the embedding is
        ``identity``.

    Raises:
        ValueError: for a number outside its range, or, in ``update``, without the parameters or a needed
            ``value=``.

    Example:
        >>> import jax.numpy as jnp
        >>> from induced_metric.optimizers import scale_by_tilted_metric
        >>> params = jnp.array([1.0, 0.0])
        >>> optimizer = scale_by_tilted_metric(0.5, xi=1.0, beta=0.0, momentum=0.0)
        >>> updates, _ = optimizer.update(jnp.array([0.0, 1.0]), optimizer.init(params), params)
        >>> [round(float(u), 4) for u in updates]  # (l - ω / 1) / (1 + 3/4)
        [-0.2857, 0.5714]

    References:
        Harvey, The Optimiser Hidden in Plain Sight, Eqs. 5-8 and Section 4.
    """
    check_non_negative(xi=xi)
    check_decay(beta=beta, momentum=momentum)
    check_number("tilt", tilt, "in (-1, 1)", lambda number: -1 < number < 1)
    embedding = as_embedding(embedding)

    def init(params: Params) -> TiltedMetricState:
        check_real(params)
        dtype = jnp.result_type(jnp.float32, *(jnp.result_type(leaf) for leaf in jax.tree.leaves(params)))
        zeros = accumulators(params, accumulator_dtype)
        return TiltedMetricState(jnp.zeros([], jnp.int32), jnp.zeros(2, dtype), zeros)

    def update(grads, state, params=None, *, value=None, **extra):  # type: ignore[no-untyped-def]
        del extra
        if params is None:
            raise ValueError("a tilted metric needs the parameters: call update(grads, state, params)")
        dtype = state.metric.dtype
        slope = embedding.slope(checked_value(embedding, value, dtype))
        slope = jnp.where(jnp.isinf(slope), 0, slope)
        count = optax.safe_increment(state.count)

        field = direction(params)
        raised = inverse_metric(field)
        length = jnp.sqrt(_inner(field, raised, dtype))
        # At d = 0 there is no direction to tilt towards, so ω = 0.
        omega = jnp.where(length > 0, tilt * jnp.sqrt(jnp.asarray(xi, dtype)), 0)  # its length
        inverse_length = 1 / jnp.where(length > 0, length, 1)
        norm = _inner(grads, inverse_metric(grads), dtype)
        sample = jnp.stack([norm, _inner(raised, grads, dtype) * inverse_length])
        metric = optax.tree.update_moment(sample, state.metric, beta, 1).astype(dtype)
        first_moment = optax.tree.update_moment(grads, state.first_moment, momentum, 1)

        norm, cross = metric * bias_correction(beta, count)
        a, b = slope * omega * cross, slope**2 * norm
        determinant = (1 + a) ** 2 + b * (xi - omega**2)
        along_gradient = (1 + a) * slope / determinant * bias_correction(momentum, count)
        along_field = -b * omega * inverse_length / determinant
        updates = jax.tree.map(
            lambda m, d, g: (along_gradient * m + along_field * d).astype(g.dtype),
            inverse_metric(first_moment),
            raised,
            grads,
        )
        first_moment = optax.tree.cast_like(first_moment, state.first_moment)
        return updates, TiltedMetricState(count, metric, first_moment)

    return optax.GradientTransformationExtraArgs(init, update)
