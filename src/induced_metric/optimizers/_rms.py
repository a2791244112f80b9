"""The induced metric with RMSprop's metric on the parameters: a generalisation of AdamW."""

import optax
from jax.typing import DTypeLike

from induced_metric.optimizers._arguments import Mask, Scalar, Subsets
from induced_metric.optimizers.embeddings import identity, log
from induced_metric.optimizers.geometries import rms
from induced_metric.optimizers.metric import descend, scale_by_induced_metric


def sgd_rms(
    learning_rate: optax.ScalarOrSchedule = 0.1,
    momentum: Scalar = 0.9,
    xi: Scalar = 0.1,
    beta: Scalar = 0.8,
    beta_rms: Scalar = 0.99,
    weight_decay: optax.ScalarOrSchedule = 0.0,
    eps: Scalar = 1e-8,
    *,
    mask: Mask = None,
    subsets: Subsets = None,
    accumulator_dtype: DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    r"""Algorithm 1 with the metric of RMSprop, :math:`\gamma^{-1} = 1/(\sqrt{\hat r} + \epsilon)`.

    .. math::
        \hat v_t = \mathrm{EMA}_\beta\big(\xi \textstyle\sum_i g_i^2/(\sqrt{\hat r_i} + \epsilon)\big), \quad
        \theta_t = \theta_{t-1} - \eta\Big(\frac{1}{1 + |\hat v_t|}
            \frac{\hat m_t}{\sqrt{\hat r_t} + \epsilon} + \lambda \theta_{t-1}\Big)

    :math:`\hat r` is the bias-corrected EMA of the squared gradients and includes the current one.
    ξ = 0 is ``optax.adamw`` with b1 = ``momentum`` and b2 = ``beta_rms``.

    Args:
        learning_rate: η, a number or a schedule.
        momentum: decay μ of the moving average of the gradients, in [0, 1).
        xi: weight ξ >= 0 of the loss direction; about one over the number of parameters.
        beta: decay β of the moving average of the squared norm, in [0, 1); 0 uses only the current value.
        beta_rms: decay of the moving average of the squared gradients, in [0, 1).
        weight_decay: decoupled decay λ >= 0, scaled by η but not by r.
        eps: ε > 0, added outside the square root.
        mask: which parameters decay, as in ``optax.add_decayed_weights``; all by default.
        subsets: labels that divide the parameters into subsets with a metric each; by default one for all.
        accumulator_dtype: dtype of both moving averages of the gradients; by default that of the
            parameters, or float32 where theirs is narrower.

    Returns:
        A transformation; ``update`` takes the gradients, the state and, for weight decay, the parameters.

    Raises:
        ValueError: for a number outside its range.
        TypeError: for an argument that is no number (only η may be a schedule), or, in ``init``, for complex
            parameters.

    Example:
        >>> import jax.numpy as jnp
        >>> from induced_metric import sgd_rms
        >>> optimizer = sgd_rms(learning_rate=0.5, momentum=0.0, xi=1.0, beta=0.0)
        >>> updates, _ = optimizer.update(jnp.array(4.0), optimizer.init(jnp.array(1.0)))
        >>> round(float(updates), 6)  # -0.5 * (4 / 4) / (1 + 4**2 / 4)
        -0.1

    References:
        Harvey, The Optimiser Hidden in Plain Sight, Algorithm 1 and Section 3.
    """
    geometry = rms(momentum, beta_rms, eps, accumulator_dtype=accumulator_dtype)
    core = scale_by_induced_metric(geometry, xi, beta, identity, subsets=subsets)
    return descend(core, learning_rate, weight_decay, mask)


def sgd_log_rms(
    learning_rate: optax.ScalarOrSchedule = 0.1,
    momentum: Scalar = 0.9,
    xi: Scalar = 0.1,
    beta: Scalar = 0.8,
    beta_rms: Scalar = 0.99,
    weight_decay: optax.ScalarOrSchedule = 0.0,
    eps: Scalar = 1e-8,
    *,
    mask: Mask = None,
    subsets: Subsets = None,
    accumulator_dtype: DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    r"""Algorithm 2 with the metric of RMSprop, :math:`\gamma^{-1} = 1/(\sqrt{\hat r} + \epsilon)`.

    .. math::
        \theta_t = \theta_{t-1} - \eta\Big(\frac{L_t}{L_t^2 + |\hat v_t|}
            \frac{\hat m_t}{\sqrt{\hat r_t} + \epsilon} + \lambda \theta_{t-1}\Big)

    with :math:`\hat v_t` and :math:`\hat r_t` as in ``sgd_rms``. With λ = 0, ξ = 0 is ``optax.adamw`` with
    the learning rate divided by the loss. The trace is linear in the scale of the loss and :math:`L^2`
    quadratic, so that here, unlike in ``sgd_log_metric``, the scale of the loss does not cancel.

    Args:
        learning_rate: η, a number or a schedule.
        momentum: decay μ of the moving average of the gradients, in [0, 1).
        xi: weight ξ >= 0 of the loss direction; about one over the number of parameters.
        beta: decay β of the moving average of the squared norm, in [0, 1); 0 uses only the current value.
        beta_rms: decay of the moving average of the squared gradients, in [0, 1).
        weight_decay: decoupled decay λ >= 0, scaled by η but not by r.
        eps: ε > 0, added outside the square root.
        mask: which parameters decay, as in ``optax.add_decayed_weights``; all by default.
        subsets: labels that divide the parameters into subsets with a metric each; by default one for all.
        accumulator_dtype: dtype of both moving averages of the gradients; by default that of the
            parameters, or float32 where theirs is narrower.

    Returns:
        A transformation; ``update`` needs the loss of the same batch as ``value=``.

    Raises:
        ValueError: for a number outside its range, or, in ``update``, without ``value=``.
        TypeError: for an argument that is no number (only η may be a schedule), or, in ``init``, for complex
            parameters.

    Example:
        >>> import jax.numpy as jnp
        >>> from induced_metric import sgd_log_rms
        >>> optimizer = sgd_log_rms(learning_rate=0.5, momentum=0.0, xi=1.0, beta=0.0)
        >>> state = optimizer.init(jnp.array(1.0))
        >>> updates, _ = optimizer.update(jnp.array(4.0), state, value=jnp.array(2.0))
        >>> round(float(updates), 6)  # -0.5 * (4 / 4) * 2 / (2**2 + 4**2 / 4)
        -0.125

    References:
        Harvey, The Optimiser Hidden in Plain Sight, Algorithm 2 and Section 3.
    """
    geometry = rms(momentum, beta_rms, eps, accumulator_dtype=accumulator_dtype)
    core = scale_by_induced_metric(geometry, xi, beta, log, subsets=subsets)
    return descend(core, learning_rate, weight_decay, mask)
