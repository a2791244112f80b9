"""A study: Optuna proposes trials, lanes train them, records keep them; killed, it continues.

A trial is told to Optuna only after its record is durable, and in an order that follows from the trials alone
(``schedule``). Every process that works on a study begins with an empty one and tells it the recorded trials
in that same order; what has no record is proposed, and trained by whoever claims it (``storage``). So a study
is the same whether one process runs it or several do, and whether or not they were killed, or it was given
more trials later: ``trials`` finished trials are exactly the numbers 0 ... ``trials`` - 1, none lost and none
twice.
"""

import warnings
from collections import deque
from collections.abc import Callable, Sequence

from induced_metric.lanes import Assignment, Lanes, Report
from induced_metric.studies.asked import Asked, reason
from induced_metric.studies.judgement import judge
from induced_metric.studies.plan import StudyPlan, StudyStatus
from induced_metric.studies.proposals import Proposals
from induced_metric.studies.schedule import Look, Schedule
from induced_metric.studies.storage import STATES, OpenStorage, Published
from induced_metric.studies.tally import Tally
from induced_metric.training.checkpoints import Checkpoints
from induced_metric.training.trial import Trial


class Study:
    """``ask`` and ``tell`` for the lanes.

    Args:
        place: among the studies that share the lanes.
        plan: what to do.
        storage: where it is coordinated.
        checkpoints: where trials under way are kept.
        lanes: that train them.
        on_progress: called at the start and after every dispatch.
    """

    def __init__(
        self, place: int, plan: StudyPlan, storage: OpenStorage, checkpoints: Checkpoints, lanes: Lanes,
        on_progress: Callable[[StudyStatus], None],
    ) -> None:  # fmt: skip
        self.plan = plan
        self.shared = storage.shared
        self._place = place
        self._storage = storage
        self._checkpoints = checkpoints
        self._lanes = lanes
        self._on_progress = on_progress
        self._said_failed = False
        self._tally = Tally(plan)
        recorded = {
            number: Published(row, storage.curves.get(number)) for number, row in storage.rows.items()
        }
        for number, published in recorded.items():
            if number < plan.trials:
                self._tally.count(published.row)
        self._proposals = Proposals(plan, storage.study, recorded)
        self._asked: dict[int, Asked] = {}
        self._ready: deque[int] = deque()
        self._paused: set[int] = set()
        self._suspect: int | None = None  # the last trial here that may be the reason why workers were lost
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
        storage.begin()
        self._report()

    @property
    def finished(self) -> bool:
        """Whether all trials are recorded and told."""
        return self._proposals.exhausted and not self._asked

    def ask(self) -> Assignment | None:
        """A trial for a lane, if there is one now."""
        while self._ready or self._schedule is None:
            if not self._ready:
                number = self._next()
                if number is None:
                    return None
                if self._asked[number].ended:
                    self._advance([self._asked[number]])
                continue
            asked = self._asked.get(self._ready.popleft())
            if asked is not None and self._claim(asked):
                return asked.trial.assignment((self._place, asked.trial.number, asked.turn))
        return None

    def tell(self, reports: Sequence[Report], *, stopping: bool) -> list[bool]:
        """Hears what the lanes did; False ends what goes on later, elsewhere, or not at all."""
        self.look(waiting=not self._ready and len(self._asked) > len(reports))
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
        self._advance(ended)
        answers = [self._goes_on(report) for report in reports]
        self._report()
        return answers

    def look(self, *, waiting: bool) -> None:
        """Hears what other processes did."""
        news = self._storage.look(waiting=waiting)
        if news is None:
            return
        ended = []
        for published in news.published:
            number = int(published.row["trial"])
            asked = self._asked.get(number)
            if asked is not None and asked.row is None:
                asked.recorded(published)
                ended.append(asked)
            elif asked is not None or not self._proposals.add(published):
                continue
            self._tally.count(published.row)
        for number in news.lost & self._asked.keys():
            if self._asked[number].row is None:
                self._asked[number].lose()
                self._paused.discard(number)
        for number, asked in self._asked.items():
            if asked.mine or asked.row is not None:
                continue
            if number in news.elsewhere:
                asked.reported = news.elsewhere[number]
            elif number not in self._ready:
                self._ready.append(number)
        self._advance(ended)

    def close(self) -> None:
        """Keeps what waits without a record, and gives back what is not recorded."""
        mine = [asked for asked in self._asked.values() if asked.mine and asked.row is None]
        for asked in mine:
            trial = asked.trial
            if trial.state is not None:
                self._checkpoints.save(trial.checkpoint, trial.state, trial.curve(), claim=asked.claim)
        self._storage.release([asked.trial.number for asked in mine])

    def _say_failed(self, asked: Asked) -> None:
        """Says why a trial failed, of the first: others may fail alike."""
        if not self._said_failed:
            self._said_failed = True
            warnings.warn(
                f"trial {asked.trial.number} of {self.plan.name} failed ({asked.failed}); the study goes on "
                "without it, and retry=failed runs it again",
                stacklevel=2,
            )

    def _claim(self, asked: Asked) -> bool:
        """Makes a trial this process's; whether it is to be trained now."""
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
            self._paused.add(trial.number)
        elif not asked.ended:
            return True
        self._advance([asked] if asked.ended else [])
        return False

    def _trains(self, number: int | None) -> bool:
        """Whether a trial is under way in this process, and does not wait to be judged."""
        asked = None if number is None else self._asked.get(number)
        return asked is not None and asked.mine and asked.row is None and number not in self._paused

    def _say(self, asked: Asked, *, since: int) -> None:
        """Reports what a trial is judged by at the rungs that it has come to."""
        for rung in self.plan.rungs:
            if since < rung <= asked.trial.done:
                self._storage.report(asked.trial.number, rung, asked.trial.best_until(rung))

    def _carried(self, report: Report) -> Asked | None:
        """The trial of a report, unless another process has or recorded it since it got its lane."""
        _, number, turn = report.trial
        asked = self._asked.get(number)
        carried = asked is not None and asked.mine and asked.turn == turn and asked.row is None
        return asked if carried else None

    def _goes_on(self, report: Report) -> bool:
        """Whether a trial keeps its lane; at a rung it leaves it to another until its turn has come."""
        asked = self._carried(report)
        if asked is None:
            return False
        if asked.due(self.plan.rungs):
            asked.trial.state = report.state()
            self._paused.add(asked.trial.number)
            return False
        return True

    def _next(self) -> int | None:
        """The number of the next trial, proposed now or recorded earlier; None once there are enough."""
        asked = self._proposals.next()
        if asked is None:
            return None
        number = asked.trial.number
        self._asked[number] = asked
        if asked.row is None:
            self._ready.append(number)
        elif asked.due(self.plan.rungs):
            self._paused.add(number)
        return number

    def _advance(self, ended: Sequence[Asked]) -> None:
        """Records trials that ended here, and serves those whose turn has come."""
        # What no rung can stop any more is what it will be told as: not to be lost while it waits.
        self._record([(asked, "complete") for asked in ended if not asked.due(self.plan.rungs)])
        for asked in ended:
            if asked.stopped and asked.row is not None:
                self._forget(asked)
        if self._schedule is None:
            self._serve([Look(asked.trial.number, self.plan.goal.epochs) for asked in ended])
        else:
            self._schedule.advance()

    def _serve(self, looks: Sequence[Look]) -> list[bool]:
        """Judges trials, records and tells those that ended; for each, whether it goes on."""
        ending: list[tuple[Asked, str]] = []
        for number, epochs in looks:
            asked = self._asked[number]
            asked.looked = epochs
            stopped_earlier = asked.row is not None and asked.row["state"] == "pruned"
            if asked.ended and asked.trial.done <= epochs and not stopped_earlier:
                ending.append((asked, "complete"))
            elif epochs in self.plan.rungs and self._is_stopped(asked, epochs):
                ending.append((asked, "pruned"))
        self._record(ending)
        for asked, state in ending:
            self._tell(asked, state)
            if asked.row is not None:
                self._forget(asked)
            else:  # another process has it, and is about to record it
                asked.stopped, asked.trial.until = True, asked.looked
        over = {asked.trial.number for asked, _ in ending}
        for number, _ in looks:
            if number in self._paused and not self._asked[number].due(self.plan.rungs):
                self._paused.remove(number)
                if not self._asked[number].ended:
                    self._ready.append(number)
        return [number not in over for number, _ in looks]

    def _is_stopped(self, asked: Asked, epochs: int) -> bool:
        """The pruner's verdict after so many epochs; of a recorded trial, what became of it."""
        # Asked for a recorded trial too: a pruner may keep notes in the trials that it judges.
        judged = judge(self._storage.study, asked.id, epochs, asked.best_until(epochs))
        asked.judged.append(judged)
        return judged.stopped if asked.row is None else asked.row["epochs"] == epochs

    def _record(self, ending: Sequence[tuple[Asked, str]]) -> None:
        """Makes records of what ended here and has none, with its state."""
        new = [(asked, state) for asked, state in ending if asked.row is None and asked.mine]
        if not new:
            return
        rows = [asked.make_row(self.plan, state) for asked, state in new]
        curves = [asked.trial.curve() for asked, _ in new]
        for (asked, _), row, known in zip(new, rows, self._storage.publish(rows, curves), strict=True):
            self._tally.train(asked.trial)
            if known.row is row:
                asked.row = row
            else:
                asked.recorded(known)
            self._tally.count(known.row)

    def _tell(self, asked: Asked, state: str) -> None:
        row = asked.row or {"state": state}
        value = float(row["value"]) if row["state"] == "complete" else None
        self._storage.study.tell(asked.trial.number, value, STATES[row["state"]])

    def _forget(self, asked: Asked) -> None:
        """Lets go of a trial that is recorded and told."""
        self._checkpoints.remove(asked.trial.checkpoint)
        self._paused.discard(asked.trial.number)
        del self._asked[asked.trial.number]

    def _report(self) -> None:
        mine = [asked.trial for asked in self._asked.values() if asked.row is None and asked.mine]
        self._on_progress(self._tally.status(mine))
