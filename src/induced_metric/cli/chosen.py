"""The files in ``conf`` that a command line chooses, checked before Hydra composes them."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from hydra.errors import MissingConfigException
from omegaconf import OmegaConf

from induced_metric.cli.values import CONF, suggested
from induced_metric.errors import UserError

_NAMED = ("optimizer", "task")  # the groups whose files must set the name that records get
_RECORDED = (*_NAMED, "protocol", "sampler", "pruner", "schedule")  # those whose names are in records
_HEADER = "# @package _global_"


def names(overrides: Iterable[str]) -> dict[str, list[str]]:
    """The choices that a command line makes, by configuration group."""
    groups = {path.name for path in CONF.iterdir() if path.is_dir()}
    words = (word.partition("=") for word in overrides)
    return {group: value.split(",") for group, _, value in words if group in groups and value}


def check(overrides: Iterable[str]) -> None:
    """Raises UserError for a file that Hydra would misread.

    Its records would get another name, or without a header its settings would stand in another place.
    """
    for group, choices in names(overrides).items():
        for name in choices:
            path = CONF / group / f"{name}.yaml"
            if path.exists():  # otherwise Hydra lists the choices
                _check(path, group)
            for path in (CONF / "protocol" / group).glob(f"*_{name}.yaml") if group in _NAMED else ():
                _check_header(path)


def unknown(error: MissingConfigException) -> str:
    """Explains in one sentence that a group has no such choice, or what it refers to does not exist."""
    group, _, choice = (error.missing_cfg_file or "").rpartition("/")
    allowed = sorted(path.stem for path in (CONF / group).glob("*.yaml"))
    return f"unknown {group} {choice!r}: allowed are {', '.join(allowed)}{suggested(choice, allowed)}"


def read(path: Path) -> Any:
    """The content of a file.

    Raises:
        UserError: if it is not valid YAML.
    """
    try:
        return OmegaConf.load(path)
    except yaml.MarkedYAMLError as error:
        last = len(path.read_text(encoding="utf-8").splitlines())  # the parser stands behind it at the end
        line = f" line {min(error.problem_mark.line + 1, last)}" if error.problem_mark else ""
        raise UserError(f"{_shown(path)}{line} is not valid YAML: {error.problem}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{_shown(path)} is not YAML in UTF-8") from error
    except OSError as error:  # OmegaConf's for a number alone
        raise UserError(f"{_shown(path)} cannot be read ({error})") from error


def _check_header(path: Path) -> None:
    if not _has_header(path):
        raise UserError(f"{_shown(path)} must begin with the line {_HEADER}")


def _has_header(path: Path) -> bool:
    # Hydra reads the header only in the first line; even a comment above it hides it.
    return path.read_text(encoding="utf-8").lstrip().partition("\n")[0].split() == _HEADER.split()


def _check(path: Path, group: str) -> None:
    content: Any = OmegaConf.to_container(read(path))
    if group in _NAMED:
        _check_header(path)
    section = content.get(group) if _has_header(path) and isinstance(content, Mapping) else content
    if group in _NAMED and not isinstance(section, Mapping):
        raise UserError(f"{_shown(path)} must have a section {group}: with name: {path.stem} in it")
    name = section.get("name") if isinstance(section, Mapping) else None
    if name != path.stem and (group in _NAMED or (group in _RECORDED and name is not None)):
        actual = "no name" if name is None else f"name: {name}"
        raise UserError(
            f"{_shown(path)} has {actual} under {group}: write name: {path.stem}, the name of its file, "
            "since its records get that name"
        )


def _shown(path: Path) -> str:
    return f"conf/{path.relative_to(CONF)}"
