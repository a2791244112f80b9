"""Samplers and pruners of studies, from the configuration groups of these names."""

import functools
from collections.abc import Callable
from typing import Any

from omegaconf import DictConfig

from induced_metric.cli.values import plain, target
from induced_metric.errors import UserError


def sampler(node: DictConfig) -> Callable[..., Any]:
    """A function that creates a study's sampler from a seed, from the configuration group ``sampler``.

    Raises:
        UserError: if it cannot create one.
    """
    create = _creator(node, "sampler")
    _made(functools.partial(create, seed=0), "sampler")
    return create


def pruner(node: DictConfig) -> Any:
    """A study's pruner, from the configuration group ``pruner``.

    Raises:
        UserError: if it cannot be created.
    """
    return _made(_creator(node, "pruner"), "pruner")


def rungs(node: DictConfig) -> list[int]:
    """The epochs after which a pruner judges, from the configuration group ``pruner``.

    Raises:
        UserError: unless they are increasing integers >= 1.
    """
    given = plain(node).get("rungs")
    epochs = [rung for rung in given if type(rung) is int and rung >= 1] if isinstance(given, list) else []
    if given != sorted(set(epochs)):
        raise UserError(f"pruner.rungs must be increasing numbers of epochs, such as [5, 15], got {given!r}")
    return epochs


def _creator(node: DictConfig, where: str) -> Callable[..., Any]:
    values = plain(node).get("create")
    if not isinstance(values, dict):
        raise UserError(f"{where}.create must have a _target_, got {values!r}")
    factory = target(values, f"{where}.create")
    values.pop("_partial_", None)
    return functools.partial(factory, **values)


def _made(create: Callable[[], Any], where: str) -> Any:
    try:
        return create()
    except (TypeError, ValueError) as error:
        raise UserError(f"{where}.create: {error}") from error
