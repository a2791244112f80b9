"""The trials of a study that are in flight, that is, proposed but not yet told to Optuna.

They are judged, recorded and told in a fixed order.
"""

from collections import deque
from collections.abc import Sequence

from induced_metric.studies.asked import Asked
from induced_metric.studies.judgement import judge
from induced_metric.studies.plan import StudyPlan
from induced_metric.studies.proposals import Proposals
from induced_metric.studies.schedule import Look, Schedule
from induced_metric.studies.storage import STATES, News, OpenStorage, Published
from induced_metric.studies.tally import Tally
from induced_metric.training.checkpoints import Checkpoints


class InFlight:
    """The trials in flight of one study.

    Starts from the recorded trials. Where the study has a schedule, it at once tells Optuna every value that
    needs no training.

    Args:
        plan: the plan of the study.
        storage: the open storage of the study.
        checkpoints: the checkpoints of trials under way.

    Attributes:
        asked: the trials in flight, by number.
        ready: numbers of the trials that a lane may train.
        paused: numbers of the trials that wait at a rung until they are judged.
        tally: counts of the recorded trials.
    """

    def __init__(self, plan: StudyPlan, storage: OpenStorage, checkpoints: Checkpoints) -> None:
        self._plan, self._storage, self._checkpoints = plan, storage, checkpoints
        self.tally = Tally(plan)
        recorded = {
            number: Published(row, storage.curves.get(number)) for number, row in storage.rows.items()
        }
        for number, published in recorded.items():
            if number < plan.trials:
                self.tally.count(published.row)
        self._proposals = Proposals(plan, storage.study, recorded)
        self.asked: dict[int, Asked] = {}
        self.ready: deque[int] = deque()
        self.paused: set[int] = set()
        self._schedule: Schedule | None = None
        if plan.in_flight is not None:
            self._schedule = Schedule(
                in_flight=plan.in_flight,
                stride=plan.stride,
                epochs=plan.goal.epochs,
                ask=self._next,
                done=lambda number, epochs: self.asked[number].has_done(epochs),
                serve=self._serve,
            )
            self._schedule.advance()

    @property
    def over(self) -> bool:
        """Whether all trials of the study are recorded and told."""
        return self._proposals.exhausted and not self.asked

    @property
    def mine(self) -> list[Asked]:
        """The trials that this process has and that are not recorded."""
        return [asked for asked in self.asked.values() if asked.mine and asked.row is None]

    def take(self) -> Asked | None:
        """A trial that a lane may train; without a schedule, a new one is proposed if none is ready."""
        while self.ready or self._schedule is None:
            if not self.ready:
                number = self._next()
                if number is None:
                    return None
                if self.asked[number].ended:
                    self.advance([self.asked[number]])
                continue
            asked = self.asked.get(self.ready.popleft())
            if asked is not None:
                return asked
        return None

    def hear(self, news: News) -> None:
        """Takes in the news of what other processes did."""
        ended = []
        for published in news.published:
            number = int(published.row["trial"])
            asked = self.asked.get(number)
            if asked is not None and asked.row is None:
                asked.recorded(published)
                ended.append(asked)
            elif asked is not None or not self._proposals.add(published):
                continue
            self.tally.count(published.row)
        for number in news.lost & self.asked.keys():
            if self.asked[number].row is None:
                self.asked[number].lose()
                self.paused.discard(number)
        for number, asked in self.asked.items():
            if asked.mine or asked.row is not None:
                continue
            if number in news.elsewhere:
                asked.reported = news.elsewhere[number]
            elif number not in self.ready:
                self.ready.append(number)
        self.advance(ended)

    def advance(self, ended: Sequence[Asked]) -> None:
        """Records trials that ended in this process, and serves those whose turn has come."""
        # The outcome of a trial that no rung can stop any more is final. It is recorded now, so that it is
        # not lost while the trial waits for its turn.
        self._record([(asked, "complete") for asked in ended if not asked.due(self._plan.rungs)])
        for asked in ended:
            if asked.stopped and asked.row is not None:
                self._forget(asked)
        if self._schedule is None:
            self._serve([Look(asked.trial.number, self._plan.goal.epochs) for asked in ended])
        else:
            self._schedule.advance()

    def _next(self) -> int | None:
        """The number of the next trial, proposed now or recorded earlier; None once there are enough."""
        asked = self._proposals.next()
        if asked is None:
            return None
        number = asked.trial.number
        self.asked[number] = asked
        if asked.row is None:
            self.ready.append(number)
        elif asked.due(self._plan.rungs):
            self.paused.add(number)
        return number

    def _serve(self, looks: Sequence[Look]) -> list[bool]:
        """Judges trials, and records and tells those that ended; returns for each whether it goes on."""
        ending: list[tuple[Asked, str]] = []
        for number, epochs in looks:
            asked = self.asked[number]
            asked.looked = epochs
            stopped_earlier = asked.row is not None and asked.row["state"] == "pruned"
            if asked.ended and asked.trial.done <= epochs and not stopped_earlier:
                ending.append((asked, "complete"))
            elif epochs in self._plan.rungs and self._is_stopped(asked, epochs):
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
            if number in self.paused and not self.asked[number].due(self._plan.rungs):
                self.paused.remove(number)
                if not self.asked[number].ended:
                    self.ready.append(number)
        return [number not in over for number, _ in looks]

    def _is_stopped(self, asked: Asked, epochs: int) -> bool:
        """Whether the pruner stops a trial after ``epochs`` epochs; for a recorded one, whether it did."""
        # The pruner judges a recorded trial too: it may store attributes in the trials that it judges.
        judged = judge(self._storage.study, asked.id, epochs, asked.best_until(epochs))
        asked.judged.append(judged)
        return judged.stopped if asked.row is None else asked.row["epochs"] == epochs

    def _record(self, ending: Sequence[tuple[Asked, str]]) -> None:
        """Records those trials of this process that have no record yet, each with its state."""
        new = [(asked, state) for asked, state in ending if asked.row is None and asked.mine]
        if not new:
            return
        rows = [asked.make_row(self._plan, state) for asked, state in new]
        curves = [asked.trial.curve() for asked, _ in new]
        for (asked, _), row, published in zip(new, rows, self._storage.publish(rows, curves), strict=True):
            self.tally.train(asked.trial)
            if published.row is row:
                asked.row = row
            else:
                asked.recorded(published)
            self.tally.count(published.row)

    def _tell(self, asked: Asked, state: str) -> None:
        row = asked.row or {"state": state}
        value = float(row["value"]) if row["state"] == "complete" else None
        self._storage.study.tell(asked.trial.number, value, STATES[row["state"]])

    def _forget(self, asked: Asked) -> None:
        """Drops a trial that is recorded and told, and removes its checkpoint."""
        self._checkpoints.remove(asked.trial.checkpoint)
        self.paused.discard(asked.trial.number)
        del self.asked[asked.trial.number]
