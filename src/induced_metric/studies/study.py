"""Studies: Optuna proposes trials, lanes train them, records keep them; killed, they continue.

A trial is told to Optuna only after its record is durable, and in an order that follows from the trials alone
(``schedule``). Every run of a study begins with an empty one and tells it the recorded trials in that same
order; what has no record is proposed and trained, again or for the first time. So a study that was killed, or
is given more trials, goes on as if it had never stopped: ``trials`` finished trials are exactly the numbers
0 ... ``trials`` - 1, none lost and none twice.
"""

import contextlib
import copy
import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optuna.trial import TrialState

from induced_metric.lanes import Assignment, Lanes, Report
from induced_metric.records import RecordStore
from induced_metric.studies.dimensions import propose, remember
from induced_metric.studies.journal import create_study, exclusive, recorded
from induced_metric.studies.plan import StudyPlan, StudyStatus, trial_seed
from induced_metric.studies.schedule import Look, Schedule
from induced_metric.training.checkpoints import Checkpoints
from induced_metric.training.trial import Trial

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
    studies: Sequence[tuple[StudyPlan, StudyFiles, Callable[[StudyStatus], None]]],
    lanes: Lanes,
    *,
    stop: Callable[[], bool] = lambda: False,
) -> None:
    """Runs studies of one pairing in the same lanes, until each has its trials or they are stopped.

    They know nothing of each other: each proposes what it would propose alone. The first gets the lanes it
    can use, the next ones what it leaves.

    Args:
        studies: what to do, where it is kept, and what is called at the start and after every dispatch.
        lanes: an engine whose steps are epochs and whose metrics hold the objective.
        stop: once true, the epochs under way are finished, their trials are kept, and the studies return.

    Raises:
        UserError: if the configuration of one differs from that of the study so far, if its journal knows
            trials that have no record, or if another process is running it.
    """
    with contextlib.ExitStack() as held:
        for _, files, _ in studies:
            held.enter_context(exclusive(files.journal))
        stopping = False
        running = [_Study(place, study, lanes, lambda: stopping) for place, study in enumerate(studies)]

        def ask() -> Assignment | None:
            return next((found for study in running if (found := study.ask()) is not None), None)

        def tell(reports: Sequence[Report]) -> list[bool]:
            nonlocal stopping
            stopping = stop()  # once a dispatch: all of its trials are kept, or all go on
            by_study: dict[int, list[Report]] = {}
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


@dataclass
class _Asked:
    """A trial that was asked for and not yet told.

    Attributes:
        trial: the trial.
        id: in Optuna's storage.
        looked: epochs after which it was last judged.
        row: its record, once that is durable.
    """

    trial: Trial
    id: int
    looked: int = 0
    row: Mapping[str, Any] | None = None

    @property
    def ended(self) -> bool:
        """Whether it has nothing left to train."""
        return self.trial.ended or self.row is not None

    def has_done(self, epochs: int) -> bool:
        """Whether it has run so many epochs, or ended before."""
        return self.trial.done >= epochs or self.ended

    def due(self, rungs: Sequence[int]) -> bool:
        """Whether it has come to a rung at which it is still to be judged."""
        return any(self.looked < rung <= self.trial.done for rung in rungs)


class _Study:
    """``ask`` and ``tell`` for the lanes.

    A trial that was asked for and not yet told is in a lane, ready for one, paused at a rung until it is
    judged, or at its end until its turn to be told.
    """

    def __init__(
        self,
        place: int,
        study: tuple[StudyPlan, StudyFiles, Callable[[StudyStatus], None]],
        lanes: Lanes,
        stop: Callable[[], bool],
    ) -> None:
        self._place = place
        self._plan, files, self._on_progress = study
        plan = self._plan
        self._lanes = lanes
        self._records, self._checkpoints = files.records, files.checkpoints
        self._stop = stop
        self._finished = self._pruned = self._diverged = 0
        self._best: float | None = None
        self._recorded, self._curves = recorded(plan, files.journal, files.records)
        for number, row in self._recorded.items():
            if number < plan.trials:
                self._count(row)
        self._study, journal = create_study(plan, files.journal)
        self._asked: dict[int, _Asked] = {}
        self._ready: deque[int] = deque()
        self._paused: set[int] = set()
        self._number = 0  # of the next trial
        self._trained = 0.0
        self._schedule: Schedule | None = None
        if plan.in_flight is not None:
            self._schedule = Schedule(
                in_flight=plan.in_flight,
                stride=plan.stride,
                epochs=plan.goal.epochs,
                ask=self._next,
                done=lambda number, epochs: self._asked[number].has_done(epochs),
                serve=self._serve,
            )
            self._schedule.advance()
        journal.rename(files.journal)
        self._report()

    def ask(self) -> Assignment | None:
        """A trial for a lane, if there is one now."""
        if self._schedule is None:
            while not self._ready and (number := self._next()) is not None:
                if self._asked[number].ended:
                    self._serve([Look(number, self._plan.goal.epochs)])
        if not self._ready:
            return None
        number = self._ready.popleft()
        return self._asked[number].trial.assignment((self._place, number))

    def tell(self, reports: Sequence[Report]) -> list[bool]:
        """Hears what the lanes did; False ends what goes on later, or not at all."""
        ended = []
        for report in reports:
            asked = self._asked[report.trial[1]]
            asked.trial.hear(report)
            asked.trial.keep(report, self._checkpoints, stopping=self._stop())
            if asked.ended:
                ended.append(asked)
        # What no rung can stop any more is what it will be told as: not to be lost while it waits.
        self._record([(asked, "complete") for asked in ended if not asked.due(self._plan.rungs)])
        if self._schedule is None:
            self._serve([Look(asked.trial.number, self._plan.goal.epochs) for asked in ended])
        else:
            self._schedule.advance()
        answers = [self._goes_on(report) for report in reports]
        self._report()
        return answers

    def close(self) -> None:
        """Keeps what waits without a record, and puts the records in order."""
        for asked in self._asked.values():
            trial = asked.trial
            if asked.row is None and trial.state is not None:
                self._checkpoints.save(trial.checkpoint, trial.state, trial.curve())
        self._records.compact()

    def _goes_on(self, report: Report) -> bool:
        """Whether a trial keeps its lane; at a rung it leaves it to another until its turn has come."""
        asked = self._asked.get(report.trial[1])
        if asked is None or asked.row is not None:
            return False
        if asked.due(self._plan.rungs):
            asked.trial.state = report.state()
            self._paused.add(asked.trial.number)
            return False
        return True

    def _next(self) -> int | None:
        """The number of the next trial, proposed now or recorded earlier; None once there are enough."""
        number, plan = self._number, self._plan
        if number >= plan.trials:
            return None
        self._number += 1
        row = self._recorded.get(number)
        given = self._propose(number) if row is None else remember(self._study, plan.search_space, row)
        identity, searched = given
        trial = Trial(number, {**plan.fixed, **searched}, trial_seed(plan.seed, number), plan.goal)
        asked = self._asked[number] = _Asked(trial, identity, row=row)
        if row is not None:
            trial.read(int(row["epochs"]), self._curves.pop(number, None))
        else:
            trial.restore(self._checkpoints, self._lanes)
        if asked.due(plan.rungs):
            self._paused.add(number)
        elif not asked.ended:
            self._ready.append(number)
        return number

    def _propose(self, number: int) -> tuple[int, dict[str, Any]]:
        self._study.sampler = self._plan.create_sampler(seed=trial_seed(self._plan.seed, number))
        return propose(self._study, self._plan.search_space)

    def _serve(self, looks: Sequence[Look]) -> list[bool]:
        """Judges trials, records and tells those that ended; for each, whether it goes on."""
        ending: list[tuple[_Asked, str]] = []
        for number, epochs in looks:
            asked = self._asked[number]
            asked.looked = epochs
            stopped_earlier = asked.row is not None and asked.row["state"] == "pruned"
            if asked.ended and asked.trial.done <= epochs and not stopped_earlier:
                ending.append((asked, "complete"))
            elif epochs in self._plan.rungs and self._is_stopped(asked, epochs):
                ending.append((asked, "pruned"))
        self._record(ending)
        for asked, _ in ending:
            self._tell(asked)
            self._checkpoints.remove(asked.trial.checkpoint)
            self._paused.discard(asked.trial.number)
            del self._asked[asked.trial.number]
        for number, _ in looks:
            if number in self._paused and not self._asked[number].due(self._plan.rungs):
                self._paused.remove(number)
                if not self._asked[number].ended:
                    self._ready.append(number)
        return [number in self._asked for number, _ in looks]

    def _is_stopped(self, asked: _Asked, epochs: int) -> bool:
        """The pruner's verdict after so many epochs; of a recorded trial, what became of it."""
        storage = self._study._storage
        storage.set_trial_intermediate_value(asked.id, epochs, asked.trial.best_until(epochs))
        # Asked for a recorded trial too: a pruner may keep notes in the trials that it judges.
        stopped = bool(self._plan.pruner.prune(self._study, copy.deepcopy(storage.get_trial(asked.id))))
        return stopped if asked.row is None else asked.row["epochs"] == epochs

    def _record(self, ending: Sequence[tuple[_Asked, str]]) -> None:
        """Makes records of what has none yet, with its state."""
        new = [
            (asked, asked.trial.row(self._plan.columns, state=state))
            for asked, state in ending
            if asked.row is None
        ]
        if not new:
            return
        self._records.append([row for _, row in new], [asked.trial.curve() for asked, _ in new])
        for asked, row in new:
            asked.row = row
            self._trained += 1 - asked.trial.restored / self._plan.goal.epochs
            self._count(row)

    def _tell(self, asked: _Asked) -> None:
        if asked.row is not None:
            state = _STATES[asked.row["state"]]
            value = float(asked.row["value"]) if state is TrialState.COMPLETE else None
            self._study.tell(asked.trial.number, value, state)

    def _count(self, row: Mapping[str, Any]) -> None:
        self._finished += 1
        self._pruned += row["state"] == "pruned"
        self._diverged += bool(row["diverged"])
        if not row["diverged"]:
            better = min if self._plan.goal.direction == "minimize" else max
            self._best = row["value"] if self._best is None else better(self._best, row["value"])

    def _report(self) -> None:
        running = [asked.trial for asked in self._asked.values() if asked.row is None]
        epochs = self._plan.goal.epochs
        self._on_progress(
            StudyStatus(
                finished=self._finished,
                total=self._plan.trials,
                running=[trial.done for trial in running],
                epochs=epochs,
                trained=self._trained + sum(trial.done - trial.restored for trial in running) / epochs,
                best=self._best,
                diverged=self._diverged,
                pruned=self._pruned,
            )
        )
