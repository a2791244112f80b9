"""A study: Optuna proposes trials, lanes train them, records keep them. A killed study can be continued.

The value of a trial is told to Optuna only after its record is durable, and in an order that follows from the
trials alone (``schedule``). Every process that works on a study starts with an empty Optuna study and tells
it the recorded trials in that same order. A trial without a record is proposed anew, and trained by the
process that claims it (``storage``). So a study is the same whether one process runs it or several do, and
whether or not they were killed, or it was given more trials later: its ``trials`` finished trials are exactly
the numbers 0 ... ``trials`` - 1, with none lost and none recorded twice.
"""

import warnings
from collections.abc import Callable, Sequence

from induced_metric.lanes import Assignment, Lanes, Report
from induced_metric.studies.asked import Asked, reason
from induced_metric.studies.in_flight import InFlight
from induced_metric.studies.plan import StudyPlan, StudyStatus
from induced_metric.studies.storage import OpenStorage
from induced_metric.training.checkpoints import Checkpoints
from induced_metric.training.trial import Trial


class Study:
    """``ask`` and ``tell`` for the lanes; ``in_flight`` handles the trials that have ended.

    Args:
        place: position among the studies that share the lanes.
        plan: what to do.
        storage: the open storage of the study.
        checkpoints: where trials under way are saved.
        lanes: the lanes that train the trials.
        on_progress: called with the study's status at the start and after every dispatch.
    """

    def __init__(
        self, place: int, plan: StudyPlan, storage: OpenStorage, checkpoints: Checkpoints, lanes: Lanes,
        on_progress: Callable[[StudyStatus], None],
    ) -> None:  # fmt: skip
        self.plan = plan
        self.shared = storage.shared
        self._place = place
        self._storage = storage
        self._checkpoints = checkpoints.of(plan.provenance)
        self._lanes = lanes
        self._on_progress = on_progress
        self._said_failed = False
        self._suspect: int | None = None  # the last trial claimed here that may be why workers were lost
        self._in_flight = InFlight(plan, storage, self._checkpoints)
        storage.begin()
        self._report()

    @property
    def finished(self) -> bool:
        """Whether all trials are recorded and told."""
        return self._in_flight.over

    def ask(self) -> Assignment | None:
        """A trial for a lane; None if there is none now."""
        while (asked := self._in_flight.take()) is not None:
            if self._claim(asked):
                return asked.trial.assignment((self._place, asked.trial.number, asked.turn))
        return None

    def tell(self, reports: Sequence[Report], *, stopping: bool) -> list[bool]:
        """Takes in the lanes' reports; returns for each trial whether it keeps its lane.

        A trial that loses its lane goes on later, in another process, or not at all.
        """
        self.look(waiting=not self._in_flight.ready and len(self._in_flight.asked) > len(reports))
        ended = []
        for report in reports:
            asked = self._carried(report)
            if asked is None:
                continue
            if report.failed is not None:
                asked.failed = reason(report.failed)
                self._say_failed(asked)
                ended.append(asked)
                continue
            before = asked.trial.done
            asked.trial.hear(report)
            asked.trial.keep(report, self._checkpoints, stopping=stopping, claim=asked.claim)
            self._say(asked, since=before)
            if asked.ended:
                ended.append(asked)
        self._in_flight.advance(ended)
        answers = [self._goes_on(report) for report in reports]
        self._report()
        return answers

    def keep(self, reports: Sequence[Report]) -> None:
        """Saves the trials of the reports, as far as ``tell`` has not taken them in: its storage failed."""
        for report in reports:
            asked = self._carried(report)
            if asked is not None and report.failed is None and asked.trial.done < report.done:
                asked.trial.hear(report)
                asked.trial.keep(report, self._checkpoints, stopping=True, claim=asked.claim)

    def look(self, *, waiting: bool) -> None:
        """Takes in what other processes did."""
        news = self._storage.look(waiting=waiting)
        if news is not None:
            self._in_flight.hear(news)

    def close(self) -> None:
        """Saves unrecorded trials that wait outside the lanes; the storage then gives all of them back."""
        for asked in self._in_flight.mine:
            trial = asked.trial
            if trial.state is not None:
                self._checkpoints.save(trial.checkpoint, trial.state, trial.curve(), claim=asked.claim)

    def _say_failed(self, asked: Asked) -> None:
        """Warns why a trial failed, but only for the first: others may fail for the same reason."""
        if not self._said_failed:
            self._said_failed = True
            warnings.warn(
                f"trial {asked.trial.number} of {self.plan.name} failed ({asked.failed}); the study goes on "
                "without it, and retry=failed runs it again",
                stacklevel=2,
            )

    def _claim(self, asked: Asked) -> bool:
        """Claims a trial for this process; returns whether it is to be trained now."""
        if asked.row is not None:
            return False
        if asked.mine:
            return True
        trial = asked.trial
        claim = self._storage.claim(
            trial.number, trial.hyperparameters, suspects=not self._trains(self._suspect)
        )
        if claim is None:
            return False
        if claim.suspect:
            self._suspect = trial.number
        if claim.hyperparameters != trial.hyperparameters:
            asked.trial = trial = Trial(
                trial.number, claim.hyperparameters, trial.seed, trial.goal, until=trial.until
            )
        asked.claim, asked.lost, asked.failed = claim.name, claim.lost, claim.failed
        if asked.failed is None:
            trial.restore(self._checkpoints, self._lanes)
            self._say(asked, since=0)
        if asked.due(self.plan.rungs):
            self._in_flight.paused.add(trial.number)
        elif not asked.ended:
            return True
        self._in_flight.advance([asked] if asked.ended else [])
        return False

    def _trains(self, number: int | None) -> bool:
        """Whether a trial is under way in this process and does not wait to be judged."""
        asked = None if number is None else self._in_flight.asked.get(number)
        return asked is not None and asked.mine and asked.row is None and number not in self._in_flight.paused

    def _say(self, asked: Asked, *, since: int) -> None:
        """Reports the values that a trial is judged by at the rungs reached after ``since`` epochs.

        At a rung where it ended nothing is judged: other processes wait for its record.
        """
        last = asked.trial.done - asked.trial.ended
        for rung in self.plan.rungs:
            if since < rung <= last:
                self._storage.report(asked.trial.number, rung, asked.trial.best_until(rung))

    def _carried(self, report: Report) -> Asked | None:
        """The trial of a report; None if another process took or recorded it after it got its lane."""
        _, number, turn = report.trial
        asked = self._in_flight.asked.get(number)
        carried = asked is not None and asked.mine and asked.turn == turn and asked.row is None
        return asked if carried else None

    def _goes_on(self, report: Report) -> bool:
        """Whether a trial keeps its lane; at a rung it gives up the lane until its turn has come."""
        asked = self._carried(report)
        if asked is None:
            return False
        if asked.due(self.plan.rungs):
            asked.trial.state = report.state()
            self._in_flight.paused.add(asked.trial.number)
            return False
        return True

    def _report(self) -> None:
        trials = [asked.trial for asked in self._in_flight.mine]
        self._on_progress(self._in_flight.tally.status(trials))
