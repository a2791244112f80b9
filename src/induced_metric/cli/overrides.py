"""Hydra's overrides on a command line: explains what is wrong with them, and renames older settings."""

import functools
import itertools
import re
import sys
from collections.abc import Callable, Iterator, Sequence

import hydra
import omegaconf
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import (
    ConfigCompositionException,
    HydraException,
    MissingConfigException,
    OverrideParseException,
)
from omegaconf import DictConfig, OmegaConf

from induced_metric.cli import chosen
from induced_metric.cli.values import CONF, suggested
from induced_metric.studies import compatibility

_RENAMED = {"lanes.lanes": "lanes.width", **compatibility.RENAMED}
_SEARCHED = "search_space."  # prefix of the name of a setting that is searched
# How Hydra's message begins when an override has several values and a run takes one.
_SEVERAL = re.compile("Ambiguous value for argument|Sweep parameters .* requires --multirun")
_THERE = re.compile("Could not append to config. An item is already at '(.*)'")


def sentence(error: ConfigCompositionException | OverrideParseException, config: str) -> str:
    """Explains in one sentence why Hydra refused the overrides in ``sys.argv``.

    Args:
        error: Hydra's error.
        config: name of the primary configuration.
    """
    if isinstance(error, OverrideParseException):
        return f"cannot read the override {error.override!r}: write name=value"
    if isinstance(error, MissingConfigException):
        return chosen.unknown(error)
    if _SEVERAL.match(str(error)):
        return _several(config)
    if existing := _THERE.match(str(error)):
        return f"{existing[1]} has a value already: write it without the +"
    return _unknown(error, config)


def _several(config: str) -> str:
    """Explains what is wrong when Hydra complains of several values.

    Hydra also does so for a sweep, which does take several values, when the sweep cannot be composed for
    another reason; that reason is then hidden.
    """
    GlobalHydra.instance().clear()
    words = [word for word in sys.argv[1:] if not word.startswith("-")]
    read = OverridesParser.create().parse_overrides(words)
    firsts = {
        str(each.input_line): f"{each.get_key_element()}={next(each.sweep_string_iterator())}"
        for each in read
        if each.is_sweep_override()
    }
    try:
        with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
            hydra.compose(config, [firsts.get(word, word) for word in words])
    except ConfigCompositionException as error:
        return sentence(error, config)
    word = next(iter(firsts))
    name, _, values = word.partition("=")
    message = f"{word} has several values, and this takes one"
    if config == "config":
        message += ": add -m to train a trial of each, or search with sweeps/sweep.py"
    # Hydra's own range(...) and choice(...) are intended as several values, so no list is suggested for them.
    return message if "." not in name or "(" in values else f"{message}; a list is written {name}=[{values}]"


def _unknown(error: ConfigCompositionException, config: str) -> str:
    cause = error.__cause__
    key = getattr(cause, "full_key", None)
    if (
        not isinstance(cause, omegaconf.errors.ConfigKeyError | omegaconf.errors.ConfigAttributeError)
        or not key
    ):
        return str(error).splitlines()[0]
    parent, _, name = str(key).rpartition(".")
    allowed = _allowed_keys(parent, name, config)
    where = f" under {parent}" if parent else ""
    hint = (not parent and _inside(name, config)) or suggested(name, allowed)
    return f"unknown {key!r}: allowed{where} are {', '.join(allowed)}{hint}"


def _inside(name: str, config: str) -> str:
    """The end of a message on a name that is unknown, but a setting of a group, such as xi of optimiser."""
    groups = _composed(sys.argv[1:], config).items()
    found = [
        f"{group!s}.{name}"
        for group, node in groups
        if isinstance(node, DictConfig) and name in node and not isinstance(node[name], DictConfig)
    ]
    return f"; did you mean {' or '.join(found)}?" if found else ""


def _allowed_keys(parent: str, unknown: str, config: str) -> list[str]:
    """The keys next to a misspelt one, under the first choice of groups on the command line that lacks it."""
    GlobalHydra.instance().clear()
    names: list[str] = []
    for cfg in _compositions(sys.argv[1:], config):
        node = OmegaConf.select(cfg, parent) if parent else cfg
        names = [str(name) for name in node] if isinstance(node, DictConfig) else []
        if unknown not in names:
            break
    return [name for name in names if not name.startswith("_") and name != "name"]


def _composed(overrides: Sequence[str], config: str) -> DictConfig:
    """A configuration with the first choice of each group on the command line, and no other override."""
    return next(_compositions(overrides, config))


def _compositions(overrides: Sequence[str], config: str) -> Iterator[DictConfig]:
    """The same for every combination of the chosen groups."""
    groups = chosen.names(overrides)
    for choices in itertools.product(*groups.values()):
        words = [f"{group}={choice}" for group, choice in zip(groups, choices, strict=True)]
        with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
            cfg = hydra.compose(config, words)
        yield cfg


def renamed(overrides: Sequence[str], config: str) -> list[str]:
    """Replaces older names of settings in overrides by today's names.

    Something else may use an older name today: a setting that the user's own task has under that name is
    kept.
    """
    cfg = functools.cache(lambda: _composed(overrides, config))
    return [_renamed(override, cfg) for override in overrides]


def _renamed(override: str, cfg: Callable[[], DictConfig]) -> str:
    word = override.lstrip("+~")
    prefix = override.removesuffix(word)
    name, equals, value = word.partition("=")
    bare = name.removeprefix(_SEARCHED)
    for old, new in _RENAMED.items():
        # A searched setting has its range below it, as in search_space.<name>.low.
        if bare != old and not bare.startswith(f"{old}."):
            continue
        try:
            if not _has(cfg(), old) and _has(cfg(), new):
                searched = name.removesuffix(bare)
                return f"{prefix}{searched}{new}{bare.removeprefix(old)}{equals}{value}"
        except HydraException:  # left as it is; Hydra reports the error later
            break
    return override


def _has(cfg: DictConfig, name: str) -> bool:
    parent, _, key = name.rpartition(".")
    return key in (OmegaConf.select(cfg, parent) or ())
