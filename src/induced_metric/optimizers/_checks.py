"""Range checks of hyperparameters, for numbers; traced values pass, since they have no value yet."""

import math
import numbers
from typing import Any


def _check(name: str, value: Any, allowed: str, holds: bool) -> None:
    if not holds:
        raise ValueError(f"{name} must be {allowed}, got {value}")


def check_non_negative(**values: Any) -> None:
    """Raises ValueError for a number that is negative, infinite or NaN."""
    for name, value in values.items():
        if isinstance(value, numbers.Real):
            _check(name, value, ">= 0 and finite", math.isfinite(value) and value >= 0)


def check_decay(**values: Any) -> None:
    """Raises ValueError for a number outside [0, 1), the range of a moving average's decay."""
    for name, value in values.items():
        if isinstance(value, numbers.Real):
            _check(name, value, "in [0, 1)", 0 <= value < 1)
