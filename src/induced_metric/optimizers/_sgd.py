"""SGD with the induced metric: Algorithms 1 and 2 with a Euclidean metric on the parameters."""

import optax
from jax.typing import DTypeLike

from induced_metric.optimizers._arguments import Mask, Scalar, Subsets
from induced_metric.optimizers.embeddings import identity, log
from induced_metric.optimizers.geometries import euclidean
from induced_metric.optimizers.metric import Height, descend, scale_by_induced_metric


def sgd_metric(
    learning_rate: optax.ScalarOrSchedule = 0.1,
    momentum: Scalar = 0.9,
    xi: Scalar = 0.1,
    beta: Scalar = 0.8,
    weight_decay: optax.ScalarOrSchedule = 0.0,
    *,
    embedding: Height = identity,
    mask: Mask = None,
    subsets: Subsets = None,
    heavy_ball: bool = False,
    accumulator_dtype: DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    r"""SGD with the metric pulled back from the graph of the loss (Algorithm 1, :math:`\gamma = 1`).

    .. math::
        r_t = \frac{1}{1 + |\hat v_t|}, \quad
        \theta_t = \theta_{t-1} - \eta\,(r_t \hat m_t + \lambda \theta_{t-1})

    with :math:`\hat v_t` the bias-corrected EMA of :math:`\xi \|g_t\|^2` and :math:`\hat m_t` that of the
    gradients. This is a smooth form of clipping. ξ = 0 is SGD with (bias-corrected EMA) momentum, which
    corresponds to heavy-ball momentum with the learning rate η (1 − μ).

    Args:
        learning_rate: η, a number or a schedule.
        momentum: decay μ of the moving average of the gradients, in [0, 1).
        xi: weight ξ >= 0 of the loss direction; about one over the number of parameters.
        beta: decay β of the moving average of the squared norm, in [0, 1); 0 uses only the current value.
        weight_decay: decoupled decay λ >= 0, scaled by η but not by r.
        embedding: the height of the graph; its slope then enters r, as in ``induced_metric``.
        mask: which parameters decay, as in ``optax.add_decayed_weights``; all by default.
        subsets: labels that divide the parameters into subsets with a metric each; by default one for all.
        heavy_ball: use the sum :math:`b_t = \mu b_{t-1} + g_t` of the gradients instead of
            :math:`\hat m_t`, as ``optax.sgd`` does.
        accumulator_dtype: dtype of the moving average of the gradients; by default that of the
            parameters, or float32 where theirs is narrower.

    Returns:
        A transformation; ``update`` takes the gradients, the state, for weight decay also the parameters,
        and for all embeddings except ``identity`` the loss as ``value=``.

    Raises:
        ValueError: for a number outside its range, or, in ``update``, without a needed ``value=``.
        TypeError: for an argument that is no number (only η may be a schedule), or, in ``init``, for complex
            parameters.

    Example:
        >>> import jax, jax.numpy as jnp, optax
        >>> from induced_metric import sgd_metric
        >>> loss = lambda w: jnp.sum(w**4)
        >>> w = jnp.array([3.0, -2.0])
        >>> optimizer = sgd_metric(learning_rate=0.5, xi=0.01)
        >>> state = optimizer.init(w)
        >>> for _ in range(100):
        ...     updates, state = optimizer.update(jax.grad(loss)(w), state)
        ...     w = optax.apply_updates(w, updates)
        >>> float(loss(w)) < 1e-2  # from 97, at a learning rate where plain gradient descent diverges
        True

    References:
        Harvey, The Optimiser Hidden in Plain Sight, Algorithm 1 and Eq. 13.
    """
    geometry = euclidean(momentum, heavy_ball=heavy_ball, accumulator_dtype=accumulator_dtype)
    core = scale_by_induced_metric(geometry, xi, beta, embedding, subsets=subsets)
    return descend(core, learning_rate, weight_decay, mask)


def sgd_log_metric(
    learning_rate: optax.ScalarOrSchedule = 0.1,
    momentum: Scalar = 0.9,
    xi: Scalar = 0.1,
    beta: Scalar = 0.8,
    weight_decay: optax.ScalarOrSchedule = 0.0,
    *,
    mask: Mask = None,
    subsets: Subsets = None,
    heavy_ball: bool = False,
    accumulator_dtype: DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    r"""SGD with the metric pulled back from the graph of the log-loss (Algorithm 2, :math:`\gamma = 1`).

    .. math::
        r_t = \frac{L_t}{L_t^2 + |\hat v_t|}, \quad
        \theta_t = \theta_{t-1} - \eta\,(r_t \hat m_t + \lambda \theta_{t-1})

    with :math:`\hat v_t` the bias-corrected EMA of :math:`\xi \|g_t\|^2` and :math:`\hat m_t` that of the
    gradients. The loss L must be positive. Rescaling it does not change the update. As the loss falls, the
    effective learning rate first grows and then falls, like warm-up and decay. At a loss of exactly zero the
    update is zero.

    Args:
        learning_rate: η, a number or a schedule.
        momentum: decay μ of the moving average of the gradients, in [0, 1).
        xi: weight ξ >= 0 of the loss direction; about one over the number of parameters.
        beta: decay β of the moving average of the squared norm, in [0, 1); 0 uses only the current value.
        weight_decay: decoupled decay λ >= 0, scaled by η but not by r.
        mask: which parameters decay, as in ``optax.add_decayed_weights``; all by default.
        subsets: labels that divide the parameters into subsets with a metric each; by default one for all.
        heavy_ball: use the sum :math:`b_t = \mu b_{t-1} + g_t` of the gradients instead of
            :math:`\hat m_t`, as ``optax.sgd`` does.
        accumulator_dtype: dtype of the moving average of the gradients; by default that of the
            parameters, or float32 where theirs is narrower.

    Returns:
        A transformation; ``update`` needs the loss of the same batch as ``value=``.

    Raises:
        ValueError: for a number outside its range, or, in ``update``, without ``value=``.
        TypeError: for an argument that is no number (only η may be a schedule), or, in ``init``, for complex
            parameters.

    Example:
        >>> import jax, jax.numpy as jnp, optax
        >>> from induced_metric import sgd_log_metric
        >>> loss = lambda w: jnp.sum(w**4)
        >>> w = jnp.array([3.0, -2.0])
        >>> optimizer = sgd_log_metric(learning_rate=0.3, xi=0.1)
        >>> state = optimizer.init(w)
        >>> for _ in range(100):
        ...     value, grads = jax.value_and_grad(loss)(w)
        ...     updates, state = optimizer.update(grads, state, value=value)
        ...     w = optax.apply_updates(w, updates)
        >>> float(loss(w)) < 1e-4  # from 97
        True

    References:
        Harvey, The Optimiser Hidden in Plain Sight, Algorithm 2 and Eq. 14.
    """
    geometry = euclidean(momentum, heavy_ball=heavy_ball, accumulator_dtype=accumulator_dtype)
    core = scale_by_induced_metric(geometry, xi, beta, log, subsets=subsets)
    return descend(core, learning_rate, weight_decay, mask)
