"""Types of the arguments, and their range checks; a traced argument passes, for it has no value yet."""

import math
import numbers
from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp

Scalar: TypeAlias = float | jax.Array  # shape=()
Params: TypeAlias = Any  # pytree of arrays
Mask: TypeAlias = Any | Callable[[Any], Any] | None  # pytree of bools, or a function from parameters to one
Subsets: TypeAlias = Any  # pytree of labels in the shape of the parameters, or a function that makes it


def _check(name: str, value: Any, allowed: str, holds: bool) -> None:
    if not holds:
        raise ValueError(f"{name} must be {allowed}, got {value}")


def check_non_negative(**values: Any) -> None:
    """Raises ValueError for a number that is negative, infinite or NaN."""
    for name, value in values.items():
        if isinstance(value, numbers.Real):
            _check(name, value, ">= 0 and finite", 0 <= float(value) < math.inf)


def check_positive(**values: Any) -> None:
    """Raises ValueError for a number that is not positive, infinite or NaN."""
    for name, value in values.items():
        if isinstance(value, numbers.Real):
            _check(name, value, "> 0 and finite", 0 < float(value) < math.inf)


def check_decay(**values: Any) -> None:
    """Raises ValueError for a number outside [0, 1), the range of a moving average's decay."""
    for name, value in values.items():
        if isinstance(value, numbers.Real):
            _check(name, value, "in [0, 1)", 0 <= float(value) < 1)


def check_share(**values: Any) -> None:
    """Raises ValueError for a number outside [0, 1]."""
    for name, value in values.items():
        if isinstance(value, numbers.Real):
            _check(name, value, "in [0, 1]", 0 <= float(value) <= 1)


def check_real(params: Any) -> None:
    """Raises TypeError for complex parameters, for which the metric is not defined."""
    if any(jnp.iscomplexobj(leaf) for leaf in jax.tree.leaves(params)):
        raise TypeError(
            "complex parameters are not supported: hold their real and imaginary parts, or wrap an "
            "optimizer that needs no loss in optax.contrib.split_real_and_imaginary"
        )
