"""What PostgreSQL knows of a study: who trains which trial, and which are told.

Every method of a ``Ledger`` may be called again after it failed half-way; ``Server`` does so while the
database does not answer.
"""

import contextlib
import json
import math
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from induced_metric.errors import UserError
from induced_metric.studies.compatibility import check_config
from induced_metric.studies.plan import StudyPlan
from induced_metric.studies.server import Server
from induced_metric.studies.storage import CONFIG, STATES, Claim
from induced_metric.studies.watching import TRIALS

_GIVEN, _CLAIM, _LOST = "hyperparameters", "claim", "lost"  # attributes of a trial
_TOKEN, _WORKER = "token", "worker"  # of a claim
_CODE, _RESULTS = "code", "results"  # attributes of a study
Row = Mapping[str, Any]


class Ledger:
    """The trials of one study in the database, as one worker sees and claims them.

    Args:
        server: the database.
        plan: of the study.
        results: what the results directory is known by.
        claims: so many workers may be lost while they train a trial; it is then to be recorded as failed.
        same_code: whether a worker of another commit is refused.

    Attributes:
        mine: ids in the database of the trials that this worker claims, by number.
        count: trials in the database when it was last asked.
        free: numbers of those that nobody claims.

    Raises:
        UserError: if the study was begun with another configuration, another code where that matters, or
            another results directory.
    """

    def __init__(
        self, server: Server, plan: StudyPlan, results: str, *, claims: int, same_code: bool
    ) -> None:
        self._server, self._plan, self._claims = server, plan, claims
        self._storage = server.storage
        self._token = f"{server.worker}-{uuid.uuid4().hex[:8]}"
        self.mine: dict[int, int] = {}
        self._reported: dict[int, dict[int, float]] = {}  # by number, since this worker has the trial
        self.free: set[int] = set()
        self.count = 0
        self._id: int = self._exclusively(lambda: self._agree(results, same_code))

    def catch_up(self, recorded: Callable[[], Mapping[int, Row]]) -> None:
        """Tells the database what is recorded, and gives back what this worker left behind.

        Args:
            recorded: the records by number; asked after the database, which is told after the records.

        Raises:
            UserError: if trials are told whose records are gone.
        """
        self._exclusively(lambda: self._catch_up(recorded))

    def claim(
        self,
        number: int,
        hyperparameters: Mapping[str, Any],
        recorded: Callable[[int], Row | None],
        *,
        suspects: bool = True,
    ) -> Claim | None:
        """Takes a trial for this worker; None if it is another's or recorded, or suspect and not wanted."""
        if number < self.count and number not in self.free:
            return None
        return self._exclusively(lambda: self._claim(number, hyperparameters, recorded, suspects))

    def report(self, number: int, epochs: int, value: float) -> None:
        """Says what a trial of this worker is judged by after so many epochs."""
        if number in self.mine:
            self._reported[number][epochs] = value
            self._say(number, epochs, value)

    def tell(self, number: int, row: Row) -> None:
        """Ends a trial of this worker as it is recorded."""

        def tell() -> None:
            identity = self._identity_of(number)
            if identity is not None:
                self._tell(identity, row)

        if number in self.mine:
            self._server.rest(self.mine[number])
            self._server.call(tell)
            del self.mine[number]  # last, as in ``_claim``

    def look(self) -> tuple[set[int], dict[int, Mapping[int, float]]]:
        """Which trials this worker has lost, and what others have under way or told, by number."""
        self.free, held = self._server.call(self._unfinished)
        lost = self.mine.keys() - held
        for number in lost:
            self._server.rest(self.mine.pop(number))
        elsewhere: dict[int, Mapping[int, float]] = {
            number: {} for number in range(self.count) if number not in self.free and number not in held
        }
        if self._plan.rungs:
            for trial in self._server.call(self._running):
                said = trial.intermediate_values
                if trial.number in elsewhere:
                    # Up to one that a crash has forgotten: whoever said it says it again.
                    until = min(set(self._plan.rungs) - said.keys(), default=math.inf)
                    elsewhere[trial.number] = {rung: said[rung] for rung in said if rung < until}
                elif trial.number in self.mine:
                    self._say_again(trial.number, said)
        return lost, elsewhere

    def reap(self, recorded: Callable[[int], Row | None]) -> None:
        """Frees the trials of workers that are lost, unless nobody has had time for a heartbeat."""

        def free() -> None:
            # Asked here, in the session that frees them: it may be the first since the server was away.
            if not self._server.steady:
                return
            for identity in self._storage._get_stale_trial_ids(self._id):
                trial = self._storage.get_trial(identity)
                row = recorded(trial.number)
                if row is not None:
                    self._tell(identity, row)
                elif trial.state is TrialState.RUNNING:
                    self._give_up(trial)

        if self._server.call(lambda: self._storage._get_stale_trial_ids(self._id)):
            self._exclusively(free)

    def release(self, numbers: list[int]) -> None:
        """Gives trials of this worker back."""
        ours = [number for number in numbers if number in self.mine]
        for number in ours:
            self._server.rest(self.mine.pop(number))

        def give_back() -> None:
            for number in ours:
                identity = self._identity_of(number)
                if identity is not None and self._holds(self._storage.get_trial(identity)):
                    self._storage.set_trial_state_values(identity, TrialState.WAITING)

        if ours:
            self._exclusively(give_back)

    def forget(self) -> bool:
        """Removes the study from the database, to be made again from the records; not while it is worked on.

        Returns:
            Whether it is removed. If not, another worker has a trial under way, or was lost a moment ago.
        """
        return bool(self._exclusively(self._forget))

    def alone(self, work: Callable[[], None]) -> None:
        """Does what only one worker may do at a time."""
        self._exclusively(work)

    def _exclusively(self, work: Callable[[], Any]) -> Any:
        return self._server.exclusively(self._plan.name, work)

    def _agree(self, results: str, same_code: bool) -> int:
        """The study in the database, made if there is none; refuses one that is not this."""
        name, storage, plan = self._plan.name, self._storage, self._plan
        code = {fact: plan.provenance.get(fact) for fact in ("commit", "dirty")}
        said = {CONFIG: dict(plan.config), _CODE: code, _RESULTS: results}
        try:
            identity = storage.get_study_id_from_name(name)
        except KeyError:
            direction = optuna.study.StudyDirection[plan.goal.direction.upper()]
            identity = storage.create_new_study([direction], name)
        known = storage.get_study_user_attrs(identity)
        if known.get(_RESULTS, results) != results:
            raise UserError(
                f"the database holds {name} with another results directory: all workers share one; for a "
                "study of its own, take another database"
            )
        check_config(name, known.get(CONFIG, said[CONFIG]), plan.config)
        if same_code and known.get(_CODE, code) != code:
            raise UserError(
                f"{name} was begun with another code ({_words(known[_CODE])}) than this worker's "
                f"({_words(code)}); use the same, or storage.same_code=false where it does not matter"
            )
        for attribute, value in said.items():
            if attribute not in known:
                storage.set_study_user_attr(identity, attribute, value)
        if known.get(TRIALS) != plan.trials:
            storage.set_study_user_attr(identity, TRIALS, plan.trials)
        self._server.sync()
        return identity

    def _forget(self) -> bool:
        storage = self._storage
        if self._plan.name not in {study.study_name for study in storage.get_all_studies()}:
            return True  # by a connection that failed with the answer
        stale = set(storage._get_stale_trial_ids(self._id))
        running = storage.get_all_trials(self._id, deepcopy=False, states=(TrialState.RUNNING,))
        others = [trial for trial in running if _claim_of(trial)[_WORKER] != self._server.worker]
        if any(trial._trial_id not in stale for trial in others):
            return False
        storage.delete_study(self._id)
        self._server.sync()
        return True

    def _catch_up(self, recorded: Callable[[], Mapping[int, Row]]) -> None:
        trials = self._storage.get_all_trials(self._id, deepcopy=False)
        rows = recorded()
        told = [trial.number for trial in trials if trial.state.is_finished()]
        if lost := [number for number in told if number not in rows]:
            raise UserError(
                f"the database holds {len(lost)} finished trials of {self._plan.name} (first: {lost[0]}) "
                "whose records are gone; restore the records, or take another database"
            )
        for trial in trials:
            if trial.state.is_finished():
                continue
            if trial.number in rows:
                self._tell(trial._trial_id, rows[trial.number])
            elif trial.state is TrialState.RUNNING and _claim_of(trial)[_WORKER] == self._server.worker:
                self._give_up(trial)
        for number in range(len(trials), max(rows, default=-1) + 1):
            row = rows.get(number)
            self._storage.create_new_trial(self._id, _bare() if row is None else _told(row))

    def _claim(
        self,
        number: int,
        hyperparameters: Mapping[str, Any],
        recorded: Callable[[int], Row | None],
        suspects: bool,
    ) -> Claim | None:
        storage = self._storage
        claim = {_TOKEN: self._token, _WORKER: self._server.worker}
        lost = 0
        self.count = self._number_of_trials()
        if number >= self.count:
            for _ in range(self.count, number):
                storage.create_new_trial(self._id, _bare())  # a place for one that is claimed later
            identity = storage.create_new_trial(
                self._id, _bare(**{_GIVEN: dict(hyperparameters), _CLAIM: claim})
            )
            self.count = number + 1
        else:
            identity = storage.get_trial_id_from_study_id_trial_number(self._id, number)
            trial = storage.get_trial(identity)
            row = recorded(number)
            # What it holds already it claimed before, by a connection that failed with the answer.
            if row is not None or not (trial.state is TrialState.WAITING or self._holds(trial)):
                self._server.rest(identity)
                self.mine.pop(number, None)
                self.free.discard(number)
                if row is not None:
                    self._tell(identity, row)
                return None
            lost = trial.user_attrs.get(_LOST, 0)
            if self._suspect(lost) and not suspects:
                return None
            if _GIVEN in trial.user_attrs:
                hyperparameters = trial.user_attrs[_GIVEN]
            else:
                storage.set_trial_user_attr(identity, _GIVEN, dict(hyperparameters))
            storage.set_trial_user_attr(identity, _CLAIM, claim)
        self._reported[number] = {}
        self.mine[number] = identity  # first, so that whatever ends this worker in order gives it back
        # The heartbeat comes before the state: a trial that runs without any would never count as lost.
        self._server.beat(identity)
        storage.set_trial_state_values(identity, TrialState.RUNNING)
        self.free.discard(number)
        poisoned = lost >= self._claims
        return Claim(
            hyperparameters,
            name=self._token,
            lost=lost,
            suspect=self._suspect(lost),
            failed=f"{lost} workers were lost while they trained it" if poisoned else None,
        )

    def _say(self, number: int, epochs: int, value: float) -> None:
        def say() -> None:
            identity = self._identity_of(number)
            if identity is not None:
                # It may be finished: it was lost, and another worker has told it.
                with contextlib.suppress(UpdateFinishedTrialError):
                    self._storage.set_trial_intermediate_value(identity, epochs, value)

        self._server.call(say)

    def _say_again(self, number: int, said: Mapping[int, float]) -> None:
        """Reports what a crash has forgotten: others may wait for it, and this worker for them."""
        for epochs, value in self._reported[number].items():
            if epochs not in said:
                self._say(number, epochs, value)

    def _suspect(self, lost: int) -> bool:
        return max(1, self._claims // 2) <= lost < self._claims

    def _holds(self, trial: FrozenTrial) -> bool:
        """Whether a trial runs, by this worker's claim."""
        return trial.state is TrialState.RUNNING and _claim_of(trial)[_TOKEN] == self._token

    def _identity_of(self, number: int) -> int | None:
        """The id of a trial in the database; None where that has forgotten it.

        A server that crashes forgets what it was told last, and gives those ids to other trials.
        """
        with contextlib.suppress(KeyError):
            return self._storage.get_trial_id_from_study_id_trial_number(self._id, number)
        return None

    def _number_of_trials(self) -> int:
        # Optuna's own counts what it has loaded: 0.2 s at 500 trials.
        return int(self._server.execute(f"select count(*) from trials where study_id = {self._id}"))

    def _unfinished(self) -> tuple[set[int], set[int]]:
        """The numbers of the trials that nobody has, and of those that this worker has."""
        self.count = self._number_of_trials()  # first: what is made after it is looked up when claimed
        # Optuna's own loads all there is to each of them: 0.2 s at 1000 trials.
        unfinished = self._server.rows(
            "select number, state, case when number = any(:mine) then (select value_json from "
            "trial_user_attributes a where a.trial_id = t.trial_id and key = :claim) end from trials t "
            "where study_id = :study and state in ('RUNNING', 'WAITING') and number < :count",
            mine=list(self.mine), claim=_CLAIM, study=self._id, count=self.count,
        )  # fmt: skip
        free = {number for number, state, _ in unfinished if state == "WAITING"}
        claims = {number: json.loads(claim) for number, _, claim in unfinished if claim is not None}
        held = {number for number, claim in claims.items() if claim[_TOKEN] == self._token}
        return free, held - free

    def _running(self) -> list[FrozenTrial]:
        return self._storage.get_all_trials(self._id, deepcopy=False, states=(TrialState.RUNNING,))

    def _give_up(self, trial: FrozenTrial) -> None:
        identity = trial._trial_id
        self._storage.set_trial_user_attr(identity, _LOST, int(trial.user_attrs.get(_LOST, 0)) + 1)
        self._storage.set_trial_state_values(identity, TrialState.WAITING)

    def _tell(self, identity: int, row: Mapping[str, Any]) -> None:
        state = STATES[row["state"]]
        value = [float(row["value"])] if state is TrialState.COMPLETE else None
        with contextlib.suppress(UpdateFinishedTrialError):  # another worker has told it
            self._storage.set_trial_state_values(identity, state, value)


def _claim_of(trial: FrozenTrial) -> Mapping[str, str]:
    """The claim on a trial that runs."""
    return trial.user_attrs[_CLAIM]


def _bare(**attributes: Any) -> FrozenTrial:
    """A trial to be claimed; its hyperparameters are an attribute: parameters of Optuna's cost most."""
    return optuna.trial.create_trial(state=TrialState.WAITING, user_attrs=attributes)


def _told(row: Mapping[str, Any]) -> FrozenTrial:
    """A recorded trial."""
    state = STATES[row["state"]]
    value = float(row["value"]) if state is TrialState.COMPLETE else None
    return optuna.trial.create_trial(state=state, value=value)


def _words(code: Mapping[str, Any]) -> str:
    commit = str(code.get("commit") or "no commit")[:12]
    return f"{commit}, with changes" if code.get("dirty") else commit
