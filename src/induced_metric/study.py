"""Studies: Optuna proposes trials, lanes train them, records keep them; killed, they continue.

A trial is told to Optuna only after its record is durable, and in an order that follows from the trials alone
(``schedule``). A study that was killed goes through its records in that same order, trains what was under way
again, under its own numbers, hyperparameters and seeds, and goes on as if nothing had happened. So ``trials``
finished trials are exactly the numbers 0 ... ``trials`` - 1, none lost and none twice.
"""

import contextlib
import json
import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import TrialState

from induced_metric import judge
from induced_metric.checkpoints import Checkpoints
from induced_metric.errors import UserError
from induced_metric.journal import check_config, exclusive, open_study
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
        running = [_Study(place, study, lanes.state_shapes, stop) for place, study in enumerate(studies)]

        def ask() -> Assignment | None:
            return next((found for study in running if (found := study.ask()) is not None), None)

        def tell(reports: Sequence[Progress]) -> list[bool]:
            by_study: dict[int, list[Progress]] = {}
            for report in reports:
                by_study.setdefault(report.trial[0], []).append(report)
            answers = {place: iter(running[place].tell(news)) for place, news in by_study.items()}
            return [next(answers[report.trial[0]]) for report in reports]

        stride = min(_real_stride(plan, lanes.steps_per_dispatch) for plan, _, _ in studies)
        lanes.run(ask, tell, stride=stride, stop=stop)
        for study in running:
            study.close()


def _real_stride(plan: StudyPlan, most: int) -> int:
    """Epochs between two looks at a lane: it is not to pass a rung unseen."""
    rungs = math.gcd(*plan.rungs) if plan.rungs else most
    return math.gcd(rungs, most) if rungs % most else most


class _Study:
    """``ask`` and ``tell`` for the lanes."""

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
        self._study = open_study(
            files.journal, name=plan.name, direction=plan.direction, pruner=plan.pruner, config=plan.config
        )
        self._finished = self._pruned = self._diverged = 0
        self._best: float | None = None
        self._read_records()
        self._trials: dict[int, Trial] = {}  # asked for and not yet told
        self._ready: deque[int] = deque()  # of these, what waits for a lane
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
        """Hears what the lanes did; False ends what goes on elsewhere, later or not at all."""
        ended = []
        for report in reports:
            trial = self._trials.get(report.trial[1])
            if trial is None:  # stopped at an earlier look, while it ran ahead
                continue
            trial.heard(report)
            if trial.ended(self._plan):
                ended.append(trial)
            elif self._stop() or self._checkpoints.due(report.steps, len(report.seconds), trial.checkpoint):
                self._checkpoints.save(trial.checkpoint, report.state(), trial.curve())
        if not self._plan.rungs:  # what ended is what it will be told as: not to be lost while it waits
            self._record([(trial, "complete", trial.done) for trial in ended])
        if self._schedule is None:
            self._serve([Look(trial.number, self._plan.epochs) for trial in ended])
        else:
            self._schedule.advance()
        answers = [self._goes_on(report) for report in reports]
        self._report()
        return answers

    def close(self) -> None:
        """Keeps the trials that wait to be judged, and puts the records in order."""
        for trial in self._trials.values():
            if trial.state is not None and trial.done:
                self._checkpoints.save(trial.checkpoint, trial.state, trial.curve())
        self._records.compact()

    def _goes_on(self, report: Progress) -> bool:
        trial = self._trials.get(report.trial[1])
        if trial is None or trial.row is not None:
            return False
        if not trial.can_go_on(self._plan):
            # It leaves its lane to another until its turn has come.
            trial.state = report.state()
            return False
        return True

    def _next(self) -> int | None:
        """The number of the next trial, known from earlier or proposed now."""
        number = self._asked
        if number >= self._plan.trials:
            return None
        self._asked += 1
        row, known = self._recorded.get(number), self._known.get(number)
        if row is None:
            identity, searched = self._propose(number, known)
        else:
            searched = {name: row[name] for name in self._plan.search_space}
            identity = self._remember(searched) if known is None else known
        trial = self._trials[number] = Trial(
            number=number,
            id=identity,
            hyperparameters={**self._plan.fixed, **searched},
            seed=trial_seed(self._plan.seed, number),
        )
        if row is not None:
            trial.read(row, self._curves.get(number))
        elif kept := self._checkpoints.load(trial.checkpoint, self._state_shapes):
            trial.restore(kept)
        if trial.can_go_on(self._plan):
            self._ready.append(number)
        return number

    def _propose(self, number: int, known: int | None) -> tuple[int, dict[str, float]]:
        """Asks Optuna, or takes what it proposed before the process died."""
        self._study.sampler = self._plan.create_sampler(seed=trial_seed(self._plan.seed, number))
        trial = self._study.ask() if known is None else optuna.trial.Trial(self._study, known)
        return trial._trial_id, {
            name: trial.suggest_float(name, space.low, space.high, log=space.log)
            for name, space in self._plan.search_space.items()
        }

    def _remember(self, searched: Mapping[str, float]) -> int:
        """Gives Optuna a recorded trial that its journal has lost; it is told when its turn comes."""
        trial = optuna.trial.create_trial(
            state=TrialState.RUNNING, params=dict(searched), distributions=dict(self._plan.search_space)
        )
        return self._study._storage.create_new_trial(self._study._study_id, trial)

    def _serve(self, looks: Sequence[Look]) -> list[bool]:
        """Judges trials, records and tells those that ended; for each, whether it goes on."""
        finished: list[tuple[Trial, str, int]] = []
        for number, epochs in looks:
            trial = self._trials[number]
            trial.looked = epochs
            if trial.ended(self._plan) and trial.done <= epochs:
                finished.append((trial, "complete", trial.done))
            elif epochs in self._plan.rungs and not judge.passes(self._study, trial, self._plan, epochs):
                finished.append((trial, "pruned", epochs))
        self._record(finished)
        for trial, _, _ in finished:
            self._tell(trial)
            self._checkpoints.remove(trial.checkpoint)
            del self._trials[trial.number]
        for number, _ in looks:
            waiting = self._trials.get(number)
            if waiting and waiting.state is not None and waiting.can_go_on(self._plan):
                self._ready.append(number)
        return [number in self._trials for number, _ in looks]

    def _record(self, finished: Sequence[tuple[Trial, str, int]]) -> None:
        """Makes records of what has none yet: of a trial, its state and how many of its epochs count."""
        new = [(trial, state, trial.curve(epochs)) for trial, state, epochs in finished if trial.row is None]
        if not new:
            return
        rows = [trial.record(self._plan, state, curve) for trial, state, curve in new]
        self._records.append(rows, [curve for _, _, curve in new])
        for (trial, _, _), row in zip(new, rows, strict=True):
            trial.row = row
            self._trained += 1 - trial.restored / self._plan.epochs
            self._count(row)

    def _tell(self, trial: Trial) -> None:
        if trial.number in self._told or trial.row is None:
            return
        state = _STATES[trial.row["state"]]
        if state is TrialState.PRUNED:
            judge.report(self._study, trial, trial.row["epochs"], trial.row["value"])
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

    def _read_records(self) -> None:
        """What earlier processes left: Optuna's trials, and the records, which are the truth."""
        rows: list[dict[str, Any]] = self._records.trials().to_dict("records")  # type: ignore[assignment]
        for config in {row["config"] for row in rows}:
            check_config(self._plan.name, json.loads(config), self._plan.config)
        self._recorded = {int(row["trial"]): row for row in rows}
        trials = self._study.get_trials(deepcopy=False)
        self._known = {trial.number: trial._trial_id for trial in trials}
        self._told = {trial.number for trial in trials if trial.state.is_finished()}
        if lost := sorted(self._told - self._recorded.keys()):
            raise UserError(
                f"the journal of {self._plan.name} holds {len(lost)} finished trials "
                f"(first: {lost[0]}) whose records are gone; restore the records or remove the journal"
            )
        # What is judged again, where Optuna has forgotten it, needs its curve.
        forgotten = self._plan.rungs and self._recorded.keys() - self._told
        self._curves = dict(iter(self._records.curves().groupby("trial"))) if forgotten else {}
        for row in rows:
            self._count(row)
