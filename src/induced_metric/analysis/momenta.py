"""Whose momentum sums gradients, by the recorded configuration: its step grows to 1/(1 - momentum) times."""

from collections.abc import Mapping
from typing import Any

NAMES = ("momentum", "direction.decay", "b1")
"""The hyperparameters that hold it, where it sums gradients."""
_SUMS = frozenset({"sgd", "sgd_clipped", "lars", "novograd", "simplified_ademamix"})
_TRACE = "optax.trace"


def sums_gradients(config: Mapping[str, Any], optimizer: str) -> bool:
    """Whether an optimiser's momentum sums gradients: SGD's, and that of those configured so.

    Args:
        config: the recorded configuration.
        optimizer: the name of the optimiser on record, for records that do not say what makes it.
    """
    settings = config.get("optimizer", {})
    kind = str(settings.get("_target_", optimizer.partition("+")[0])).rpartition(".")[2]
    return kind in _SUMS or bool(settings.get("heavy_ball")) or traces(config)


def traces(config: Mapping[str, Any]) -> bool:
    """Whether an optimiser descends along optax's trace of the gradients, as SGD with Nesterov momentum."""
    direction = config.get("optimizer", {}).get("direction")
    return isinstance(direction, Mapping) and direction.get("_target_") == _TRACE
