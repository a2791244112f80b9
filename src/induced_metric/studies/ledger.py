"""Which worker trains which trial of a study, and which trials are told, as kept in PostgreSQL (``tables``).

Every method of a ``Ledger`` may be called again after it failed half-way; ``Server`` does so while the
database does not answer.
"""

import math
import uuid
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from optuna.trial import FrozenTrial, TrialState

from induced_metric.errors import UserError
from induced_metric.studies.plan import StudyPlan
from induced_metric.studies.server import Server
from induced_metric.studies.storage import Claim
from induced_metric.studies.tables import CLAIM, GIVEN, LOST, TOKEN, WORKER, TrialsTable, agree, claim_of

Row = Mapping[str, Any]
T = TypeVar("T")


class Ledger:
    """The trials of one study in the database, as one worker sees and claims them.

    Args:
        server: the database.
        plan: the plan of the study.
        results: identity of the results directory (``shared_files.identity_of``).
        claims: a trial is to be recorded as failed once this many workers were lost while they trained it.
        same_code: whether a worker that runs another commit is refused.

    Attributes:
        mine: ids in the database of the trials that this worker claims, by number.
        count: number of trials in the database when it was last asked.
        free: numbers of the trials that nobody claims.

    Raises:
        UserError: if the study has another configuration, code (if ``same_code``), program or results
            directory.
    """

    def __init__(
        self, server: Server, plan: StudyPlan, results: str, *, claims: int, same_code: bool
    ) -> None:
        self._server, self._plan, self._claims = server, plan, claims
        self._storage = server.storage
        self._token = f"{server.worker}-{uuid.uuid4().hex[:8]}"
        self.mine: dict[int, int] = {}
        self._reported: dict[int, dict[int, float]] = {}  # by number, since this worker claimed it
        self.free: set[int] = set()
        self.count = 0
        self._id: int = self.alone(lambda: agree(server, plan, results, same_code=same_code))
        self._trials = TrialsTable(server, self._id)

    def catch_up(self, recorded: Callable[[], Mapping[int, Row]]) -> None:
        """Tells the database what is recorded, and frees trials that an earlier worker of this name claimed.

        Args:
            recorded: returns the records by number; called only after the database is read, because each
                trial is recorded before the database is told.

        Raises:
            UserError: if the database holds finished trials whose records are gone.
        """
        self.alone(lambda: self._catch_up(recorded))

    def claim(
        self,
        number: int,
        hyperparameters: Mapping[str, Any],
        recorded: Callable[[int], Row | None],
        *,
        suspects: bool,
    ) -> Claim | None:
        """Claims a trial; None if another worker has it, it is recorded, or it is suspect and not wanted."""
        if number < self.count and number not in self.free:
            return None
        return self.alone(lambda: self._claim(number, hyperparameters, recorded, suspects))

    def report(self, number: int, epochs: int, value: float) -> None:
        """Reports the value that a trial of this worker is judged by after ``epochs`` epochs."""
        if number in self.mine:
            self._reported[number][epochs] = value
            self._say(number, epochs, value)

    def tell(self, number: int, row: Row) -> None:
        """Marks a trial of this worker as finished, in the database, as it is recorded."""

        def tell() -> None:
            identity = self._trials.identity_of(number)
            if identity is not None:
                self._trials.tell(identity, row)

        if number in self.mine:
            self._server.rest(self.mine[number])
            self._server.call(tell)
            del self.mine[number]  # last, for the reason that ``_claim`` sets it first

    def look(self) -> tuple[set[int], dict[int, Mapping[int, float]]]:
        """The trials that this worker has lost, and the reported values of those that others have or told."""
        self.free, held = self._server.call(self._unfinished)
        lost = self.mine.keys() - held
        for number in lost:
            self._server.rest(self.mine.pop(number))
        elsewhere: dict[int, Mapping[int, float]] = {
            number: {} for number in range(self.count) if number not in self.free and number not in held
        }
        if self._plan.rungs:
            for trial in self._server.call(self._trials.running):
                reported = trial.intermediate_values
                if trial.number in elsewhere:
                    # Only up to the first value that a crash lost: its worker will report it again.
                    until = min(set(self._plan.rungs) - reported.keys(), default=math.inf)
                    elsewhere[trial.number] = {rung: reported[rung] for rung in reported if rung < until}
                elif trial.number in self.mine:
                    self._say_again(trial.number, reported)
        return lost, elsewhere

    def reap(self, recorded: Callable[[int], Row | None]) -> None:
        """Frees the trials of lost workers, once the server has answered long enough for heartbeats."""

        def free() -> None:
            # Checked in the session that frees them, because it may be the first since the server was away.
            if not self._server.steady:
                return
            for identity in self._trials.stale():
                trial = self._storage.get_trial(identity)
                row = recorded(trial.number)
                if row is not None:
                    self._trials.tell(identity, row)
                elif trial.state is TrialState.RUNNING:
                    self._trials.give_up(trial)

        if self._server.call(self._trials.stale):
            self.alone(free)

    def release(self, numbers: list[int]) -> None:
        """Gives back trials of this worker, so that any worker may claim them."""
        held = [number for number in numbers if number in self.mine]
        for number in held:
            self._server.rest(self.mine.pop(number))

        def give_back() -> None:
            for number in held:
                identity = self._trials.identity_of(number)
                if identity is not None and self._holds(self._storage.get_trial(identity)):
                    self._storage.set_trial_state_values(identity, TrialState.WAITING)

        if held:
            self.alone(give_back)

    def forget(self) -> bool:
        """Removes the study from the database, to be rebuilt from the records, unless others work on it.

        Returns:
            Whether it was removed. If not, another worker has a trial under way, or was lost a moment ago.
        """

        def remove() -> bool:
            storage = self._storage
            if self._plan.name not in {study.study_name for study in storage.get_all_studies()}:
                return True  # removed already, but the answer was lost with its connection
            stale, worker = set(self._trials.stale()), self._server.worker
            others = [trial for trial in self._trials.running() if claim_of(trial)[WORKER] != worker]
            if any(trial._trial_id not in stale for trial in others):
                return False
            storage.delete_study(self._id)
            self._server.sync()
            return True

        return self.alone(remove)

    def alone(self, work: Callable[[], T]) -> T:
        """Does work that only one worker may do at a time."""
        return self._server.exclusively(self._plan.name, work)

    def _catch_up(self, recorded: Callable[[], Mapping[int, Row]]) -> None:
        trials = self._storage.get_all_trials(self._id, deepcopy=False)
        rows = recorded()
        finished = [trial.number for trial in trials if trial.state.is_finished()]
        if lost := [number for number in finished if number not in rows]:
            raise UserError(
                f"the database holds {len(lost)} finished trials of {self._plan.name} (first: {lost[0]}) "
                "whose records are gone; restore the records, or use another database"
            )
        for trial in trials:
            if trial.state.is_finished():
                continue
            if trial.number in rows:
                self._trials.tell(trial._trial_id, rows[trial.number])
            elif trial.state is TrialState.RUNNING and claim_of(trial)[WORKER] == self._server.worker:
                self._trials.give_up(trial)
        for number in range(len(trials), max(rows, default=-1) + 1):
            self._trials.add(rows.get(number))

    def _claim(
        self,
        number: int,
        hyperparameters: Mapping[str, Any],
        recorded: Callable[[int], Row | None],
        suspects: bool,
    ) -> Claim | None:
        storage = self._storage
        claim = {TOKEN: self._token, WORKER: self._server.worker}
        lost = 0
        self.count = self._trials.count()
        if number >= self.count:
            for _ in range(self.count, number):
                self._trials.add()  # an entry for a trial that is claimed later
            identity = self._trials.add(**{GIVEN: dict(hyperparameters), CLAIM: claim})
            self.count = number + 1
        else:
            identity = storage.get_trial_id_from_study_id_trial_number(self._id, number)
            trial = storage.get_trial(identity)
            row = recorded(number)
            # A trial that this worker holds already was claimed on a connection that failed before answering.
            if row is not None or not (trial.state is TrialState.WAITING or self._holds(trial)):
                self._server.rest(identity)
                self.mine.pop(number, None)
                self.free.discard(number)
                if row is not None:
                    self._trials.tell(identity, row)
                return None
            lost = trial.user_attrs.get(LOST, 0)
            if self._suspect(lost) and not suspects:
                return None
            hyperparameters = self._trials.sign(trial, claim, hyperparameters)
        self._reported[number] = {}
        self.mine[number] = identity  # first, so that an orderly end of this worker gives it back
        # The heartbeat comes before the state: a running trial without a heartbeat would never count as lost.
        self._server.beat(identity)
        storage.set_trial_state_values(identity, TrialState.RUNNING)
        self.free.discard(number)
        failed = f"{lost} workers were lost while they trained it" if lost >= self._claims else None
        suspect = self._suspect(lost)
        return Claim(hyperparameters, name=self._token, lost=lost, suspect=suspect, failed=failed)

    def _say(self, number: int, epochs: int, value: float) -> None:
        def say() -> None:
            identity = self._trials.identity_of(number)
            if identity is not None:
                self._trials.report(identity, epochs, value)

        self._server.call(say)

    def _say_again(self, number: int, said: Mapping[int, float]) -> None:
        """Reports again what a crash lost: others may wait for it, and this worker for them."""
        for epochs, value in self._reported[number].items():
            if epochs not in said:
                self._say(number, epochs, value)

    def _suspect(self, lost: int) -> bool:
        return max(1, self._claims // 2) <= lost < self._claims

    def _holds(self, trial: FrozenTrial) -> bool:
        """Whether a trial is running under this worker's claim."""
        return trial.state is TrialState.RUNNING and claim_of(trial)[TOKEN] == self._token

    def _unfinished(self) -> tuple[set[int], set[int]]:
        """The numbers of the trials that nobody has, and of those that this worker has."""
        self.count = self._trials.count()  # first: later trials are looked up when they are claimed
        free, claims = self._trials.unfinished(self.count, self.mine)
        held = {number for number, claim in claims.items() if claim[TOKEN] == self._token}
        return free, held - free
