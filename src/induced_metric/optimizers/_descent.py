"""The last step that all optimizers share: decoupled weight decay and the learning rate."""

import numbers
from collections.abc import Callable
from typing import Any, TypeAlias

import optax

from induced_metric.optimizers._arguments import check_non_negative
from induced_metric.optimizers.embeddings import Scalar

Mask: TypeAlias = Any | Callable[[Any], Any] | None  # pytree of bools, or a function from parameters to one


def descend(
    direction: optax.GradientTransformationExtraArgs,
    learning_rate: optax.ScalarOrSchedule,
    weight_decay: Scalar,
    mask: Mask = None,
) -> optax.GradientTransformationExtraArgs:
    """θ ← θ − η (direction + λ θ): decoupled weight decay that the metric does not scale."""
    check_non_negative(learning_rate=learning_rate, weight_decay=weight_decay)
    without_decay = isinstance(weight_decay, numbers.Real) and weight_decay == 0
    return optax.chain(
        direction,
        # Without decay the parameters are not needed, so update(grads, state) works.
        optax.identity() if without_decay else optax.add_decayed_weights(weight_decay, mask),
        optax.scale_by_learning_rate(learning_rate),
    )
