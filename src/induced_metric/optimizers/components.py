r"""One extra dimension for each contribution to the loss (paper, Section 4: open questions)."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.typing import DTypeLike

from induced_metric.optimizers._arguments import Params, Scalar, check_decay, check_non_negative, check_real
from induced_metric.optimizers.embeddings import as_embedding, identity
from induced_metric.optimizers.geometries import accumulators, bias_correction, wide
from induced_metric.optimizers.metric import Height, checked_value


class ComponentMetricState(NamedTuple):
    """State of ``scale_by_component_metric``."""

    count: jax.Array  # type: ignore[assignment]  # optax's name, also tuple.count; shape=(), int32
    metric: jax.Array  # shape=(k, k), EMA of l_a·γ⁻¹l_b
    first_moment: Params  # a leading axis k on every leaf


def unchanged(vector: Params) -> Params:
    r"""The Euclidean inverse metric, :math:`\gamma^{-1} = 1`."""
    return vector


def _check_weights(xi: Any, components: int) -> None:
    """Raises ValueError unless ξ is one weight, k weights or a k × k matrix, none of them below 0."""
    if components < 1:
        raise ValueError(f"components must be >= 1, got {components}")
    if not (isinstance(xi, list | tuple) or getattr(xi, "ndim", False)):
        check_non_negative(xi=xi)
    elif not any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(xi)):
        weights = np.asarray(xi, float)
        if weights.shape not in ((components,), (components, components)):
            raise ValueError(
                f"xi must be one weight, {components} weights or a {components} × {components} matrix, got "
                f"the shape {weights.shape}"
            )
        matrix = weights if weights.ndim == 2 else np.diag(weights)
        least = -1e-6 * np.abs(matrix).max()  # of a matrix without full rank, rounded
        if not (np.allclose(matrix, matrix.T) and np.linalg.eigvalsh(matrix).min() >= least):
            raise ValueError(f"xi must be >= 0, and a matrix symmetric and positive semi-definite, got {xi}")


def _gram(left: Params, right: Params, dtype: Any) -> jax.Array:
    """The k × k matrix of inner products of two trees whose leaves have a leading axis k."""

    def products(a: jax.Array, b: jax.Array) -> jax.Array:
        a, b = (wide(x).reshape(x.shape[0], -1) for x in (a, b))
        return jnp.matmul(a, b.T, precision=jax.lax.Precision.HIGHEST).astype(dtype)

    return sum(jax.tree.leaves(jax.tree.map(products, left, right)), start=jnp.zeros([], dtype))


def scale_by_component_metric(
    components: int,
    xi: Scalar = 0.1,
    beta: Scalar = 0.8,
    momentum: Scalar = 0.9,
    embedding: Height = identity,
    *,
    inverse_metric: Callable[[Params], Params] = unchanged,
    accumulator_dtype: DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    r"""Uses the metric pulled back from the graph of k losses over the parameters, with k extra dimensions.

    With :math:`l_a` the gradient of the loss :math:`\mathscr L_a` and :math:`\Xi` the metric of the extra
    dimensions, the pulled-back metric and, by the Woodbury identity, its inverse on the gradient of
    :math:`\sum_a f(\mathscr L_a)` are

    .. math::
        g = \gamma + \sum_{ab} \Xi_{ab}\, f'_a l_a\, f'_b l_b^T, \quad
        g^{-1} \sum_a f'_a l_a = \sum_a c_a f'_a\, \gamma^{-1} l_a, \quad
        c = (1 + \Xi D \hat V D)^{-1} (1, \dots, 1)^T

    with :math:`D = \mathrm{diag}(f'_a)` and :math:`\hat V` the bias-corrected EMA of
    :math:`V_{ab} = l_a \cdot \gamma^{-1} l_b`. One loss gives Eq. 8. Losses whose gradients point the same
    way damp each other; losses with orthogonal gradients do not. The state holds k averages of gradients.

    Args:
        components: k, the number of losses.
        xi: one weight ξ >= 0 for all losses, k weights, or the positive semi-definite k × k matrix Ξ.
        beta: decay β of the moving average of V, in [0, 1).
        momentum: decay μ of the moving averages of the gradients, in [0, 1).
        embedding: f, the same for every loss.
        inverse_metric: applies a linear, positive :math:`\gamma^{-1}` to a tree like the parameters.
        accumulator_dtype: dtype of the moving averages; by default that of the parameters, or float32
            where theirs is narrower.

    Returns:
        A transformation. Its ``update`` takes the gradients of all losses, with a leading axis k on every
        leaf, as ``jax.jacrev`` gives them, and returns updates in the shapes of the parameters. All
        embeddings except ``identity`` need the k losses as ``value=``; one number counts as each of them.

    Raises:
        ValueError: for a number outside its range, a ξ of another shape, or, in ``update``, without a needed
            ``value=``.

    Example:
        >>> import jax, jax.numpy as jnp, optax
        >>> from induced_metric.optimizers import scale_by_component_metric
        >>> losses = lambda w: jnp.stack([jnp.sum((w - 1) ** 2), jnp.sum(w**4)])
        >>> w = jnp.array([2.0, -3.0])
        >>> optimizer = optax.chain(scale_by_component_metric(2, xi=0.01), optax.scale_by_learning_rate(0.1))
        >>> updates, _ = optimizer.update(jax.jacrev(losses)(w), optimizer.init(w))
        >>> updates.shape
        (2,)

    References:
        Harvey, The Optimiser Hidden in Plain Sight, Eq. 8 and Section 4.
    """
    _check_weights(xi, components)
    check_decay(beta=beta, momentum=momentum)
    embedding = as_embedding(embedding)

    def init(params: Params) -> ComponentMetricState:
        check_real(params)
        dtype = jnp.result_type(jnp.float32, *(jnp.result_type(leaf) for leaf in jax.tree.leaves(params)))
        zeros = accumulators(params, accumulator_dtype)
        return ComponentMetricState(
            count=jnp.zeros([], jnp.int32),
            metric=jnp.zeros((components, components), dtype),
            first_moment=jax.tree.map(lambda z: jnp.zeros((components, *z.shape), z.dtype), zeros),
        )

    def update(grads, state, params=None, *, value=None, **extra):  # type: ignore[no-untyped-def]
        del params, extra
        dtype = state.metric.dtype
        losses = jnp.broadcast_to(checked_value(embedding, value, dtype, components), (components,))
        slopes = jax.vmap(embedding.slope)(losses)
        # The slope of the log is infinite at a loss of zero: leave such a loss out.
        slopes = jnp.where(jnp.isinf(slopes), 0, slopes)
        count = optax.safe_increment(state.count)
        raised = jax.vmap(inverse_metric)(grads)
        metric = optax.tree.update_moment(_gram(grads, raised, dtype), state.metric, beta, 1).astype(dtype)
        first_moment = optax.tree.update_moment(grads, state.first_moment, momentum, 1)

        gram = slopes[:, None] * (metric * bias_correction(beta, count)) * slopes
        weights = jnp.asarray(xi, dtype)
        weights = weights if weights.ndim == 2 else jnp.diag(jnp.broadcast_to(weights, (components,)))
        shares = jnp.linalg.solve(
            jnp.eye(components, dtype=dtype) + weights @ gram, jnp.ones(components, dtype)
        )
        scales = shares * slopes * bias_correction(momentum, count)
        updates = jax.tree.map(
            lambda m, g: jnp.tensordot(scales.astype(m.dtype), m, 1).astype(g.dtype),
            jax.vmap(inverse_metric)(first_moment),
            grads,
        )
        first_moment = optax.tree.cast_like(first_moment, state.first_moment)
        return updates, ComponentMetricState(count, metric, first_moment)

    return optax.GradientTransformationExtraArgs(init, update)
