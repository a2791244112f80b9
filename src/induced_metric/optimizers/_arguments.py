"""Types of the arguments, and their range checks; a traced number passes, since it has no value yet."""

import math
import numbers
from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp

Scalar: TypeAlias = float | jax.Array  # shape=()
Params: TypeAlias = Any  # pytree of arrays
Mask: TypeAlias = Any | Callable[[Any], Any] | None  # pytree of bools, or a function from parameters to one
Subsets: TypeAlias = Any  # pytree of labels with the parameters' structure, or a function that makes one


def is_number(value: Any) -> bool:
    """Whether it is a number, or something that JAX reads as one: an array or a traced number."""
    return isinstance(value, numbers.Real) or hasattr(value, "dtype")


def check_number(
    name: str,
    value: Any,
    allowed: str,
    holds: Callable[[float], bool],
    kinds: str = "a number or an array scalar",
) -> None:
    """Checks one argument.

    Args:
        name: name of the argument.
        value: its value.
        allowed: its range, in words.
        holds: returns whether a number lies in the range.
        kinds: the allowed types, in words.

    Raises:
        ValueError: for a number outside its range.
        TypeError: for anything that is not a number.
    """
    if not is_number(value) or jnp.ndim(value):
        raise TypeError(f"{name} must be {kinds}, got {value!r}")
    if not isinstance(value, jax.core.Tracer) and not holds(float(value)):
        raise ValueError(f"{name} must be {allowed}, got {value}")


def check_schedulable(**values: Any) -> None:
    """As ``check_non_negative``, but each may also be a schedule, which is a function of the step."""
    kinds = "a number, an array scalar or a schedule"
    for name, value in values.items():
        if not callable(value):
            check_number(name, value, ">= 0 and finite", lambda number: 0 <= number < math.inf, kinds)


def check_non_negative(**values: Any) -> None:
    """Raises ValueError for a number that is negative, infinite or NaN, TypeError for anything else."""
    for name, value in values.items():
        check_number(name, value, ">= 0 and finite", lambda number: 0 <= number < math.inf)


def check_positive(**values: Any) -> None:
    """Raises ValueError for a number that is not positive and finite, TypeError for anything else."""
    for name, value in values.items():
        check_number(name, value, "> 0 and finite", lambda number: 0 < number < math.inf)


def check_decay(**values: Any) -> None:
    """Raises ValueError outside [0, 1), the range of a moving average's decay; TypeError if not a number."""
    for name, value in values.items():
        check_number(name, value, "in [0, 1)", lambda number: 0 <= number < 1)


def check_share(**values: Any) -> None:
    """Raises ValueError for a number outside [0, 1], TypeError for anything else."""
    for name, value in values.items():
        check_number(name, value, "in [0, 1]", lambda number: 0 <= number <= 1)


def check_real(params: Any) -> None:
    """Raises TypeError for complex parameters, for which the metric is not defined."""
    if any(jnp.iscomplexobj(leaf) for leaf in jax.tree.leaves(params)):
        raise TypeError(
            "complex parameters are not supported: hold their real and imaginary parts, or wrap an "
            "optimizer that needs no loss in optax.contrib.split_real_and_imaginary"
        )
