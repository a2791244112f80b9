"""A trial, from its hyperparameters to its record; both ``train.py`` and the studies use this class."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np

from induced_metric.lanes import Assignment, Lanes, Report
from induced_metric.lanes.engine import Curve, joined
from induced_metric.tasks.base import Task
from induced_metric.training.checkpoints import Checkpoints


class Goal(NamedTuple):
    """What a trial is trained for.

    Attributes:
        objective: the metric to optimise; its best value over the epochs is the trial's value.
        direction: ``minimize`` or ``maximize``.
        worst: the value of a diverged trial.
        epochs: number of epochs of a whole trial.
        reported: another metric, on a split that is not used for any choice. If given, the trial's value is
            its value at the epoch of the best objective.
    """

    objective: str
    direction: str
    worst: float
    epochs: int
    reported: str | None = None

    @property
    def valued(self) -> str:
        """The name of the metric that gives a trial's value."""
        return self.reported or self.objective

    @classmethod
    def of(cls, task: Task) -> "Goal":
        """The goal of a task."""
        return cls(task.objective, task.direction, task.worst, task.epochs)

    def best(self, values: np.ndarray) -> int:
        """The epoch of the best value; the first of several equal ones."""
        return int(np.argmin(values) if self.direction == "minimize" else np.argmax(values))


@dataclass
class Trial:
    """A trial under way, or one that has ended.

    Attributes:
        number: its number in its study.
        hyperparameters: all hyperparameters, both searched and fixed.
        seed: the seed of its parameters, shuffling and dropout.
        goal: what it is trained for.
        checkpoint: name of its checkpoint.
        done: epochs done so far.
        restored: epochs that an earlier process did.
        halted: whether it diverged, that is, its metrics are not finite.
        state: the state for its lane, until the lane has reported.
        until: the epoch after which it ends: the last one, unless it was already judged.
    """

    number: int
    hyperparameters: Mapping[str, Any]
    seed: int
    goal: Goal
    checkpoint: str = ""
    done: int = 0
    restored: int = 0
    halted: bool = False
    state: Any = None
    until: int = 0
    _parts: list[Mapping[str, np.ndarray]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Names the checkpoint; a different trial with the same number gets another name."""
        if not self.checkpoint:
            self.checkpoint = f"{self.number}-{digest([self.hyperparameters, self.seed])}"
        self.until = self.until or self.goal.epochs

    @property
    def ended(self) -> bool:
        """Whether it has nothing left to train."""
        return self.halted or self.done >= self.until

    def curve(self) -> Curve:
        """Its curve so far, by column."""
        if not self._parts:
            return {"epoch": np.zeros(0, int), "seconds": np.zeros(0)}
        return joined(self._parts)

    def assignment(self, handle: Any) -> Assignment:
        """What a lane needs to start or resume it."""
        done = self.done if self.state is not None else 0
        return Assignment(handle, self.hyperparameters, self.seed, self.until, done, self.state)

    def hear(self, report: Report) -> Curve:
        """Adds the report of a dispatch; returns the new part of the curve."""
        epoch = report.done - np.arange(len(report.seconds), 0, -1)
        part = {"epoch": epoch, "seconds": report.seconds, **report.metrics}
        self._parts.append(part)
        self.done, self.halted, self.state = report.done, report.halted, None
        return part

    def keep(
        self, report: Report, checkpoints: Checkpoints, *, stopping: bool, claim: str | None = None
    ) -> None:
        """Saves a checkpoint after a dispatch if one is due, or if the run is stopping."""
        if not self.ended and (
            stopping or checkpoints.due(report.done, len(report.seconds), self.checkpoint)
        ):
            checkpoints.save(self.checkpoint, report.state(), self.curve(), claim=claim)

    def restore(self, checkpoints: Checkpoints, lanes: Lanes) -> bool:
        """Restores it from its newest checkpoint; returns False if there is none."""
        shapes = lanes.state_shapes(self.hyperparameters)
        saved = None if shapes is None else checkpoints.load(self.checkpoint, shapes)
        if saved is None:
            return False
        self._parts, self.done, self.restored, self.state = [saved.curve], saved.done, saved.done, saved.state
        self.halted = not all(np.isfinite(values[-1]).all() for values in saved.curve.values())
        return True

    def read(self, epochs: int, curve: Curve | None) -> None:
        """Takes over a recorded trial; the curve may be None if it need not be judged again."""
        self.done = self.restored = epochs
        self._parts = [] if curve is None else [curve]

    def best_until(self, epochs: int) -> float:
        """The best value of its objective in the first ``epochs`` epochs."""
        values = self.curve()[self.goal.objective][:epochs]
        return float(values[self.goal.best(values)])

    def outcome(self, *, failed: bool = False) -> dict[str, Any]:
        """Its outcome, in columns of the records; the worst value if it diverged or was not trained.

        Args:
            failed: whether it could not be trained to its end; it then has the worst value too.
        """
        curve, goal = self.curve(), self.goal
        worst = self.halted or failed or not self.done
        best = -1 if worst else goal.best(curve[goal.objective])
        return {
            "diverged": self.halted,
            "value": goal.worst if worst else float(curve[goal.valued][best]),
            "best_epoch": best,
            "epochs": len(curve["seconds"]),
            "seconds": float(curve["seconds"].sum()),
        }

    def row(self, study: Mapping[str, Any], *, state: str = "complete") -> dict[str, Any]:
        """Its record.

        Args:
            study: the columns that all trials of its study share.
            state: ``complete``, ``pruned`` or ``failed``.
        """
        return {
            "trial": self.number,
            "state": state,
            **self.outcome(failed=state == "failed"),
            "objective": self.goal.valued,
            "direction": self.goal.direction,
            "seed": self.seed,
            **self.hyperparameters,
            "finished": datetime.now(UTC).isoformat(timespec="milliseconds"),
            **study,
        }


def digest(facts: Sequence[Any]) -> str:
    """A short hash of the facts that determine a trial, for use in its name."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]
