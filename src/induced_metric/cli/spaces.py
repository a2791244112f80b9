"""The search space of a configuration: which hyperparameters are searched, their ranges, which are static."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any

from omegaconf import DictConfig

from induced_metric.cli import chosen
from induced_metric.cli.factories import Factory
from induced_metric.cli.values import CONF, plain, settings, suggested
from induced_metric.errors import UserError
from induced_metric.records.schema import check_hyperparameter_names
from induced_metric.space import Choice, Dimension, Float, Int, as_word

_DESCEND = ("induced_metric.optimizers.descend", "induced_metric.optimizers.metric.descend")
_SCHEDULE, _TASK = "schedule.", "task."
# What a range may have; W&B's names are refused as a range's, not taken for those of hyperparameters.
_RANGE = {"low", "high", "choices", "type", "min", "max", "values", "distribution"}


def search_space(
    cfg: DictConfig, optimizer: Factory, schedule: Factory | None, check_task: Callable[..., None]
) -> tuple[dict[str, Dimension], dict[str, Any]]:
    """The searched dimensions, the optimiser's first and in its order, and all hyperparameters of a trial.

    Args:
        cfg: the configuration.
        optimizer: the optimiser; its hyperparameters have the names of its arguments.
        schedule: the schedule, if any; its hyperparameters are called ``schedule.<name>``.
        check_task: raises for settings that the task refuses; they are called ``task.<name>``.

    Raises:
        UserError: for a range of the wrong kind, of an unknown hyperparameter, or with a refused end.
    """
    from induced_metric.training.mistakes import of_the_schedule  # imports JAX

    shapes = {_SCHEDULE: schedule} if schedule is not None else {}
    numbers: dict[str, Any] = dict(optimizer.numbers)
    try:
        check_hyperparameter_names(numbers)
    except ValueError as error:
        raise UserError(f"optimizer: {error}") from error
    _check_made(optimizer.check({}), cfg.optimizer._target_)
    if cfg.optimizer._target_ in _DESCEND and "direction.learning_rate" in optimizer.values:
        # A whole optimiser there has turned its step around already.
        raise UserError(
            "optimizer.direction.learning_rate: the only learning rate is optimizer.learning_rate; direction "
            "takes a transformation without one, such as optax.scale_by_adam"
        )
    searchable = optimizer.values
    for prefix, other in shapes.items():
        numbers |= {prefix + name: value for name, value in other.numbers.items()}
        searchable |= {prefix + name: value for name, value in {**other.numbers, **other.constants}.items()}
    task = {_TASK + name: as_word(value) for name, value in plain(cfg.task).items()}
    ranges = dict(_flat(plain(cfg.search_space)))
    shared = _shared(plain(cfg.task)["name"], cfg.protocol.name)
    _check_names(ranges, [*searchable, *task], list(numbers), cfg.optimizer.name, shared, optimizer.unset)
    given = {name: _dimension(name, limits) for name, limits in ranges.items()}  # also those meant for others
    space = {}
    for name in [*searchable, *task]:
        if name not in given:
            continue
        prefix = next((each for each in (_SCHEDULE, _TASK) if name.startswith(each)), "")
        factory = optimizer if not prefix else shapes.get(prefix)
        bare = name.removeprefix(prefix)
        needed = factory is None or factory.is_static(bare)
        space[name] = _static(name, given[name], needed)
        for end in space[name].ends:
            if factory is None:
                check_task(**{bare: end})
            elif prefix:
                with of_the_schedule():
                    factory.check({bare: end}, 1.0, 1)
            else:
                factory.check({bare: end})
    return space, numbers | {name: {**searchable, **task}[name] for name in space}


def _check_made(made: Any, path: str) -> None:
    """Raises UserError unless an optimiser has the two functions of an optax transformation."""
    if not all(callable(getattr(made, name, None)) for name in ("init", "update")):
        raise UserError(
            f"optimizer: {path} must return an optax.GradientTransformation, got {type(made).__name__}"
        )


def _dimension(name: str, given: Any) -> Dimension:
    where = f"search_space.{name}"
    if not isinstance(given, Mapping):
        raise UserError(f"{where} must have low and high, or choices, got {given!r}")
    kind, values = given.get("type", "float"), {key: value for key, value in given.items() if key != "type"}
    kinds: dict[Any, type[Float] | type[Int]] = {"float": Float, "int": Int}
    if "choices" in values:
        if name.startswith(_TASK):
            values["choices"] = _words(values["choices"], where)
        return settings(Choice, values, where)
    if kind not in kinds:
        raise UserError(f"{where}.type must be float or int, got {kind!r}")
    return settings(kinds[kind], values, where)


def _words(choices: Any, where: str) -> Any:
    """The choices, with lists turned into text."""
    if not isinstance(choices, list) or not any(isinstance(each, list) for each in choices):
        return choices
    if other := [each for each in choices if not isinstance(each, list | None)]:
        raise UserError(f"{where}: choices must be of one kind, except for null, got lists and {other[0]!r}")
    return [as_word(each) for each in choices]


def _static(name: str, dimension: Dimension, needed: bool) -> Dimension:
    """The same dimension, static if the program depends on the value."""
    if isinstance(dimension, Choice | Int):
        return replace(dimension, static=dimension.static or needed)
    if needed:
        raise UserError(
            f"search_space.{name} needs a program for each value: give it type: int, or choices, "
            "not a range of real numbers"
        )
    return dimension


def _flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The ranges with their dotted names."""
    for name, value in tree.items():
        if isinstance(value, Mapping) and value and not _is_range(value):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _is_range(value: Mapping[str, Any]) -> bool:
    """Whether it has a part of a range, not a range of a hyperparameter that is called like one."""
    return any(key in _RANGE and not isinstance(inner, Mapping) for key, inner in value.items())


def _check_names(
    ranges: Collection[str], known: Collection[str], numbers: Collection[str], optimizer: str,
    shared: Collection[str], unset: Collection[str],
) -> None:  # fmt: skip
    """Raises UserError for a range of an unknown hyperparameter, unless the range is meant for others."""
    for name in ranges:
        if name in known or name in shared or name.split(".")[0] in shared:
            continue
        if name in unset:
            raise UserError(
                f"search_space.{name}: give optimizer.{name} a value first, the one without a search "
                f"(+optimizer.{name}=, or a line in conf/optimizer/{optimizer}.yaml)"
            )
        raise UserError(
            f"search_space.{name} is not a hyperparameter of {optimizer}, which has "
            f"{', '.join(numbers)}{suggested(name, known)}"
        )


def _shared(task: str, protocol: str) -> set[str]:
    """The hyperparameters for which a task or a protocol gives a range, and which some optimiser has."""
    tasks, protocols = CONF / "task", CONF / "protocol"
    # If the command line renamed the task, its file is unknown, so it may have the ranges of any task.
    own_file = tasks / f"{task}.yaml"
    paths = [own_file] if own_file.exists() else list(tasks.glob("*.yaml"))
    paths += [protocols / f"{protocol}.yaml", protocols / "task" / f"{protocol}_{task}.yaml"]
    ranged: set[str] = set()
    while paths:
        path = paths.pop()
        if not path.exists():
            continue
        content = chosen.read(path)
        ranged |= set(content.get("search_space", {}))
        bases = [name for name in content.get("defaults", []) if isinstance(name, str)]
        paths += [path.with_name(f"{name}.yaml") for name in bases]
    files = map(chosen.read, (CONF / "optimizer").glob("*.yaml"))
    return ranged & {name for content in files for name in content.get("optimizer") or ()}
