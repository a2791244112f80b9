"""Checked values of a configuration; an error is one sentence that says what is allowed."""

import contextlib
import dataclasses
import difflib
import functools
import pkgutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import omegaconf
from omegaconf import DictConfig, OmegaConf
from pydantic import ConfigDict, TypeAdapter, ValidationError, validate_call

from induced_metric.errors import UserError, out_of_memory

Settings = TypeVar("Settings")
CONF = Path(__file__).parents[1] / "conf"


@contextlib.contextmanager
def sentences(where: str) -> Iterator[None]:
    """Within this context, a refusal becomes a UserError that names this part of the configuration."""
    try:
        yield
    except UserError:
        raise
    except (TypeError, ValueError, ConnectionError) as error:
        if out_of_memory(error):
            raise
        raise UserError(f"{where}: {error}") from error


def plain(node: DictConfig) -> dict[str, Any]:
    """A part of a configuration as a dictionary.

    Raises:
        UserError: for a value that is missing or refers to one that does not exist.
    """
    try:
        return OmegaConf.to_container(node, resolve=True, throw_on_missing=True)  # type: ignore[return-value]
    except omegaconf.errors.OmegaConfBaseException as error:
        raise UserError(str(error).splitlines()[0]) from error


def target(settings: dict[str, Any], where: str) -> Callable[..., Any]:
    """Removes ``_target_`` from the settings and finds what it names.

    Raises:
        UserError: if it cannot be imported or called.
    """
    path = settings.pop("_target_", None)
    if not isinstance(path, str):
        raise UserError(f"{where}._target_ must be the dotted path of a function or class, got {path!r}")
    try:
        function = pkgutil.resolve_name(path)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f"{where}._target_: cannot find {path!r} ({error})") from error
    except Exception as error:  # of somebody else's module, so of any kind
        reason = f"{type(error).__name__}: {error}"
        raise UserError(f"{where}._target_: cannot import {path!r} ({reason})") from error
    if not callable(function):
        kind = type(function).__name__
        raise UserError(f"{where}._target_ must name a function or class, and {path!r} is a {kind}")
    return function


def suggested(name: str, allowed: Iterable[str]) -> str:
    """The end of a message on an unknown name: the most similar one of those allowed, if any is."""
    close = difflib.get_close_matches(name, list(allowed), n=1)
    return f"; did you mean {close[0]}?" if close else ""


def seed(cfg: DictConfig) -> int:
    """The seed of a configuration.

    Raises:
        UserError: unless it is an integer that fits in 32 bits.
    """
    return integer(cfg, "seed", low=0, high=2**32 - 1)


def integer(cfg: DictConfig, name: str, *, low: int, high: int) -> int:
    """An integer in a configuration.

    Raises:
        UserError: unless it is an integer between ``low`` and ``high``.
    """
    value = OmegaConf.select(cfg, name)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise UserError(f"{name} must be an integer from {low} to {high}, got {value!r}")
    return value


def settings(cls: type[Settings], values: Mapping[str, Any], where: str) -> Settings:
    """A dataclass of validated settings.

    Args:
        cls: the dataclass; a ValueError that it raises is reported as the user's mistake.
        values: the values of its fields.
        where: the part of the configuration that has them.

    Raises:
        UserError: for a value of the wrong type or out of range, or a name that is not a field.
    """
    fields = [field.name for field in dataclasses.fields(cls)]  # type: ignore[arg-type]
    if unknown := [name for name in values if name not in fields]:
        raise UserError(f"unknown '{where}.{unknown[0]}': allowed are {', '.join(fields)}")
    try:
        read = TypeAdapter(cls).validate_python(dict(values))
    except ValidationError as error:
        raise UserError(_sentence(where, error)) from error
    _check_booleans(values, read, where)
    return read


def arguments(function: Callable[..., Any], values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The arguments of a function, converted to the types in its signature.

    Args:
        function: the function, which is not called.
        values: the values of its arguments, by name.
        where: the part of the configuration that has them.

    Raises:
        UserError: for a value of the wrong type, a name that is not an argument, or a missing argument.
    """

    @functools.wraps(function)
    def read(**arguments: Any) -> dict[str, Any]:
        return arguments

    try:
        # Without `forbid`, pydantic drops names that the TypedDict behind `**run` does not have.
        found: dict[str, Any] = validate_call(config=ConfigDict(extra="forbid"))(read)(**values)
    except ValidationError as error:
        raise UserError(_sentence(where, error)) from error
    _check_booleans(values, found, where)
    return found


def _check_booleans(given: Any, read: Any, where: str) -> None:
    """Raises UserError if pydantic read a boolean as a number; its strict mode would also refuse 1e3."""
    if isinstance(given, bool) and not isinstance(read, bool):
        raise UserError(f"{where} must be a number, got {str(given).lower()}")
    if dataclasses.is_dataclass(read):
        read = vars(read)
    if isinstance(given, Mapping) and isinstance(read, Mapping):
        for name, value in given.items():
            _check_booleans(value, read[name], f"{where}.{name}")
    elif isinstance(given, list | tuple) and isinstance(read, list | tuple):
        for index, value in enumerate(given):
            _check_booleans(value, read[index], f"{where}.{index}")


def _sentence(where: str, error: ValidationError) -> str:
    """Pydantic's complaint in one sentence."""
    first, *others = error.errors()
    # For a value that may be one of several types, pydantic complains once for each type.
    others = [other for other in others if other["input"] is first["input"]]
    place = ".".join([where, *map(str, first["loc"][: 1 if others else None])])
    if first["type"] == "value_error":  # raised by our own classes, whose messages name the value
        return f"{place}: {first['ctx']['error']}"
    if first["type"].startswith("missing"):  # a field, or an argument
        return f"{'.'.join([where, *map(str, first['loc'])])} is missing"
    if first["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        return f"unknown {place!r}"
    messages = [each["msg"][0].lower() + each["msg"][1:] for each in (first, *others)]
    return f"{place}: {', or '.join(messages)}, got {first['input']!r}"
