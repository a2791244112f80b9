"""Factories: what a configuration names by ``_target_``, as a function of its hyperparameters."""

import inspect
import itertools
import json
import math
import types
import typing
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from induced_metric.cli.values import suggested, target
from induced_metric.errors import UserError, out_of_memory

# Types by themselves, and as an annotation names them that cannot be evaluated.
_STATIC_TYPES = {int, bool, str, "int", "bool", "str"}
_NUMBERS = {int, float, "int", "float"}
_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


@dataclass(frozen=True, kw_only=True)
class Factory:
    """A function of hyperparameters, with its constants.

    An argument that is itself given by a ``_target_`` is also built from hyperparameters. Their names begin
    with the name of the argument, as in ``embedding.p``.

    Attributes:
        where: the part of the configuration that defines it.
        create: the function.
        numbers: its hyperparameters, with their values; JAX can trace them.
        constants: the other arguments: integers, booleans and words.
        nested: factories of the arguments that are built first.
    """

    where: str
    create: Callable[..., Any]
    numbers: Mapping[str, float]
    constants: Mapping[str, Any]
    nested: Mapping[str, "Factory"]

    @classmethod
    def of(cls, values: Mapping[str, Any], where: str, *, given: int = 0) -> "Factory":
        """Builds the factory that a part of the configuration describes.

        A number is a hyperparameter, unless the function's signature says that the argument is an integer.

        Args:
            values: the arguments' values, with ``_target_``.
            where: the part of the configuration.
            given: how many leading arguments the caller supplies itself.

        Raises:
            UserError: for a target that cannot be found, a name that is not one of its arguments, or a value
                of the wrong kind.
        """
        settings = dict(values)
        create = target(settings, where)
        settings.pop("name", None)
        arguments = _arguments(create)
        _check_names(settings, dict(itertools.islice(arguments.items(), given, None)), where)
        numbers: dict[str, float] = {}
        constants: dict[str, Any] = {}
        nested: dict[str, Factory] = {}
        for name, value in settings.items():
            if isinstance(value, Mapping) and "_target_" in value:
                nested[name] = cls.of(value, f"{where}.{name}")
                numbers |= {f"{name}.{inner}": number for inner, number in nested[name].numbers.items()}
            elif name in arguments and _must_be_number(value, arguments[name]):
                raise UserError(f"{where}.{name} must be a number, got {json.dumps(value)}")
            elif (
                isinstance(value, bool)
                or value is None
                or (name in arguments and _takes_constant(value, arguments[name]))
            ):
                constants[name] = value
            elif not isinstance(value, int | float):
                words = " (annotate an argument that takes words as str)" * isinstance(value, str)
                raise UserError(f"{where}.{name} must be a number, got {value!r}{words}")
            elif not math.isfinite(value):
                raise UserError(f"{where}.{name} must be a finite number, got {value}")
            else:
                numbers[name] = float(value)
        return cls(where=where, create=create, numbers=numbers, constants=constants, nested=nested)

    def __call__(self, *arguments: Any, **values: Any) -> Any:
        """Calls the function with these hyperparameters."""
        direct = {name: value for name, value in values.items() if "." not in name}
        built = {
            name: factory(**below(f"{name}.", values))
            for name, factory in self.nested.items()
            if name not in direct  # a search may choose the whole argument
        }
        return self.create(*arguments, **{**self.constants, **built, **direct})

    def check(self, changed: Mapping[str, Any], *arguments: Any) -> Any:
        """Calls the function with plain numbers, since it cannot check traced ones; returns the result.

        Raises:
            UserError: if the function refuses the values.
        """
        for name, value in changed.items():
            if isinstance(value, bool) and name in self.numbers:
                raise UserError(f"search_space: {name} must be a number, got {str(value).lower()}")
        try:
            return self(*arguments, **{**self.numbers, **changed})
        except Exception as error:  # of somebody else's code, so of any kind
            if out_of_memory(error):
                raise
            from induced_metric.training.mistakes import described  # imports JAX

            where = "search_space" if changed else self.where
            said = str(error) if isinstance(error, TypeError | ValueError) else described(error)
            raise UserError(f"{where}: {said}") from error

    def is_static(self, name: str) -> bool:
        """Whether, by the function's signature, the compiled program depends on the value of an argument."""
        first, _, rest = name.partition(".")
        if rest:
            return self.nested[first].is_static(rest)
        argument = _arguments(self.create).get(name)
        return argument is not None and _is_static(argument)

    @property
    def values(self) -> dict[str, Any]:
        """All names that a search may range over, with their values; a nested argument's value is None."""
        inner = {
            f"{name}.{each}": value
            for name, factory in self.nested.items()
            for each, value in factory.values.items()
        }
        return {**self.numbers, **self.constants, **dict.fromkeys(self.nested), **inner}

    @property
    def unset(self) -> set[str]:
        """The arguments that the configuration gives no value."""
        own = {name for name, argument in _arguments(self.create).items() if argument.kind not in _VARIADIC}
        inner = {f"{name}.{each}" for name, factory in self.nested.items() for each in factory.unset}
        return (own - self.values.keys()) | inner


def _check_names(names: Iterable[str], arguments: Mapping[str, inspect.Parameter], where: str) -> None:
    """Raises UserError for a name that is not an argument, unless the signature does not list them all."""
    kinds = {argument.kind for argument in arguments.values()}
    if not arguments or inspect.Parameter.VAR_KEYWORD in kinds:
        return
    for name in names:
        if name not in arguments:
            raise UserError(
                f"unknown '{where}.{name}': allowed under {where} are "
                f"{', '.join(arguments)}{suggested(name, arguments)}"
            )


def _must_be_number(value: Any, argument: inspect.Parameter) -> bool:
    """Whether a value is true, false or null where an argument takes a number."""
    if value is None:
        optional = argument.default is None or type(None) in _kinds(argument.annotation)
        return not optional and _takes_number(argument)
    return isinstance(value, bool) and _takes_number(argument)


def _takes_number(argument: inspect.Parameter) -> bool:
    """Whether an argument is a number and not a boolean, judged by its default or else its type."""
    if isinstance(argument.default, int | float):
        return not isinstance(argument.default, bool)
    kinds = _kinds(argument.annotation)
    return bool(kinds & _NUMBERS) and bool not in kinds


def _is_static(argument: inspect.Parameter) -> bool:
    """Whether an argument is an integer, a boolean or a word, perhaps null."""
    kinds = _kinds(argument.annotation) - {type(None)}
    return bool(kinds) and kinds <= _STATIC_TYPES


def _takes_constant(value: Any, argument: inspect.Parameter) -> bool:
    """Whether the value is one that the compiled program depends on, not a number to trace."""
    word = isinstance(value, str) and not _kinds(argument.annotation).isdisjoint({str, "str"})
    return word or _is_static(argument)


def _kinds(annotation: Any) -> set[Any]:
    """The types that an annotation allows; those of its values for a ``Literal``."""
    if typing.get_origin(annotation) is typing.Annotated:
        return _kinds(typing.get_args(annotation)[0])
    if typing.get_origin(annotation) is typing.Literal:
        return {type(value) for value in typing.get_args(annotation)}
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return set().union(*map(_kinds, typing.get_args(annotation)))
    if isinstance(annotation, str):  # it could not be evaluated
        parts = {part.strip() for part in annotation.split("|")}
        return {type(None) if part == "None" else part for part in parts}
    return {annotation} if isinstance(annotation, Hashable) else set()


def below(prefix: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values whose names begin with the prefix, keyed by the rest of the name."""
    return {name.removeprefix(prefix): value for name, value in values.items() if name.startswith(prefix)}


def _arguments(create: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(create, eval_str=True).parameters
    except ValueError:  # some builtins have no signature
        return {}
    except (AttributeError, NameError, SyntaxError, TypeError):
        # An annotation as text names what only type checkers import.
        return inspect.signature(create).parameters
