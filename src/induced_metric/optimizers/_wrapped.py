"""The induced metric on other optimisers: AdamW, Muon and Lion."""

import optax

from induced_metric.optimizers._arguments import Mask, Scalar, Subsets, check_decay, check_positive
from induced_metric.optimizers.embeddings import identity
from induced_metric.optimizers.metric import Height, descend, induced_metric


def adamw_metric(
    learning_rate: optax.ScalarOrSchedule = 1e-3,
    beta1: Scalar = 0.9,
    beta2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    xi: Scalar = 0.1,
    beta: Scalar = 0.8,
    weight_decay: optax.ScalarOrSchedule = 1e-4,
    *,
    embedding: Height = identity,
    mask: Mask = None,
    subsets: Subsets = None,
) -> optax.GradientTransformationExtraArgs:
    r"""AdamW under the induced metric, :math:`\gamma^{-1} = 1/(\sqrt{\hat r} + \epsilon)`.

    .. math::
        \hat v_t = \mathrm{EMA}_\beta\Big(\xi\, g_t \cdot
            \frac{\hat m_t}{\sqrt{\hat r_t} + \epsilon}\Big), \quad
        \theta_t = \theta_{t-1} - \eta\Big(\frac{f'}{1 + f'^2 |\hat v_t|}
            \frac{\hat m_t}{\sqrt{\hat r_t} + \epsilon} + \lambda \theta_{t-1}\Big)

    γ⁻¹ is that of ``sgd_rms``, but the trace is the product of the gradient with Adam's averaged direction
    instead of γ⁻¹g, which is an approximation unless ``beta1`` is 0. ``sgd_rms`` has the exact trace and, on
    a CPU, costs less. With ξ = 0 and the embedding ``identity`` it is ``optax.adamw``.

    Args:
        learning_rate: η, a number or a schedule.
        beta1: decay of the moving average of the gradients, in [0, 1).
        beta2: decay of the moving average of their squares, in [0, 1).
        eps: ε > 0, added outside the square root.
        xi: weight ξ >= 0 of the loss direction; about one over the number of parameters.
        beta: decay β of the moving average of the trace, in [0, 1).
        weight_decay: decoupled decay λ >= 0, scaled by η but not by r.
        embedding: the height of the graph as a function of the loss.
        mask: which parameters decay, as in ``optax.add_decayed_weights``; all by default.
        subsets: labels that divide the parameters into subsets with a metric each; by default one for all.

    Returns:
        A transformation; ``update`` needs ``value=`` unless the embedding is ``identity``.

    Raises:
        ValueError: for a number outside its range, or, in ``update``, without a needed ``value=``.
        TypeError: for an argument that is no number (only η may be a schedule), or, in ``init``, for complex
            parameters.

    Example:
        >>> import jax.numpy as jnp
        >>> from induced_metric import adamw_metric
        >>> optimizer = adamw_metric(1e-3, xi=1e-3, weight_decay=0.0)
        >>> updates, _ = optimizer.update(jnp.ones(2), optimizer.init(jnp.zeros(2)))

    References:
        Harvey, The Optimiser Hidden in Plain Sight, Section 2.
        Loshchilov and Hutter, Decoupled Weight Decay Regularization, 2019.
    """
    check_decay(beta1=beta1, beta2=beta2)
    check_positive(eps=eps)
    base = optax.scale_by_adam(b1=beta1, b2=beta2, eps=eps)
    core = induced_metric(base, xi=xi, beta=beta, embedding=embedding, subsets=subsets)
    return descend(core, learning_rate, weight_decay, mask)


def muon_metric(
    learning_rate: optax.ScalarOrSchedule = 1e-3,
    beta_muon: Scalar = 0.95,
    adam_b1: Scalar = 0.9,
    adam_b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    xi: Scalar = 0.1,
    beta: Scalar = 0.8,
    weight_decay: optax.ScalarOrSchedule = 0.0,
    *,
    embedding: Height = identity,
    mask: Mask = None,
    subsets: Subsets = None,
) -> optax.GradientTransformationExtraArgs:
    r"""Muon under the induced metric, with one metric for its matrices and its Adam part.

    .. math::
        \hat v_t = \mathrm{EMA}_\beta(\xi\, g_t \cdot P g_t), \quad
        \theta_t = \theta_{t-1} - \eta\Big(\frac{f'}{1 + f'^2 |\hat v_t|} P g_t + \lambda \theta_{t-1}\Big)

    For a matrix G, :math:`\gamma^{-1} = (G G^T)^{-1/2}` and :math:`P G = U V^T`, from the singular value
    decomposition of G, so that the trace is the nuclear norm of G. This is an approximation in three ways:
    optax takes five Newton-Schulz steps, rescales by the shape, and averages the gradient first. All
    parameters that are not matrices use optax's Adam with Nesterov momentum. With λ = 0, ξ = 0
    and the embedding ``identity`` it is ``muon``.

    Args:
        learning_rate: η, a number or a schedule.
        beta_muon: decay of Muon's moving average of the gradients, in [0, 1).
        adam_b1: decay of the moving average of the gradients that are not matrices, in [0, 1).
        adam_b2: decay of the moving average of their squares, in [0, 1).
        eps: ε > 0, for both parts.
        xi: weight ξ >= 0 of the loss direction; about one over the number of parameters.
        beta: decay β of the moving average of the trace, in [0, 1).
        weight_decay: decoupled decay λ >= 0 of all parameters, scaled by η but not by r.
        embedding: the height of the graph as a function of the loss.
        mask: which parameters decay, as in ``optax.add_decayed_weights``; all by default.
        subsets: labels that divide the parameters into subsets with a metric each; by default one for all.

    Returns:
        A transformation; ``update`` needs the parameters, and ``value=`` unless the embedding is
        ``identity``.

    Raises:
        ValueError: for a number outside its range, or, in ``update``, without a needed ``value=``.
        TypeError: for an argument that is no number (only η may be a schedule), or, in ``init``, for complex
            parameters.

    Example:
        >>> import jax.numpy as jnp
        >>> from induced_metric import muon_metric
        >>> params = {"kernel": jnp.ones((3, 2)), "bias": jnp.zeros(2)}
        >>> optimizer = muon_metric(1e-2, xi=1e-3)
        >>> updates, _ = optimizer.update(params, optimizer.init(params), params)

    References:
        Harvey, The Optimiser Hidden in Plain Sight, Section 2.
        Jordan et al., Muon: An optimiser for hidden layers in neural networks, 2024.
    """
    check_decay(beta_muon=beta_muon, adam_b1=adam_b1, adam_b2=adam_b2)
    check_positive(eps=eps)
    # With a learning rate of -1, optax.contrib.muon returns its direction for all parameters.
    base = optax.contrib.muon(-1.0, beta=beta_muon, eps=eps, adam_b1=adam_b1, adam_b2=adam_b2)
    core = induced_metric(base, xi=xi, beta=beta, embedding=embedding, subsets=subsets)
    return descend(core, learning_rate, weight_decay, mask)


def lion_metric(
    learning_rate: optax.ScalarOrSchedule = 1e-3,
    beta1: Scalar = 0.9,
    beta2: Scalar = 0.99,
    xi: Scalar = 0.1,
    beta: Scalar = 0.8,
    weight_decay: optax.ScalarOrSchedule = 1e-3,
    *,
    embedding: Height = identity,
    mask: Mask = None,
    subsets: Subsets = None,
) -> optax.GradientTransformationExtraArgs:
    r"""Lion under the induced metric, :math:`\gamma^{-1} = 1/|g|` element by element.

    .. math::
        c_t = \beta_1 m_{t-1} + (1 - \beta_1) g_t, \quad
        \hat v_t = \mathrm{EMA}_\beta(\xi\, g_t \cdot \mathrm{sign}\, c_t), \quad
        \theta_t = \theta_{t-1} - \eta\Big(\frac{f'}{1 + f'^2 |\hat v_t|}
            \mathrm{sign}\, c_t + \lambda \theta_{t-1}\Big)

    The trace is the 1-norm of the gradient if all signs of g and c agree, and smaller otherwise, so it is an
    approximation unless ``beta1`` is 0. With ξ = 0 and the embedding ``identity`` it is ``optax.lion``.

    Args:
        learning_rate: η, a number or a schedule.
        beta1: weight of the momentum in the direction, in [0, 1).
        beta2: decay of the momentum, in [0, 1).
        xi: weight ξ >= 0 of the loss direction; about one over the number of parameters.
        beta: decay β of the moving average of the trace, in [0, 1).
        weight_decay: decoupled decay λ >= 0, scaled by η but not by r.
        embedding: the height of the graph as a function of the loss.
        mask: which parameters decay, as in ``optax.add_decayed_weights``; all by default.
        subsets: labels that divide the parameters into subsets with a metric each; by default one for all.

    Returns:
        A transformation; ``update`` needs ``value=`` unless the embedding is ``identity``.

    Raises:
        ValueError: for a number outside its range, or, in ``update``, without a needed ``value=``.
        TypeError: for an argument that is no number (only η may be a schedule), or, in ``init``, for complex
            parameters.

    Example:
        >>> import jax.numpy as jnp
        >>> from induced_metric import lion_metric
        >>> optimizer = lion_metric(1e-4, xi=1e-3, weight_decay=0.0)
        >>> updates, _ = optimizer.update(jnp.ones(2), optimizer.init(jnp.zeros(2)))

    References:
        Harvey, The Optimiser Hidden in Plain Sight, Section 2.
        Chen et al., Symbolic Discovery of Optimization Algorithms, 2023.
    """
    check_decay(beta1=beta1, beta2=beta2)
    base = optax.scale_by_lion(b1=beta1, b2=beta2)
    core = induced_metric(base, xi=xi, beta=beta, embedding=embedding, subsets=subsets)
    return descend(core, learning_rate, weight_decay, mask)
