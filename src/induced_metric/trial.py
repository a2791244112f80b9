"""A trial of a study, from its proposal to its record."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import numpy as np

from induced_metric.checkpoints import Checkpoint
from induced_metric.lanes import Assignment, Progress
from induced_metric.plan import StudyPlan, best_epoch, outcome


@dataclass
class Trial:
    """A trial under way, or one that ended and whose turn to be told has not come.

    Attributes:
        number: in its study.
        id: in Optuna's storage.
        hyperparameters: all of them, the searched and the fixed.
        seed: of its parameters, shuffling and dropout.
        done: its epochs so far.
        looked: epochs after which it was last judged.
        restored: epochs that an earlier process did.
        halted: its metrics are not finite: it diverged.
        row: its record, once that is durable.
        state: of its lane, while it is in none.
    """

    number: int
    id: int
    hyperparameters: Mapping[str, float]
    seed: int
    done: int = 0
    looked: int = 0
    restored: int = 0
    halted: bool = False
    row: Mapping[str, Any] | None = None
    state: Any = None
    _parts: list[Mapping[str, np.ndarray]] = field(default_factory=list)

    def curve(self) -> dict[str, np.ndarray]:
        """The columns of its curve so far."""
        return {name: np.concatenate([part[name] for part in self._parts]) for name in self._parts[0]}

    def heard(self, report: Progress) -> None:
        """Adds what a dispatch did."""
        epoch = report.steps - np.arange(len(report.seconds), 0, -1)
        self._parts.append({"epoch": epoch, "seconds": report.seconds, **report.metrics})
        self.done, self.halted = report.steps, report.halted

    def restore(self, kept: Checkpoint) -> None:
        """Goes on from a checkpoint."""
        self._parts, self.done, self.restored, self.state = [kept.curve], kept.done, kept.done, kept.state
        self.halted = not all(np.isfinite(values[-1]).all() for values in kept.curve.values())

    def read(self, row: Mapping[str, Any], curve: Any) -> None:
        """Takes over what is recorded; the curve is None where it need not be judged again."""
        self.row, self.done, self.restored = row, int(row["epochs"]), int(row["epochs"])
        self._parts = [] if curve is None else [curve]

    def ended(self, plan: StudyPlan) -> bool:
        """Whether it has nothing left to train."""
        return self.halted or self.done >= plan.epochs or self.row is not None

    def has_done(self, plan: StudyPlan, epochs: int) -> bool:
        """Whether it has run so many epochs, or ended before."""
        return self.done >= epochs or self.ended(plan)

    def due(self, plan: StudyPlan) -> bool:
        """Whether it has come to a rung at which it is still to be judged."""
        return any(self.looked < rung <= self.done for rung in plan.rungs)

    def assignment(self, plan: StudyPlan, handle: Any) -> Assignment:
        """What a lane needs to take it up."""
        state, self.state = self.state, None
        done = self.done if state is not None else 0
        return Assignment(handle, self.hyperparameters, self.seed, plan.epochs, done, state)

    def best_until(self, plan: StudyPlan, epochs: int) -> float:
        """The best value of its objective in its first ``epochs``."""
        values = self.curve()[plan.objective][:epochs]
        return float(values[best_epoch(values, plan.direction)])

    @cached_property
    def checkpoint(self) -> str:
        """Name of its checkpoint; another trial of the same number has another one."""
        facts = json.dumps([self.hyperparameters, self.seed], sort_keys=True)
        return f"{self.number}-{hashlib.sha256(facts.encode()).hexdigest()[:12]}"

    def record(self, plan: StudyPlan, state: str) -> dict[str, Any]:
        """Its row, once it has ended."""
        return {
            "trial": self.number,
            "state": state,
            **outcome(self.curve(), plan.objective, plan.direction, plan.worst, diverged=self.halted),
            "objective": plan.objective,
            "direction": plan.direction,
            "seed": self.seed,
            **self.hyperparameters,
            "protocol": plan.protocol,
            "task": plan.task,
            "sampler": plan.sampler,
            "optimizer": plan.optimizer,
            "finished": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "provenance": plan.provenance_json,
            "config": plan.config_json,
        }
