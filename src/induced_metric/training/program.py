"""What the lanes compile: a task with its optimiser, schedule and searched settings, as two functions."""

import functools
import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.extend.core import ClosedJaxpr, Jaxpr

from induced_metric.errors import UserError
from induced_metric.lanes import Assignment, Lanes
from induced_metric.lanes.placement import Placement
from induced_metric.tasks.base import Task
from induced_metric.training.epoch import Optimizer, init_trial, train_epoch
from induced_metric.training.mistakes import described, of_the_schedule, of_the_task
from induced_metric.training.trial import Goal

_TASK, _SCHEDULE = "task.", "schedule."  # prefixes of hyperparameters that are not the optimiser's own
_DIGITS = 12  # of a digest
# What a printed program says of the Python that was traced: the names of functions, and their addresses.
_NAMES = re.compile(r"\bname=\S+| at 0x[0-9a-f]+")


class TrialProgram:
    """A task with its optimiser, schedule and searched settings, as the two functions that lanes compile.

    Args:
        task: what is trained.
        optimizer: a function of the hyperparameters that returns the optimiser.
        hyperparameters: names and values of the hyperparameters of any trial; the values are used to measure
            the width of the lanes. Those called ``task.<setting>`` are settings of the task, and those called
            ``schedule.<number>`` are numbers of the schedule.
        static: names of the hyperparameters that change the program, including those of the task.
        task_of: ``task_of(**settings)`` is the task with other settings, needed if any are searched.
        schedule: ``schedule(learning_rate, steps, **numbers)`` is the learning rate of each of a trial's
            steps; constant by default.

    Attributes:
        digest: names the operations of a trial's first epoch, in their order, as JAX traces them: comments,
            names of variables and the values of traced hyperparameters do not matter. Of static ones it knows
            only the given values, and of the task's data only shapes and types. Comparable between processes
            with the same versions of the libraries.

    Raises:
        UserError: for an objective that the task does not measure, a hyperparameter that cannot be traced, or
            a setting of the task that changes its objective, direction or epochs.
    """

    def __init__(
        self,
        task: Task,
        optimizer: Optimizer,
        hyperparameters: Mapping[str, Any],
        *,
        static: Sequence[str] = (),
        task_of: Callable[..., Task] | None = None,
        schedule: Callable[..., optax.Schedule] | None = None,
    ) -> None:
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
                with of_the_schedule():
                    rate = schedule(rest["learning_rate"], variant.steps, **bare)
                rest["learning_rate"] = _with_mistakes_explained(rate) if callable(rate) else rate
            return variant, rest

        def init(numbers: Any, seed: Any, data: Any) -> Any:
            del data
            variant, rest = parts(numbers)
            return init_trial(variant, optimizer, rest, seed)

        def advance(state: Any, numbers: Any, data: Any) -> Any:
            variant, rest = parts(numbers)
            return train_epoch(variant, optimizer, state, rest, data)

        parts(hyperparameters)  # builds the task outside JAX's tracing, as for every variant
        self._task, self._parts = task, parts
        self._init, self._advance = init, advance
        self._hyperparameters, self._static = hyperparameters, static
        self.digest = _digest(self._traced())

    def lanes(self, placement: Placement | None = None) -> Lanes:
        """The lanes that train its trials; a step is an epoch.

        Args:
            placement: where the lanes run; by default mapped or vmapped as suits the device.

        Raises:
            ValueError: for a placement that does not suit the devices or the task.
        """
        values = self._hyperparameters
        return (placement or Placement()).lanes(
            self._init,
            self._advance,
            trial=Assignment(None, values, 0, self._task.epochs),
            examples=self._task.examples_at_once,
            static=self._static,
            shared=lambda static: (self._parts({**values, **static})[0].splits,),
        )

    def _traced(self) -> ClosedJaxpr:
        """What the first epoch of a trial computes; checks on the way that it can be traced."""
        task, hyperparameters = self._task, self._hyperparameters
        traced = [name for name in hyperparameters if name not in self._static]

        def epoch(numbers: Mapping[str, Any], data: Any) -> Any:
            values = {**hyperparameters, **numbers}
            return self._advance(self._init(values, 0, data), values, data)

        try:
            with of_the_task():
                found = jax.jit(epoch).trace(dict.fromkeys(traced, 0.5), task.splits)
        except (UserError, TypeError) as error:
            # JAX has a TypeError where a traced number is used as a plain one. An error that plain numbers
            # also cause has nothing to do with tracing, and is raised here.
            with of_the_task():
                jax.eval_shape(lambda data: epoch({}, data), task.splits)
            cause = error.__cause__ if isinstance(error, UserError) else error
            if not isinstance(cause, TypeError):
                raise
            raise UserError(
                f"one of {', '.join(traced)} decides a Python if or a shape: write jnp.where "
                "(docs/adding.md), or let its range say static: true if it is an integer or a choice "
                f"({described(cause)})"
            ) from error
        _, measured = found.out_info
        if task.objective not in measured:
            raise UserError(
                f"task.objective must be one of {', '.join(sorted(measured))}, got {task.objective}"
            )
        return found.jaxpr


def _with_mistakes_explained(schedule: optax.Schedule) -> optax.Schedule:
    """The same schedule, whose mistakes are said to be its own, not those of the optimiser that calls it."""

    def explained(count: Any) -> Any:
        with of_the_schedule():
            return schedule(count)

    return explained


def _digest(program: ClosedJaxpr) -> str:
    # By default JAX prints in colours where the output is a terminal.
    printed = program.pretty_print(use_color=False)
    hasher = hashlib.sha256(_NAMES.sub("", printed).encode())
    for constant in _constants(program):
        is_key = isinstance(constant, jax.Array) and jnp.issubdtype(constant.dtype, jax.dtypes.prng_key)
        array = np.asarray(jax.random.key_data(constant) if is_key else constant)
        hasher.update(f"{array.dtype}{array.shape}".encode() + array.tobytes())
    return hasher.hexdigest()[:_DIGITS]


def _constants(program: ClosedJaxpr | Jaxpr) -> Iterator[Any]:
    """The arrays of a program and of those that it calls; where it is printed, they are only named."""
    if isinstance(program, ClosedJaxpr):
        yield from program.consts
    kinds = (ClosedJaxpr, Jaxpr)
    for equation in program.eqns:
        for called in jax.tree.leaves(equation.params, is_leaf=lambda value: isinstance(value, kinds)):
            if isinstance(called, kinds):
                yield from _constants(called)


def _like(task: Task, other: Task) -> Task:
    """A variant of a task; it shares the task's arrays if they are equal, so that devices hold them once."""
    if Goal.of(other) != Goal.of(task):
        raise UserError(
            "a searched setting must leave the task's objective, direction and epochs as they are"
        )
    arrays, others = jax.tree.leaves(task.splits), jax.tree.leaves(other.splits)
    same = len(arrays) == len(others) and all(map(np.array_equal, arrays, others))
    return replace(other, splits=task.splits) if same else other
