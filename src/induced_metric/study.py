"""Studies: Optuna proposes trials, lanes train them, records keep them; killed, they continue.

A trial is told to Optuna only after its record is durable, and in an order that follows from the trials alone
(``schedule``). Every run of a study begins with an empty one and tells it the recorded trials in that same
order; what has no record is proposed and trained, again or for the first time. So a study that was killed, or
is given more trials, goes on as if it had never stopped: ``trials`` finished trials are exactly the numbers
0 ... ``trials`` - 1, none lost and none twice.
"""

import contextlib
import copy
import json
import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import TrialState

from induced_metric.checkpoints import Checkpoints
from induced_metric.errors import UserError
from induced_metric.journal import check_config, create_study, exclusive, finished
from induced_metric.lanes import Assignment, Lanes, Progress
from induced_metric.plan import StudyPlan, StudyProgress, trial_seed
from induced_metric.records import RecordStore
from induced_metric.schedule import Look, Schedule
from induced_metric.trial import Trial

_STATES = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}


@dataclass(frozen=True, kw_only=True)
class StudyFiles:
    """Where a study is kept.

    Attributes:
        journal: file of Optuna's journal storage; made if it does not exist.
        records: where finished trials go.
        checkpoints: where trials under way are kept.
    """

    journal: Path
    records: RecordStore
    checkpoints: Checkpoints


def run_studies(
    studies: Sequence[tuple[StudyPlan, StudyFiles, Callable[[StudyProgress], None]]],
    lanes: Lanes,
    *,
    stop: Callable[[], bool] = lambda: False,
) -> None:
    """Runs studies of one pairing in the same lanes, until each has its trials or they are stopped.

    They know nothing of each other: each proposes what it would propose alone. The first gets the lanes it
    can use, the next ones what it leaves.

    Args:
        studies: what to do, where it is kept, and what is called at the start and after every dispatch.
        lanes: an engine whose steps are epochs and whose metrics hold ``plan.objective``.
        stop: once true, the epochs under way are finished, their trials are kept, and the studies return.

    Raises:
        UserError: if the configuration of one differs from that of the study so far, if its journal knows
            trials that have no record, or if another process is running it.
    """
    with contextlib.ExitStack() as held:
        for _, files, _ in studies:
            held.enter_context(exclusive(files.journal))
        stopping = False
        running = [
            _Study(place, study, lanes.state_shapes, lambda: stopping) for place, study in enumerate(studies)
        ]

        def ask() -> Assignment | None:
            return next((found for study in running if (found := study.ask()) is not None), None)

        def tell(reports: Sequence[Progress]) -> list[bool]:
            nonlocal stopping
            stopping = stop()  # once a dispatch: all of its trials are kept, or all go on
            by_study: dict[int, list[Progress]] = {}
            for report in reports:
                by_study.setdefault(report.trial[0], []).append(report)
            answers = {place: iter(running[place].tell(news)) for place, news in by_study.items()}
            return [next(answers[report.trial[0]]) for report in reports]

        stride = min(_real_stride(plan, lanes.steps_per_dispatch) for plan, _, _ in studies)
        lanes.run(ask, tell, stride=stride, stop=lambda: stopping)
        for study in running:
            study.close()


def _real_stride(plan: StudyPlan, most: int) -> int:
    """Epochs between two looks at a lane: as many as a dispatch has, but past no rung."""
    if not plan.rungs:
        return most
    rungs = math.gcd(*plan.rungs)
    return max(epochs for epochs in range(1, most + 1) if rungs % epochs == 0)


class _Study:
    """``ask`` and ``tell`` for the lanes.

    A trial that was asked for and not yet told is in a lane, ready for one, paused at a rung until it is
    judged, or at its end until its turn to be told.
    """

    def __init__(
        self,
        place: int,
        study: tuple[StudyPlan, StudyFiles, Callable[[StudyProgress], None]],
        state_shapes: Any,
        stop: Callable[[], bool],
    ) -> None:
        self._place = place
        self._plan, files, self._on_progress = study
        plan = self._plan
        self._state_shapes = state_shapes
        self._records, self._checkpoints = files.records, files.checkpoints
        self._stop = stop
        self._finished = self._pruned = self._diverged = 0
        self._best: float | None = None
        self._read_records(files.journal)
        self._study, journal = create_study(
            files.journal, name=plan.name, direction=plan.direction, pruner=plan.pruner, config=plan.config
        )
        self._trials: dict[int, Trial] = {}  # asked for and not yet told
        self._ready: deque[int] = deque()
        self._paused: set[int] = set()
        self._asked = 0
        self._trained = 0.0
        self._schedule: Schedule | None = None
        if plan.in_flight is not None:
            self._schedule = Schedule(
                in_flight=plan.in_flight,
                stride=plan.stride,
                epochs=plan.epochs,
                ask=self._next,
                done=lambda number, epochs: self._trials[number].has_done(plan, epochs),
                serve=self._serve,
            )
            self._schedule.advance()
        journal.rename(files.journal)
        self._report()

    def ask(self) -> Assignment | None:
        """A trial for a lane, if there is one now."""
        if self._schedule is None:
            while not self._ready and (number := self._next()) is not None:
                if self._trials[number].ended(self._plan):
                    self._serve([Look(number, self._plan.epochs)])
        if not self._ready:
            return None
        trial = self._trials[self._ready.popleft()]
        return trial.assignment(self._plan, (self._place, trial.number))

    def tell(self, reports: Sequence[Progress]) -> list[bool]:
        """Hears what the lanes did; False ends what goes on later, or not at all."""
        ended = []
        for report in reports:
            trial = self._trials[report.trial[1]]
            trial.heard(report)
            if trial.ended(self._plan):
                ended.append(trial)
            elif self._stop() or self._checkpoints.due(report.steps, len(report.seconds), trial.checkpoint):
                self._checkpoints.save(trial.checkpoint, report.state(), trial.curve())
        # What no rung can stop any more is what it will be told as: not to be lost while it waits.
        self._record([(trial, "complete") for trial in ended if not trial.due(self._plan)])
        if self._schedule is None:
            self._serve([Look(trial.number, self._plan.epochs) for trial in ended])
        else:
            self._schedule.advance()
        answers = [self._goes_on(report) for report in reports]
        self._report()
        return answers

    def close(self) -> None:
        """Keeps what waits without a record, and puts the records in order."""
        for trial in self._trials.values():
            if trial.row is None and trial.state is not None:
                self._checkpoints.save(trial.checkpoint, trial.state, trial.curve())
        self._records.compact()

    def _goes_on(self, report: Progress) -> bool:
        """Whether a trial keeps its lane; at a rung it leaves it to another until its turn has come."""
        trial = self._trials.get(report.trial[1])
        if trial is None or trial.row is not None:
            return False
        if trial.due(self._plan):
            trial.state = report.state()
            self._paused.add(trial.number)
            return False
        return True

    def _next(self) -> int | None:
        """The number of the next trial, proposed now or recorded earlier; None once there are enough."""
        number = self._asked
        if number >= self._plan.trials:
            return None
        self._asked += 1
        row = self._recorded.get(number)
        identity, searched = self._propose(number) if row is None else self._remember(row)
        trial = self._trials[number] = Trial(
            number=number,
            id=identity,
            hyperparameters={**self._plan.fixed, **searched},
            seed=trial_seed(self._plan.seed, number),
        )
        if row is not None:
            trial.read(row, self._curves.pop(number, None))
        elif kept := self._checkpoints.load(trial.checkpoint, self._state_shapes):
            trial.restore(kept)
        if trial.due(self._plan):
            self._paused.add(number)
        elif not trial.ended(self._plan):
            self._ready.append(number)
        return number

    def _propose(self, number: int) -> tuple[int, dict[str, float]]:
        self._study.sampler = self._plan.create_sampler(seed=trial_seed(self._plan.seed, number))
        trial = self._study.ask()
        return trial._trial_id, {
            name: trial.suggest_float(name, space.low, space.high, log=space.log)
            for name, space in self._plan.search_space.items()
        }

    def _remember(self, row: Mapping[str, Any]) -> tuple[int, dict[str, float]]:
        """Gives Optuna a recorded trial, which it is told of when its turn comes."""
        searched = {name: row[name] for name in self._plan.search_space}
        trial = optuna.trial.create_trial(
            state=TrialState.RUNNING, params=searched, distributions=dict(self._plan.search_space)
        )
        return self._study._storage.create_new_trial(self._study._study_id, trial), searched

    def _serve(self, looks: Sequence[Look]) -> list[bool]:
        """Judges trials, records and tells those that ended; for each, whether it goes on."""
        ending: list[tuple[Trial, str]] = []
        for number, epochs in looks:
            trial = self._trials[number]
            trial.looked = epochs
            stopped_earlier = trial.row is not None and trial.row["state"] == "pruned"
            if trial.ended(self._plan) and trial.done <= epochs and not stopped_earlier:
                ending.append((trial, "complete"))
            elif epochs in self._plan.rungs and self._is_stopped(trial, epochs):
                ending.append((trial, "pruned"))
        self._record(ending)
        for trial, _ in ending:
            self._tell(trial)
            self._checkpoints.remove(trial.checkpoint)
            self._paused.discard(trial.number)
            del self._trials[trial.number]
        for number, _ in looks:
            if number in self._paused and not self._trials[number].due(self._plan):
                self._paused.remove(number)
                if not self._trials[number].ended(self._plan):
                    self._ready.append(number)
        return [number in self._trials for number, _ in looks]

    def _is_stopped(self, trial: Trial, epochs: int) -> bool:
        """The pruner's verdict after so many epochs; of a recorded trial, what became of it."""
        storage = self._study._storage
        storage.set_trial_intermediate_value(trial.id, epochs, trial.best_until(self._plan, epochs))
        # Asked for a recorded trial too: a pruner may keep notes in the trials that it judges.
        stopped = bool(self._plan.pruner.prune(self._study, copy.deepcopy(storage.get_trial(trial.id))))
        return stopped if trial.row is None else trial.row["epochs"] == epochs

    def _record(self, ending: Sequence[tuple[Trial, str]]) -> None:
        """Makes records of what has none yet, with its state."""
        new = [(trial, trial.record(self._plan, state)) for trial, state in ending if trial.row is None]
        if not new:
            return
        self._records.append([row for _, row in new], [trial.curve() for trial, _ in new])
        for trial, row in new:
            trial.row = row
            self._trained += 1 - trial.restored / self._plan.epochs
            self._count(row)

    def _tell(self, trial: Trial) -> None:
        if trial.row is not None:
            state = _STATES[trial.row["state"]]
            value = float(trial.row["value"]) if state is TrialState.COMPLETE else None
            self._study.tell(trial.number, value, state)

    def _count(self, row: Mapping[str, Any]) -> None:
        self._finished += 1
        self._pruned += row["state"] == "pruned"
        self._diverged += bool(row["diverged"])
        if not row["diverged"]:
            better = min if self._plan.direction == "minimize" else max
            self._best = row["value"] if self._best is None else better(self._best, row["value"])

    def _report(self) -> None:
        running = [trial for trial in self._trials.values() if trial.row is None]
        self._on_progress(
            StudyProgress(
                finished=self._finished,
                total=self._plan.trials,
                running=[trial.done for trial in running],
                epochs=self._plan.epochs,
                trained=self._trained
                + sum(trial.done - trial.restored for trial in running) / self._plan.epochs,
                best=self._best,
                diverged=self._diverged,
                pruned=self._pruned,
            )
        )

    def _read_records(self, journal: Path) -> None:
        """What earlier runs left: the records, from which Optuna's study is made again."""
        rows: list[dict[str, Any]] = self._records.trials().to_dict("records")  # type: ignore[assignment]
        for config in {row["config"] for row in rows}:
            check_config(self._plan.name, json.loads(config), self._plan.config)
        self._recorded = {int(row["trial"]): row for row in rows}
        told = finished(journal, name=self._plan.name, config=self._plan.config)
        if lost := sorted(told - self._recorded.keys()):
            raise UserError(
                f"the journal of {self._plan.name} holds {len(lost)} finished trials "
                f"(first: {lost[0]}) whose records are gone; restore the records or remove the journal"
            )
        # What is judged again needs its curve.
        self._curves = (
            dict(iter(self._records.curves().groupby("trial"))) if self._plan.rungs and rows else {}
        )
        for number, row in self._recorded.items():
            if number < self._plan.trials:
                self._count(row)
