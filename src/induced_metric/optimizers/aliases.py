"""The paper's three optimizers as short names for choices of embedding and geometry."""

import numbers

import optax

from induced_metric.optimizers._checks import check_non_negative
from induced_metric.optimizers.metric import (
    Scalar,
    euclidean,
    identity,
    log,
    rms,
    scale_by_induced_metric,
)


def _descend(
    direction: optax.GradientTransformationExtraArgs,
    learning_rate: optax.ScalarOrSchedule,
    weight_decay: Scalar,
) -> optax.GradientTransformationExtraArgs:
    """θ ← θ − η (direction + λ θ): decoupled weight decay that the metric does not scale."""
    check_non_negative(learning_rate=learning_rate, weight_decay=weight_decay)
    without_decay = isinstance(weight_decay, numbers.Real) and weight_decay == 0
    return optax.chain(
        direction,
        # Without decay the parameters are not needed, so update(grads, state) works.
        optax.identity() if without_decay else optax.add_decayed_weights(weight_decay),
        optax.scale_by_learning_rate(learning_rate),
    )


def sgd_metric(
    learning_rate: optax.ScalarOrSchedule = 0.1,
    momentum: Scalar = 0.9,
    xi: Scalar = 0.1,
    beta: Scalar = 0.8,
    weight_decay: Scalar = 0.0,
) -> optax.GradientTransformationExtraArgs:
    r"""SGD on the metric pulled back from the graph of the loss (Algorithm 1, :math:`\gamma = 1`).

    .. math::
        r_t = \frac{1}{1 + |\hat v_t|}, \quad
        \theta_t = \theta_{t-1} - \eta\,(r_t \hat m_t + \lambda \theta_{t-1})

    with :math:`\hat v_t` the bias-corrected EMA of :math:`\xi \|g_t\|^2` and :math:`\hat m_t` that of the
    gradients. ξ = 0 is SGD with (bias-corrected EMA) momentum.

    Args:
        learning_rate: η, a number or a schedule.
        momentum: decay μ of the moving average of the gradients, in [0, 1).
        xi: weight ξ >= 0 of the loss direction; about one over the number of parameters.
        beta: decay β of the moving average of the squared norm, in [0, 1).
        weight_decay: decoupled decay λ >= 0, scaled by η but not by r.

    Returns:
        A transformation; ``update`` takes the gradients, the state and, for weight decay, the parameters.

    Raises:
        ValueError: for a number outside its range.

    Example:
        >>> import jax.numpy as jnp
        >>> from induced_metric import sgd_metric
        >>> optimizer = sgd_metric(learning_rate=0.5, momentum=0.0, xi=1.0, beta=0.0)
        >>> updates, _ = optimizer.update(jnp.array(2.0), optimizer.init(jnp.array(1.0)))
        >>> float(updates)  # -0.5 * 2 / (1 + 2**2)
        -0.2...

    References:
        Harvey, The Optimiser Hidden in Plain Sight, Algorithm 1 and Eq. 13.
    """
    core = scale_by_induced_metric(euclidean(momentum), xi, beta, identity)
    return _descend(core, learning_rate, weight_decay)


def sgd_log_metric(
    learning_rate: optax.ScalarOrSchedule = 0.1,
    momentum: Scalar = 0.9,
    xi: Scalar = 0.1,
    beta: Scalar = 0.8,
    weight_decay: Scalar = 0.0,
) -> optax.GradientTransformationExtraArgs:
    r"""SGD on the metric pulled back from the graph of the log-loss (Algorithm 2, :math:`\gamma = 1`).

    .. math::
        r_t = \frac{L_t}{L_t^2 + |\hat v_t|}, \quad
        \theta_t = \theta_{t-1} - \eta\,(r_t \hat m_t + \lambda \theta_{t-1})

    The loss L must be positive; rescaling it leaves the update as it is, up to its weight decay.

    Args:
        learning_rate: η, a number or a schedule.
        momentum: decay μ of the moving average of the gradients, in [0, 1).
        xi: weight ξ >= 0 of the loss direction.
        beta: decay β of the moving average of the squared norm, in [0, 1).
        weight_decay: decoupled decay λ >= 0, scaled by η but not by r.

    Returns:
        A transformation; ``update`` needs the loss of the same batch as ``value=``.

    Raises:
        ValueError: for a number outside its range, or, in ``update``, without ``value=``.

    Example:
        >>> import jax.numpy as jnp
        >>> from induced_metric import sgd_log_metric
        >>> optimizer = sgd_log_metric(learning_rate=0.5, momentum=0.0, xi=1.0, beta=0.0)
        >>> state = optimizer.init(jnp.array(1.0))
        >>> updates, _ = optimizer.update(jnp.array(2.0), state, value=jnp.array(4.0))
        >>> float(updates)  # -0.5 * 2 * 4 / (4**2 + 2**2)
        -0.2...

    References:
        Harvey, The Optimiser Hidden in Plain Sight, Algorithm 2 and Eq. 14.
    """
    core = scale_by_induced_metric(euclidean(momentum), xi, beta, log)
    return _descend(core, learning_rate, weight_decay)


def sgd_rms(
    learning_rate: optax.ScalarOrSchedule = 0.1,
    momentum: Scalar = 0.9,
    xi: Scalar = 0.1,
    beta: Scalar = 0.8,
    beta_rms: Scalar = 0.99,
    weight_decay: Scalar = 0.0,
    eps: Scalar = 1e-8,
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
        xi: weight ξ >= 0 of the loss direction.
        beta: decay β of the moving average of the squared norm, in [0, 1).
        beta_rms: decay of the moving average of the squared gradients, in [0, 1).
        weight_decay: decoupled decay λ >= 0, scaled by η but not by r.
        eps: ε >= 0, outside the root.

    Returns:
        A transformation; ``update`` takes the gradients, the state and, for weight decay, the parameters.

    Raises:
        ValueError: for a number outside its range.

    Example:
        >>> import jax.numpy as jnp
        >>> from induced_metric import sgd_rms
        >>> optimizer = sgd_rms(learning_rate=0.5, momentum=0.0, xi=1.0, beta=0.0)
        >>> updates, _ = optimizer.update(jnp.array(4.0), optimizer.init(jnp.array(1.0)))
        >>> float(updates)  # -0.5 * (4 / 4) / (1 + 4**2 / 4)
        -0.1...

    References:
        Harvey, The Optimiser Hidden in Plain Sight, Algorithm 1 and Section 3.
    """
    core = scale_by_induced_metric(rms(momentum, beta_rms, eps), xi, beta, identity)
    return _descend(core, learning_rate, weight_decay)
