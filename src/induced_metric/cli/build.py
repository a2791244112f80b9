"""Turns a Hydra configuration into plain objects, once; code below the command line takes plain arguments."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from induced_metric import xla
from induced_metric.cli.factories import Factory
from induced_metric.cli.spaces import search_space
from induced_metric.cli.values import arguments, integer, plain, sentences, settings, target
from induced_metric.errors import UserError, out_of_memory
from induced_metric.space import Dimension, from_word, programs

if TYPE_CHECKING:
    from induced_metric.lanes import Lanes
    from induced_metric.lanes.placement import Placement
    from induced_metric.tasks.base import Task
    from induced_metric.training.program import TrialProgram


@dataclass(frozen=True, kw_only=True)
class Pairing:
    """One task with one optimiser.

    Attributes:
        name: the optimiser's name in records (``optimizer_name``).
        task: what is trained.
        task_of: builds the task with other settings.
        optimizer: builds the optimiser from its own hyperparameters.
        schedule: builds the learning-rate schedule; None if the rate is constant.
        hyperparameters: all that are traced or searched, with the values that a trial has without a search.
        search_space: the ranges of the hyperparameters that are searched.
        published_best: the paper's best value, if the pairing has one.
    """

    name: str
    task: "Task"
    task_of: "Callable[..., Task]"
    optimizer: Callable[..., Any]
    schedule: Callable[..., Any] | None
    hyperparameters: dict[str, Any]
    search_space: dict[str, Dimension]
    published_best: float | None

    @functools.cached_property
    def program(self) -> "TrialProgram":
        """What its trials compute.

        Raises:
            UserError: if it cannot be traced, or does not measure the objective.
        """
        from induced_metric.training.program import TrialProgram

        return TrialProgram(
            self.task,
            self.optimizer,
            self.hyperparameters,
            static=[name for name, dimension in self.search_space.items() if dimension.static],
            task_of=self.task_of,
            schedule=self.schedule,
        )

    def evaluating(self, splits: Sequence[str]) -> "Pairing":
        """The same pairing, whose trials evaluate other splits."""
        task_of = functools.partial(self.task_of, eval_splits=splits)
        return replace(self, task=task_of(), task_of=task_of)

    def lanes(self, placement: "Placement") -> "Lanes":
        """The lanes that train its trials."""
        with sentences("lanes"):
            return self.program.lanes(placement)

    def provenance(self, lanes: "Lanes", placement: "Placement", flags: str) -> dict[str, Any]:
        """The provenance of its trials' records: the code, devices, lanes and settings that produced them."""
        from induced_metric.lanes.facts import device_facts, lane_facts
        from induced_metric.records import provenance

        return provenance(
            program=self.program.digest,
            **device_facts(self.task.matmul_precision),
            **lane_facts(lanes),
            precision=self.task.precision,
            xla_flags=flags,
            deterministic=xla.is_deterministic(flags),
            data_parallel=placement.shards(self.task.examples_at_once),
            micro_batch=self.task.examples_at_once,
        )


def pairing(cfg: DictConfig) -> Pairing:
    """Builds the task and the optimiser that a configuration names.

    Raises:
        UserError: for a value of the wrong type or out of range, a range of a hyperparameter that does not
            exist, or a ``_target_`` that cannot be called.
    """
    from induced_metric.training.mistakes import of_the_schedule
    from induced_metric.training.trial import Goal

    chosen = plain(cfg.task)
    task_of = functools.partial(_task, chosen)
    optimizer = Factory.of(plain(cfg.optimizer), "optimizer")
    schedule = _schedule(cfg)
    task = task_of()
    if schedule is not None:
        with of_the_schedule():
            schedule.check({}, 1.0, task.steps)

    def judged_alike(**changed: Any) -> None:
        if Goal.of(task_of(**changed)) != Goal.of(task):
            raise UserError(
                f"search_space.task.{next(iter(changed))} cannot be searched: all trials of a study have the "
                "same objective, direction and epochs"
            )

    space, hyperparameters = search_space(cfg, optimizer, schedule, judged_alike)
    return Pairing(
        name=optimizer_name(cfg),
        task=task,
        task_of=task_of,
        optimizer=optimizer,
        schedule=schedule,
        hyperparameters=hyperparameters,
        search_space=space,
        published_best=OmegaConf.select(cfg, "published.best"),
    )


def optimizer_name(cfg: DictConfig) -> str:
    """The optimiser's name in records; with a schedule it includes it, as in ``adam+cosine``."""
    scheduled = cfg.schedule.get("_target_") is not None
    return "+".join([cfg.optimizer.name, *([cfg.schedule.name] if scheduled else [])])


def check_optimizer(cfg: DictConfig) -> dict[str, Dimension]:
    """Builds the optimiser and the search space, but not the task, whose data may still be missing.

    Returns:
        The search space.

    Raises:
        UserError: in the same cases as ``pairing``.
    """
    optimizer = Factory.of(plain(cfg.optimizer), "optimizer")
    space, _ = search_space(cfg, optimizer, _schedule(cfg), lambda **_: None)
    static_programs(cfg, space)
    return space


def static_programs(cfg: DictConfig, space: Mapping[str, Dimension]) -> tuple[list[str], int]:
    """The static hyperparameters of a search, and the number of programs that their values need.

    Raises:
        UserError: if that is more than ``lanes.programs``.
    """
    static = [name for name, dimension in space.items() if dimension.static]
    number = programs(space)
    if static and number > (most := integer(cfg, "lanes.programs", low=1, high=10**6)):
        raise UserError(
            f"{', '.join(static)} need {number} programs, more than lanes.programs={most}: give them fewer "
            "values, or raise that limit"
        )
    return static, number


def _task(chosen: Mapping[str, Any], **changed: Any) -> "Task":
    values = {**chosen, **{name: from_word(value) for name, value in changed.items()}}
    build = target(values, "task")
    checked = arguments(build, values, "task")
    from induced_metric.tasks.base import Task
    from induced_metric.training.mistakes import described

    try:
        made = build(**checked)
    except (ValueError, FileNotFoundError) as error:
        if isinstance(error, UserError) and error.passing:
            raise
        raise UserError(f"task: {error}") from error
    except Exception as error:  # of somebody else's code, so of any kind
        if out_of_memory(error):
            raise
        raise UserError(f"task: {described(error)}") from error
    if not isinstance(made, Task):
        raise UserError(f"task: {chosen['_target_']} must return a Task, got {type(made).__name__}")
    return made


def _schedule(cfg: DictConfig) -> Factory | None:
    """The learning-rate schedule; without a ``_target_`` in its group the rate is constant."""
    values = plain(cfg.schedule)
    if values.get("_target_") is None:
        return None
    return Factory.of(values, "schedule", given=2)  # the learning rate and the number of steps


def placement(node: DictConfig) -> "Placement":
    """Where the lanes run, from the configuration group ``lanes``.

    Raises:
        UserError: for a setting of the wrong type or out of range.
    """
    from induced_metric.lanes.placement import Placement

    of_the_engine = {
        name: value for name, value in plain(node).items() if name not in ("devices", "programs")
    }
    return settings(Placement, of_the_engine, "lanes")


def checkpoints(cfg: DictConfig, *parts: str) -> Any:
    """The checkpoints of a study or of a single trial, below ``<results>/checkpoints``.

    Raises:
        UserError: if ``checkpoint_every`` is not an integer >= 0 or ``checkpoint_seconds`` not a number >= 0.
    """
    from induced_metric.training.checkpoints import Checkpoints

    every = integer(cfg, "checkpoint_every", low=0, high=10**9)
    seconds = OmegaConf.select(cfg, "checkpoint_seconds")
    if not isinstance(seconds, int | float) or isinstance(seconds, bool) or not seconds >= 0:
        raise UserError(f"checkpoint_seconds must be a number >= 0, got {seconds!r}")
    return Checkpoints(Path(cfg.results, "checkpoints", *parts), every=every, seconds=seconds)
