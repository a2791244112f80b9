"""The baselines, taken directly from optax, with the paper's names for their hyperparameters."""

import numbers
from typing import NamedTuple

import optax

from induced_metric.optimizers._arguments import (
    Scalar,
    check_decay,
    check_non_negative,
    check_positive,
    check_schedulable,
)
from induced_metric.optimizers.metric import descend


class Betas(NamedTuple):
    """The pair of decays that some optax optimisers take, as named numbers for use in configurations."""

    b1: Scalar
    b2: Scalar


def sgd(
    learning_rate: optax.ScalarOrSchedule,
    momentum: Scalar = 0.9,
    weight_decay: optax.ScalarOrSchedule = 0.0,
) -> optax.GradientTransformation:
    """``optax.sgd``: heavy-ball momentum, so the effective learning rate is η / (1 − momentum).

    ``weight_decay`` is decoupled, θ ← θ − η (b + λ θ): it does not go through the momentum.
    """
    check_schedulable(learning_rate=learning_rate, weight_decay=weight_decay)
    check_decay(momentum=momentum)
    if isinstance(weight_decay, numbers.Real) and weight_decay == 0:
        return optax.sgd(learning_rate, momentum=momentum)
    return descend(optax.with_extra_args_support(optax.trace(decay=momentum)), learning_rate, weight_decay)


def sgd_clipped(
    learning_rate: optax.ScalarOrSchedule,
    momentum: Scalar = 0.9,
    max_norm: Scalar = 1.0,
    weight_decay: Scalar = 0.0,
) -> optax.GradientTransformation:
    """``sgd`` on gradients clipped to the norm ``max_norm``: the hard version of what ``sgd_metric`` does."""
    check_positive(max_norm=max_norm)
    return optax.chain(optax.clip_by_global_norm(max_norm), sgd(learning_rate, momentum, weight_decay))


def adam(
    learning_rate: optax.ScalarOrSchedule, beta1: Scalar = 0.9, beta2: Scalar = 0.999, eps: Scalar = 1e-8
) -> optax.GradientTransformation:
    """``optax.adam`` with b1 = ``beta1`` and b2 = ``beta2``; ``adamw`` adds weight decay."""
    check_schedulable(learning_rate=learning_rate)
    check_non_negative(eps=eps)
    check_decay(beta1=beta1, beta2=beta2)
    return optax.adam(learning_rate, b1=beta1, b2=beta2, eps=eps)


def adamw(
    learning_rate: optax.ScalarOrSchedule,
    beta1: Scalar = 0.9,
    beta2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    weight_decay: optax.ScalarOrSchedule = 1e-4,
) -> optax.GradientTransformation:
    """``optax.adamw`` with b1 = ``beta1`` and b2 = ``beta2``."""
    check_schedulable(learning_rate=learning_rate, weight_decay=weight_decay)
    check_non_negative(eps=eps)
    check_decay(beta1=beta1, beta2=beta2)
    return optax.adamw(learning_rate, b1=beta1, b2=beta2, eps=eps, weight_decay=weight_decay)


def muon(
    learning_rate: optax.ScalarOrSchedule,
    beta: Scalar = 0.95,
    adam_b1: Scalar = 0.9,
    adam_b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    weight_decay: Scalar = 0.0,
    *,
    decay_all: bool = False,
    adaptive: bool = False,
    consistent_rms: Scalar | None = None,
) -> optax.GradientTransformation:
    """``optax.contrib.muon``: Muon for the 2-D parameters, AdamW with Nesterov momentum for all others.

    ``weight_decay`` applies only to the 2-D parameters, as published (optax's ``adam_weight_decay`` stays 0);
    with ``decay_all`` it applies to every parameter, as in the other optimisers. ``adaptive`` scales the
    updates of the 2-D parameters by the dual norm of the momentum. ``consistent_rms`` is the root mean square
    that the update of a 2-D parameter of any shape gets, as in Moonlight.
    """
    check_schedulable(learning_rate=learning_rate)
    check_non_negative(eps=eps, weight_decay=weight_decay)
    check_decay(beta=beta, adam_b1=adam_b1, adam_b2=adam_b2)
    return optax.contrib.muon(
        learning_rate,
        beta=beta,
        eps=eps,
        weight_decay=weight_decay,
        adam_b1=adam_b1,
        adam_b2=adam_b2,
        adam_weight_decay=weight_decay if decay_all else 0.0,
        adaptive=adaptive,
        consistent_rms=consistent_rms,
    )
