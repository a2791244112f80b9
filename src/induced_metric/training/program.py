"""What the lanes compile: a task with its optimiser, schedule and searched settings, as two functions."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import jax
import numpy as np
import optax

from induced_metric.errors import UserError
from induced_metric.lanes import Assignment, Lanes
from induced_metric.lanes.placement import Placement
from induced_metric.tasks.base import Task
from induced_metric.training.epoch import Optimizer, init_trial, train_epoch
from induced_metric.training.trial import Goal

_TASK, _SCHEDULE = "task.", "schedule."  # prefixes of hyperparameters that are not the optimiser's own


def trial_lanes(
    task: Task,
    optimizer: Optimizer,
    hyperparameters: Mapping[str, Any],
    placement: Placement | None = None,
    *,
    static: Sequence[str] = (),
    task_of: Callable[..., Task] | None = None,
    schedule: Callable[..., optax.Schedule] | None = None,
) -> Lanes:
    """The lanes that train the trials of a task with an optimiser; a step is an epoch.

    Args:
        task: what is trained.
        optimizer: a function of the hyperparameters that returns the optimiser.
        hyperparameters: names and values of the hyperparameters of any trial; the values are used to measure
            the width of the lanes. Those called ``task.<setting>`` are settings of the task, and those called
            ``schedule.<number>`` are numbers of the schedule.
        placement: where the lanes run; by default mapped or vmapped as suits the device.
        static: names of the hyperparameters that change the program, including those of the task.
        task_of: ``task_of(**settings)`` is the task with other settings, needed if any are searched.
        schedule: ``schedule(learning_rate, steps, **numbers)`` is the learning rate of each of a trial's
            steps; constant by default.

    Raises:
        UserError: for an objective that the task does not measure, a hyperparameter that cannot be traced, or
            a setting of the task that changes its objective, direction or epochs.
        ValueError: for a placement that does not suit the devices or the task.
    """

    @functools.cache
    def task_with(settings: tuple[tuple[str, Any], ...]) -> Task:
        return _like(task, task_of(**dict(settings))) if task_of and settings else task

    def parts(numbers: Mapping[str, Any]) -> tuple[Task, dict[str, Any]]:
        settings = {name: value for name, value in numbers.items() if name.startswith(_TASK)}
        variant = task_with(tuple((name.removeprefix(_TASK), value) for name, value in settings.items()))
        rest = {name: value for name, value in numbers.items() if name not in settings}
        if schedule is not None:
            prefixed = {name: rest.pop(name) for name in list(rest) if name.startswith(_SCHEDULE)}
            bare = {name.removeprefix(_SCHEDULE): value for name, value in prefixed.items()}
            rest["learning_rate"] = schedule(rest["learning_rate"], variant.steps, **bare)
        return variant, rest

    def init(numbers: Any, seed: Any, data: Any) -> Any:
        del data
        variant, rest = parts(numbers)
        return init_trial(variant, optimizer, rest, seed)

    def advance(state: Any, numbers: Any, data: Any) -> Any:
        variant, rest = parts(numbers)
        return train_epoch(variant, optimizer, state, rest, data)

    parts(hyperparameters)  # builds the task outside JAX's tracing, as for every variant
    _check_program(task, init, advance, hyperparameters, static)
    return (placement or Placement()).lanes(
        init,
        advance,
        trial=Assignment(None, hyperparameters, 0, task.epochs),
        examples=task.examples_at_once,
        static=static,
        shared=lambda values: (parts({**hyperparameters, **values})[0].splits,),
    )


def _like(task: Task, other: Task) -> Task:
    """A variant of a task; it shares the task's arrays if they are equal, so that devices hold them once."""
    if Goal.of(other) != Goal.of(task):
        raise UserError(
            "a searched setting must leave the task's objective, direction and epochs as they are"
        )
    arrays, others = jax.tree.leaves(task.splits), jax.tree.leaves(other.splits)
    same = len(arrays) == len(others) and all(map(np.array_equal, arrays, others))
    return replace(other, splits=task.splits) if same else other


def _check_program(
    task: Task, init: Callable[..., Any], advance: Callable[..., Any], hyperparameters: Mapping[str, Any],
    static: Sequence[str],
) -> None:  # fmt: skip
    traced = [name for name in hyperparameters if name not in static]

    def epoch(numbers: Mapping[str, Any], data: Any) -> Any:
        values = {**hyperparameters, **numbers}
        return advance(init(values, 0, data), values, data)[1]

    try:
        measured = jax.eval_shape(epoch, dict.fromkeys(traced, 0.5), task.splits)
    except (UserError, TypeError) as error:
        # JAX has a TypeError where a traced number is used as a plain one. An error that plain numbers also
        # cause has nothing to do with tracing: this raises it as it is.
        jax.eval_shape(lambda data: epoch({}, data), task.splits)
        cause = error.__cause__ if isinstance(error, UserError) else error
        if not isinstance(cause, TypeError):
            raise
        raise UserError(
            f"one of {', '.join(traced)} decides a Python if or a shape: write jnp.where (docs/adding.md), "
            "or let its range say static: true if it is an integer or a choice "
            f"({str(error).splitlines()[0]})"
        ) from error
    if task.objective not in measured:
        raise UserError(f"task.objective must be one of {', '.join(sorted(measured))}, got {task.objective}")
