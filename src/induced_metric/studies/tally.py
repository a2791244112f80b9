"""The progress of a study, counted as its trials are recorded."""

from collections.abc import Iterable, Mapping
from typing import Any

from induced_metric.studies.plan import StudyPlan, StudyStatus
from induced_metric.training.trial import Trial


class Tally:
    """Counts the recorded trials of a study.

    Args:
        plan: the plan of the study.
    """

    def __init__(self, plan: StudyPlan) -> None:
        self._plan = plan
        self._finished = self._pruned = self._diverged = self._failed = 0
        self._best: float | None = None
        self._trained = 0.0

    def count(self, row: Mapping[str, Any]) -> None:
        """Counts a recorded trial, whichever process trained it."""
        self._finished += 1
        self._pruned += row["state"] == "pruned"
        self._diverged += bool(row["diverged"])
        self._failed += row["state"] == "failed"
        if not row["diverged"] and row["state"] != "failed":
            better = min if self._plan.goal.direction == "minimize" else max
            self._best = row["value"] if self._best is None else better(self._best, row["value"])

    def train(self, trial: Trial) -> None:
        """Counts the part that this process trained of a trial that it records."""
        self._trained += 1 - trial.restored / self._plan.goal.epochs

    def status(self, running: Iterable[Trial]) -> StudyStatus:
        """The status of the study, including the trials that this process has under way."""
        trials, epochs = list(running), self._plan.goal.epochs
        return StudyStatus(
            finished=self._finished,
            total=self._plan.trials,
            running=[trial.done for trial in trials],
            epochs=epochs,
            trained=self._trained + sum(trial.done - trial.restored for trial in trials) / epochs,
            best=self._best,
            diverged=self._diverged,
            pruned=self._pruned,
            failed=self._failed,
        )
