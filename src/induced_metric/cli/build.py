"""From a Hydra configuration to plain objects, once; what is below the command line takes plain arguments."""

import dataclasses
import difflib
import functools
import pkgutil
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import omegaconf
from omegaconf import DictConfig, OmegaConf
from pydantic import TypeAdapter, ValidationError, validate_call

from induced_metric.errors import UserError

if TYPE_CHECKING:
    from induced_metric.lanes.placement import Placement

Settings = TypeVar("Settings")
_CHECKPOINT_SECONDS = 60  # where the configuration does not say
CONF = Path(__file__).parents[1] / "conf"


class Range(NamedTuple):
    """A searched interval of one hyperparameter."""

    low: float
    high: float
    log: bool = False


class Pairing(NamedTuple):
    """One task with one optimizer."""

    task: Any  # tasks.base.Task
    optimizer: Callable[..., Any]  # a factory of the hyperparameters
    hyperparameters: dict[str, float]
    search_space: dict[str, Range]
    published_best: float | None


def pairing(cfg: DictConfig) -> Pairing:
    """Builds the task and the optimizer that a configuration names.

    Raises:
        UserError: for a value of the wrong type or out of range, a range of a hyperparameter that does not
            exist, or a ``_target_`` that cannot be called.
    """
    optimizer, hyperparameters = _optimizer(cfg.optimizer)
    shared = _shared_ranges(_plain(cfg.task)["name"])
    _check_ranges(cfg.search_space, hyperparameters, cfg.optimizer.name, shared)
    return Pairing(
        task=_task(cfg.task),
        optimizer=optimizer,
        hyperparameters=hyperparameters,
        search_space=_search_space(cfg.search_space, optimizer, hyperparameters),
        published_best=OmegaConf.select(cfg, "published.best"),
    )


def _plain(node: DictConfig) -> dict[str, Any]:
    try:
        return OmegaConf.to_container(node, resolve=True, throw_on_missing=True)  # type: ignore[return-value]
    except omegaconf.errors.OmegaConfBaseException as error:
        raise UserError(str(error).splitlines()[0]) from error


def target(settings: dict[str, Any], where: str) -> Callable[..., Any]:
    """Takes ``_target_`` out of settings and finds what it names.

    Raises:
        UserError: if it cannot be imported or called.
    """
    path = settings.pop("_target_", None)
    if not isinstance(path, str):
        raise UserError(f"{where}._target_ must be the dotted path of a function or class, got {path!r}")
    try:
        found = pkgutil.resolve_name(path)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f"{where}._target_: cannot find {path!r} ({error})") from error
    if not callable(found):
        kind = type(found).__name__
        raise UserError(f"{where}._target_ must name a function or class, and {path!r} is a {kind}")
    return found


def sampler(node: DictConfig) -> Callable[..., Any]:
    """What makes a study's sampler of a seed, by the configuration group ``sampler``.

    Raises:
        UserError: if none can be made.
    """
    create = _creator(node, "sampler")
    _made(functools.partial(create, seed=0), "sampler")
    return create


def pruner(node: DictConfig) -> Any:
    """A study's pruner, by the configuration group ``pruner``.

    Raises:
        UserError: if it cannot be made.
    """
    return _made(_creator(node, "pruner"), "pruner")


def _creator(node: DictConfig, where: str) -> Callable[..., Any]:
    settings = _plain(node.create)
    factory = target(settings, f"{where}.create")
    settings.pop("_partial_", None)
    return functools.partial(factory, **settings)


def _made(create: Callable[[], Any], where: str) -> Any:
    try:
        return create()
    except (TypeError, ValueError) as error:
        raise UserError(f"{where}.create: {error}") from error


def _task(node: DictConfig) -> Any:
    settings = _plain(node)
    build = validate_call(target(settings, "task"))
    try:
        return build(**settings)
    except ValidationError as error:
        raise UserError(_validation_sentence("task", error)) from error
    except (ValueError, FileNotFoundError) as error:
        raise UserError(f"task: {error}") from error


def _optimizer(node: DictConfig) -> tuple[Callable[..., Any], dict[str, float]]:
    from induced_metric.records.schema import check_hyperparameter_names

    settings = _plain(node)
    factory = target(settings, "optimizer")
    del settings["name"]
    switches = {name: value for name, value in settings.items() if isinstance(value, bool)}
    hyperparameters: dict[str, float] = {}
    for name, value in settings.items():
        if name in switches:
            continue
        if not isinstance(value, int | float):
            raise UserError(f"optimizer.{name} must be a number, got {value!r}")
        hyperparameters[name] = float(value)
    try:
        check_hyperparameter_names(hyperparameters)
    except ValueError as error:
        raise UserError(f"optimizer: {error}") from error
    optimizer = functools.partial(factory, **switches)
    _check(optimizer, hyperparameters, "optimizer")
    return optimizer, hyperparameters


def _search_space(
    node: DictConfig, optimizer: Callable[..., Any], hyperparameters: Mapping[str, float]
) -> dict[str, Range]:
    """The ranges of the hyperparameters that the optimizer has, in its own order, both ends tried."""
    ranges = _plain(node)
    space = {}
    for name in hyperparameters:
        if name not in ranges:
            continue
        try:
            space[name] = TypeAdapter(Range).validate_python(ranges[name])
        except ValidationError as error:
            raise UserError(_validation_sentence(f"search_space.{name}", error)) from error
        low, high, log = space[name]
        if not low < high or (log and low <= 0):
            raise UserError(
                f"search_space.{name} must have low < high, and low > 0 where log, got {low} and {high}"
            )
        for end in (low, high):
            _check(optimizer, {**hyperparameters, name: end}, "search_space")
    return space


def _check_ranges(
    node: DictConfig, hyperparameters: Mapping[str, float], optimizer: str, shared: Collection[str]
) -> None:
    """Raises UserError for a range that nothing will be searched in, unless it is the task's for others."""
    for name in map(str, node):
        if name in hyperparameters or name in shared:
            continue
        close = difflib.get_close_matches(name, hyperparameters, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise UserError(
            f"search_space.{name} is no hyperparameter of {optimizer}, "
            f"which has {', '.join(hyperparameters)}{hint}"
        )


def _shared_ranges(task: str) -> set[str]:
    """What a task gives a range to, for whichever optimizers have it; some optimizer must."""
    root = CONF / "task"
    # A task that the command line calls by another name may have the ranges of any.
    paths = [root / f"{task}.yaml"] if (root / f"{task}.yaml").exists() else list(root.glob("*.yaml"))
    given: set[str] = set()
    while paths:
        content: Any = OmegaConf.load(paths.pop())
        given |= set(content.get("search_space", {}))
        bases = [root / f"{name}.yaml" for name in content.get("defaults", []) if isinstance(name, str)]
        paths += [path for path in bases if path.exists()]
    files: Any = map(OmegaConf.load, (CONF / "optimizer").glob("*.yaml"))
    return given & {name for content in files for name in content.optimizer}


def _check(optimizer: Callable[..., Any], hyperparameters: Mapping[str, float], where: str) -> None:
    """Makes the optimizer of plain numbers once, since traced values cannot be checked."""
    try:
        optimizer(**hyperparameters)
    except (TypeError, ValueError) as error:
        raise UserError(f"{where}: {error}") from error


def _validation_sentence(where: str, error: ValidationError) -> str:
    first, *others = error.errors()
    # Of a value that may be one of several types there is a complaint for each.
    others = [other for other in others if other["input"] is first["input"]]
    place = ".".join([where, *map(str, first["loc"][: 1 if others else None])])
    messages = [each["msg"][0].lower() + each["msg"][1:] for each in (first, *others)]
    return f"{place}: {', or '.join(messages)}, got {first['input']!r}"


def seed(cfg: DictConfig) -> int:
    """The seed of a configuration.

    Raises:
        UserError: unless it is an integer that fits in 32 bits.
    """
    return integer(cfg, "seed", low=0, high=2**32 - 1)


def integer(cfg: DictConfig, name: str, *, low: int, high: int) -> int:
    """An integer of a configuration.

    Raises:
        UserError: unless it is one between ``low`` and ``high``.
    """
    value = OmegaConf.select(cfg, name)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise UserError(f"{name} must be an integer from {low} to {high}, got {value!r}")
    return value


def settings(cls: type[Settings], values: Mapping[str, Any], where: str) -> Settings:
    """A dataclass of validated settings.

    Args:
        cls: the dataclass; what it raises as ValueError is a mistake of the user.
        values: of its fields.
        where: the part of the configuration that has them.

    Raises:
        UserError: for a value of another type or out of range, or a name that is no field.
    """
    fields = [field.name for field in dataclasses.fields(cls)]  # type: ignore[arg-type]
    if unknown := [name for name in values if name not in fields]:
        raise UserError(f"unknown '{where}.{unknown[0]}': allowed are {', '.join(fields)}")
    try:
        return TypeAdapter(cls).validate_python(dict(values))
    except ValidationError as error:
        raise UserError(_validation_sentence(where, error)) from error


def placement(node: DictConfig) -> "Placement":
    """Where the lanes run, by the configuration group ``lanes``.

    Raises:
        UserError: for a setting of another type or out of range.
    """
    from induced_metric.lanes.placement import Placement

    return settings(
        Placement, {name: value for name, value in _plain(node).items() if name != "devices"}, "lanes"
    )


def checkpoints(cfg: DictConfig, *parts: str) -> Any:
    """The checkpoints of a study or of a single trial, below ``<results>/checkpoints``.

    Raises:
        UserError: if ``checkpoint_every`` is not an integer >= 0 or ``checkpoint_seconds`` no number >= 0.
    """
    from induced_metric.training.checkpoints import Checkpoints

    every = integer(cfg, "checkpoint_every", low=0, high=10**9)
    seconds = OmegaConf.select(cfg, "checkpoint_seconds", default=_CHECKPOINT_SECONDS)
    if not isinstance(seconds, int | float) or isinstance(seconds, bool) or not seconds >= 0:
        raise UserError(f"checkpoint_seconds must be a number >= 0, got {seconds!r}")
    return Checkpoints(Path(cfg.results, "checkpoints", *parts), every=every, seconds=seconds)
