"""A study: Optuna proposes trials, lanes train them, records keep them; killed, it continues.

A trial is told to Optuna only after its record is durable, and a trial that was under way when the process
died is trained again under its own number, with its own hyperparameters and seed. So ``trials`` finished
trials are exactly the numbers 0 ... ``trials`` - 1, none lost and none twice.
"""

import hashlib
import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from induced_metric.checkpoints import Checkpoints
from induced_metric.errors import UserError
from induced_metric.journal import check_config, exclusive, open_study
from induced_metric.lanes import Assignment, Lanes, Progress
from induced_metric.plan import StudyPlan, StudyProgress, best_epoch, outcome, trial_seed
from induced_metric.records import RecordStore

_STATES = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}


def run_study(
    plan: StudyPlan,
    lanes: Lanes,
    *,
    journal: Path,
    records: RecordStore,
    checkpoints: Checkpoints,
    on_progress: Callable[[StudyProgress], None] = lambda _: None,
    stop: Callable[[], bool] = lambda: False,
) -> None:
    """Runs a study until it has ``plan.trials`` finished trials, or until it is stopped.

    Args:
        plan: what to do.
        lanes: an engine whose steps are epochs and whose metrics hold ``plan.objective``.
        journal: file of Optuna's journal storage; made if it does not exist.
        records: where finished trials go.
        checkpoints: where trials under way are kept.
        on_progress: called at the start and after every dispatch.
        stop: once true, the epochs under way are finished, their trials are kept, and the study returns.

    Raises:
        UserError: if the configuration differs from that of the study so far, if the journal knows trials
            that have no record, or if another process is running the study.
    """
    with exclusive(journal):
        study = _Study(plan, lanes.state_shapes, journal, records, checkpoints, on_progress, stop)
        lanes.run(study.ask, study.tell, stride=_stride(plan, lanes.steps_per_dispatch), stop=stop)
        records.compact()


def _stride(plan: StudyPlan, most: int) -> int:
    """Epochs between two looks at a trial: every rung is looked at."""
    divisor = reduce(np.gcd, plan.rungs, 0)
    return int(np.gcd(divisor, most)) if divisor % most else most


@dataclass
class _Running:
    """A trial under way."""

    trial: optuna.trial.Trial
    hyperparameters: dict[str, float]
    seed: int
    restored: int = 0  # epochs done by an earlier process
    parts: list[Mapping[str, np.ndarray]] = field(default_factory=list)  # of its curve

    def curve(self) -> dict[str, np.ndarray]:
        """The columns of its curve so far, with those of earlier runs."""
        return {name: np.concatenate([part[name] for part in self.parts]) for name in self.parts[0]}

    @property
    def done(self) -> int:
        """Its epochs so far, with those of earlier runs."""
        return sum(len(part["epoch"]) for part in self.parts)

    @property
    def checkpoint(self) -> str:
        """Name of its checkpoint; another trial of the same number has another one."""
        facts = json.dumps([self.hyperparameters, self.seed], sort_keys=True)
        return f"{self.trial.number}-{hashlib.sha256(facts.encode()).hexdigest()[:12]}"


class _Study:
    """``ask`` and ``tell`` for the lanes."""

    def __init__(
        self,
        plan: StudyPlan,
        state_shapes: Any,
        journal: Path,
        records: RecordStore,
        checkpoints: Checkpoints,
        on_progress: Callable[[StudyProgress], None],
        stop: Callable[[], bool],
    ) -> None:
        self._plan = plan
        self._state_shapes = state_shapes
        self._records = records
        self._checkpoints = checkpoints
        self._on_progress = on_progress
        self._stop = stop
        self._study = open_study(
            journal, name=plan.name, direction=plan.direction, pruner=plan.pruner, config=plan.config
        )
        self._orphans = self._synchronise()
        self._running: dict[int, _Running] = {}
        recorded = records.trials()
        self._finished = len(recorded)
        self._pruned = int((recorded["state"] == "pruned").sum()) if self._finished else 0
        self._diverged = int(recorded["diverged"].sum()) if self._finished else 0
        self._trained = 0.0
        self._values = list(recorded.loc[~recorded["diverged"], "value"]) if self._finished else []
        self._report()

    def ask(self) -> Assignment | None:
        """The next trial: first those that an earlier process left under way."""
        if self._finished + len(self._running) >= self._plan.trials:
            return None
        orphan = self._orphans.pop(0) if self._orphans else None
        if orphan is not None:
            self._use_sampler_of(orphan.number)
            trial = optuna.trial.Trial(self._study, orphan._trial_id)
        else:
            self._use_sampler_of(len(self._study.get_trials(deepcopy=False)))
            trial = self._study.ask()
        searched = {
            name: trial.suggest_float(name, space.low, space.high, log=space.log)
            for name, space in self._plan.search_space.items()
        }
        running = _Running(trial, {**self._plan.fixed, **searched}, trial_seed(self._plan.seed, trial.number))
        self._running[trial.number] = running
        assignment = Assignment(trial.number, running.hyperparameters, running.seed, self._plan.epochs)
        kept = self._checkpoints.load(running.checkpoint, self._state_shapes) if orphan else None
        if kept is None:
            return assignment
        running.parts.append(kept.curve)
        running.restored = kept.done
        return assignment._replace(done=kept.done, state=kept.state)

    def tell(self, reports: Sequence[Progress]) -> list[bool]:
        """Records what finished, then tells Optuna; prunes at the rungs."""
        finished: list[tuple[_Running, dict[str, Any], dict[str, np.ndarray]]] = []
        going_on = []
        for report in reports:
            running = self._running[report.trial]
            running.parts.append(
                {
                    "epoch": report.steps - np.arange(len(report.seconds), 0, -1),
                    "seconds": report.seconds,
                    **report.metrics,
                }
            )
            pruned = not report.finished and self._is_pruned(running, report.steps)
            if report.finished or pruned:
                state = "pruned" if pruned else "complete"
                curve = running.curve()
                finished.append((running, self._row(running, curve, state, report.halted), curve))
            elif self._stop() or self._checkpoints.due(report.steps, len(report.seconds)):
                self._checkpoints.save(running.checkpoint, report.state(), running.curve())
            going_on.append(not pruned)
        if finished:
            self._records.append([row for _, row, _ in finished], [curve for _, _, curve in finished])
            for running, row, _ in finished:
                self._tell(running.trial.number, row)
                self._checkpoints.remove(running.checkpoint)
                del self._running[running.trial.number]
                self._finished += 1
                self._trained += 1 - running.restored / self._plan.epochs
                self._pruned += row["state"] == "pruned"
                self._diverged += row["diverged"]
                if not row["diverged"]:
                    self._values.append(row["value"])
        self._report()
        return going_on

    def _use_sampler_of(self, number: int) -> None:
        with warnings.catch_warnings():
            # TPE's multivariate and constant_liar are marked experimental; the configuration asks for them.
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            self._study.sampler = self._plan.create_sampler(seed=trial_seed(self._plan.seed, number))

    def _is_pruned(self, running: _Running, epochs: int) -> bool:
        if epochs not in self._plan.rungs:
            return False
        values = running.curve()[self._plan.objective]
        best = best_epoch(values, self._plan.direction)
        running.trial.report(float(values[best]), step=epochs)
        return bool(running.trial.should_prune())

    def _row(
        self, running: _Running, curve: Mapping[str, np.ndarray], state: str, diverged: bool
    ) -> dict[str, Any]:
        plan = self._plan
        return {
            "trial": running.trial.number,
            "state": state,
            **outcome(curve, plan.objective, plan.direction, plan.worst, diverged=diverged),
            "objective": plan.objective,
            "direction": plan.direction,
            "seed": running.seed,
            **running.hyperparameters,
            "protocol": plan.protocol,
            "task": plan.task,
            "sampler": plan.sampler,
            "optimizer": plan.optimizer,
            "finished": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "provenance": json.dumps(dict(plan.provenance), sort_keys=True),
            "config": json.dumps(dict(plan.config), sort_keys=True),
        }

    def _tell(self, number: int, row: Mapping[str, Any]) -> None:
        state = _STATES[row["state"]]
        self._study.tell(number, float(row["value"]) if state is TrialState.COMPLETE else None, state)

    def _report(self) -> None:
        best = min if self._plan.direction == "minimize" else max
        epochs, running = self._plan.epochs, self._running.values()
        self._on_progress(
            StudyProgress(
                finished=self._finished,
                total=self._plan.trials,
                running=[trial.done for trial in running],
                epochs=epochs,
                trained=self._trained + sum(trial.done - trial.restored for trial in running) / epochs,
                best=best(self._values, default=None),
                diverged=self._diverged,
                pruned=self._pruned,
            )
        )

    def _synchronise(self) -> list[FrozenTrial]:
        """Makes Optuna's journal agree with the records; returns the trials that are still to be trained."""
        rows: list[dict[str, Any]] = self._records.trials().to_dict("records")  # type: ignore[assignment]
        recorded = {int(row["trial"]): row for row in rows}
        for row in recorded.values():
            check_config(self._plan.name, json.loads(row["config"]), self._plan.config)
        known = self._study.get_trials(deepcopy=False)
        lost = [trial.number for trial in known if trial.state.is_finished() and trial.number not in recorded]
        if lost:
            raise UserError(
                f"the journal of {self._plan.name} holds {len(lost)} finished trials "
                f"(first: {lost[0]}) whose records are gone; restore the records or remove the journal"
            )
        # A journal that was removed is made again from the records, the trials between them still to be run.
        for number in range(len(known), max(recorded, default=-1) + 1):
            self._study.add_trial(
                optuna.trial.create_trial(state=TrialState.RUNNING, **self._frozen(recorded.get(number)))
            )
        orphans = []
        for trial in self._study.get_trials(deepcopy=False):
            if trial.state.is_finished():
                continue
            if trial.number in recorded:
                # Killed between the record and telling Optuna.
                self._tell(trial.number, recorded[trial.number])
            else:
                orphans.append(trial)
        return orphans

    def _frozen(self, row: Mapping[str, Any] | None) -> dict[str, Any]:
        space = dict(self._plan.search_space)
        if row is None:
            return {"params": {}, "distributions": {}}
        return {"params": {name: row[name] for name in space}, "distributions": space}
