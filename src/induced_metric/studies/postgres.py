"""The storage of many processes: workers claim trials in PostgreSQL, and lose what they stop to care for.

Training is at least once, recording exactly once. A claim says who trains a trial; heartbeats keep it alive,
and a trial without any is claimed by another worker, which goes on from the newest checkpoint. All of this
only saves work. What makes records right is that the first one of a trial stays (``RecordStore.publish``) and
that whatever is told is read from the records.

Every worker proposes every trial by itself, from the same records in the same order, so the database need
not hold the history: it is made again from the records whenever it lacks them.
"""

import contextlib
import fcntl
import functools
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from induced_metric.errors import UserError
from induced_metric.lanes.engine import Curve
from induced_metric.records import RecordFeed, RecordStore
from induced_metric.studies.compatibility import check_config
from induced_metric.studies.dimensions import frozen, param, proposed
from induced_metric.studies.plan import StudyPlan
from induced_metric.studies.server import Server
from induced_metric.studies.storage import (
    CONFIG,
    STATES,
    Claim,
    News,
    Published,
    agreed,
    new_study,
    published,
)

_CLAIM, _WORKER, _LOST = "claim", "worker", "lost"  # attributes of a trial
_CODE, _RESULTS = "code", "results"  # attributes of a study
_LOOK_SECONDS, _WAITING_SECONDS = 1.0, 0.1  # between two looks, with something to train and without


@dataclass(frozen=True, kw_only=True)
class PostgresStorage:
    """A study of many workers.

    Attributes:
        server: their database.
        lock: a file that keeps away a process that would have the study for itself.
        claims: so many workers may be lost while they train a trial; it is then recorded as failed.
        same_code: whether a worker of another commit is refused.
    """

    server: Server
    lock: Path
    claims: int = 5
    same_code: bool = True

    @contextlib.contextmanager
    def open(self, plan: StudyPlan, records: RecordStore) -> "Iterator[_OpenStudy]":
        """As of ``Storage``."""
        with _shared(self.lock):
            study = _OpenStudy(self, plan, records)
            try:
                yield study
            finally:
                study.release(study.mine)
            study.compact()


class _OpenStudy:
    """As of ``OpenStorage``."""

    shared = True

    def __init__(self, settings: PostgresStorage, plan: StudyPlan, records: RecordStore) -> None:
        self._settings, self._server, self._plan, self._records = settings, settings.server, plan, records
        self._storage = self._server.storage
        self._token = f"{self._server.worker}-{uuid.uuid4().hex[:8]}"
        self._mine: dict[int, int] = {}  # number -> id in the database
        self._free: set[int] = set()
        self._count = 0  # trials in the database
        self._looked = self._reaped = -float("inf")
        self._feed = RecordFeed(records)
        self.study = new_study(plan, optuna.storages.InMemoryStorage())
        self._id = self._exclusively(self._agree)
        agreed(plan, records)
        self._found: list[Published] = []
        self._exclusively(self._catch_up)
        self.rows = {int(row["trial"]): row for row, _ in self._found}
        self.curves = {int(row["trial"]): curve for row, curve in self._found if curve is not None}
        self._known = set(self.rows)

    @property
    def mine(self) -> list[int]:
        """The numbers of the trials that this worker claims."""
        return list(self._mine)

    def begin(self) -> None:
        pass

    def claim(self, number: int, hyperparameters: Mapping[str, Any]) -> Claim | None:
        if number < self._count and number not in self._free:
            return None
        return self._exclusively(lambda: self._claim(number, hyperparameters))

    def report(self, number: int, epochs: int, value: float) -> None:
        if number in self._mine:
            with contextlib.suppress(UpdateFinishedTrialError):
                self._server.call(
                    lambda: self._storage.set_trial_intermediate_value(self._mine[number], epochs, value)
                )

    def publish(self, rows: Sequence[Mapping[str, Any]], curves: Sequence[Curve]) -> Sequence[Published]:
        known = []
        for row, curve in zip(rows, curves, strict=True):
            number = int(row["trial"])
            first = self._records.publish(row, curve)
            known.append(Published(row, curve) if first else self._read(number))
            self._known.add(number)
            identity = self._mine.pop(number, None)
            if identity is not None:
                self._server.rest(identity)
                self._server.call(functools.partial(self._tell, identity, known[-1].row))
        return known

    def look(self, *, waiting: bool) -> News | None:
        now = time.monotonic()
        if now - self._looked < (_WAITING_SECONDS if waiting else _LOOK_SECONDS):
            return None
        news = [
            found
            for found in published(self._feed.news(), curves=bool(self._plan.rungs))
            if int(found.row["trial"]) not in self._known
        ]
        self._known.update(int(found.row["trial"]) for found in news)
        if now - self._reaped > self._server.period:
            self._reaped = now
            self._reap()
        unfinished, self._count = self._server.call(self._unfinished)
        carried = {trial.number: trial for trial in unfinished if trial.state is TrialState.RUNNING}
        held = {number for number in self._mine if _claim_of(carried.get(number)) == self._token}
        lost = self._mine.keys() - held
        for number in lost:
            self._server.rest(self._mine.pop(number))
        self._free = {trial.number for trial in unfinished} - carried.keys()
        elsewhere: dict[int, Mapping[int, float]] = {
            number: {} for number in range(self._count) if number not in self._free and number not in held
        }
        elsewhere |= {n: trial.intermediate_values for n, trial in carried.items() if n not in held}
        self._looked = time.monotonic()
        return News(news, lost, elsewhere)

    def release(self, numbers: Sequence[int]) -> None:
        ours = [(number, self._mine.pop(number)) for number in numbers if number in self._mine]

        def give_back() -> None:
            for _, identity in ours:
                self._server.rest(identity)
                trial = self._storage.get_trial(identity)
                if trial.state is TrialState.RUNNING and _claim_of(trial) == self._token:
                    self._storage.set_trial_state_values(identity, TrialState.WAITING)

        if ours:
            self._exclusively(give_back)

    def compact(self) -> None:
        """Puts the records in order, once there are all."""
        if set(range(self._plan.trials)) <= self._known:
            self._exclusively(self._records.compact)

    def _exclusively(self, work: Any) -> Any:
        return self._server.exclusively(self._plan.name, work)

    def _agree(self) -> int:
        """The study in the database, made if there is none; refuses one that is not this."""
        name, storage, plan = self._plan.name, self._storage, self._plan
        code = {fact: plan.provenance.get(fact) for fact in ("commit", "dirty")}
        said = {
            CONFIG: dict(plan.config),
            _CODE: code,
            _RESULTS: _identity(self._records.directory),
        }
        try:
            identity = storage.get_study_id_from_name(name)
        except KeyError:
            direction = optuna.study.StudyDirection[plan.goal.direction.upper()]
            identity = storage.create_new_study([direction], name)
        known = storage.get_study_user_attrs(identity)
        if known.get(_RESULTS, said[_RESULTS]) != said[_RESULTS]:
            raise UserError(
                f"the database holds {name} with another results directory than {self._records.directory}: "
                "all workers share one; for a study of its own, take another database"
            )
        check_config(name, known.get(CONFIG, said[CONFIG]), plan.config)
        if self._settings.same_code and known.get(_CODE, code) != code:
            raise UserError(
                f"{name} was begun with another code ({_words(known[_CODE])}) than this worker's "
                f"({_words(code)}); use the same, or storage.same_code=false where it does not matter"
            )
        for attribute, value in said.items():
            if attribute not in known:
                storage.set_study_user_attr(identity, attribute, value)
        return identity

    def _catch_up(self) -> None:
        """Tells the database what is recorded, and gives back what this worker left behind."""
        trials = self._storage.get_all_trials(self._id, deepcopy=False)
        # After the database, which is told after the records; kept, should this be done again.
        self._found += published(self._feed.news(), curves=bool(self._plan.rungs))
        rows = {int(record.row["trial"]): record.row for record in self._found}
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
            elif trial.state is TrialState.RUNNING and trial.user_attrs.get(_WORKER) == self._server.worker:
                self._give_up(trial)
        for number in range(len(trials), max(rows, default=-1) + 1):
            self._storage.create_new_trial(self._id, self._template(rows.get(number)))

    def _claim(self, number: int, hyperparameters: Mapping[str, Any]) -> Claim | None:
        storage, space = self._storage, self._plan.search_space
        self._count = self._number_of_trials()
        for missing in range(self._count, number + 1):
            template = frozen(space, hyperparameters if missing == number else None, TrialState.WAITING)
            storage.create_new_trial(self._id, template)
            self._count = missing + 1
        identity = storage.get_trial_id_from_study_id_trial_number(self._id, number)
        trial = storage.get_trial(identity)
        if trial.state is not TrialState.WAITING:
            self._free.discard(number)
            return None
        if self._records.has(number):
            self._tell(identity, self._read(number).row)
            return None
        if not trial.params:  # a place that was kept for it
            for name, distribution in frozen(
                space, hyperparameters, TrialState.WAITING
            ).distributions.items():
                value = distribution.to_internal_repr(param(space, hyperparameters, name))
                storage.set_trial_param(identity, name, value, distribution)
        storage.set_trial_user_attr(identity, _CLAIM, self._token)
        storage.set_trial_user_attr(identity, _WORKER, self._server.worker)
        # The heartbeat comes first: a trial that runs without any would never count as lost.
        self._server.beat(identity)
        storage.set_trial_state_values(identity, TrialState.RUNNING)
        self._mine[number] = identity
        self._free.discard(number)
        lost = int(trial.user_attrs.get(_LOST, 0))
        poisoned = lost >= self._settings.claims
        return Claim(
            {**hyperparameters, **(proposed(space, trial.params) if trial.params else {})},
            name=self._token,
            lost=lost,
            failed=f"{lost} workers were lost while they trained it" if poisoned else None,
        )

    def _number_of_trials(self) -> int:
        # Optuna's own counts what it has loaded: 0.2 s at 500 trials.
        return int(self._server.execute(f"select count(*) from trials where study_id = {self._id}"))

    def _unfinished(self) -> tuple[list[FrozenTrial], int]:
        states = (TrialState.RUNNING, TrialState.WAITING)
        count = self._number_of_trials()  # first: what is made after it is looked up when claimed
        trials = self._storage.get_all_trials(self._id, deepcopy=False, states=states)
        return [trial for trial in trials if trial.number < count], count

    def _reap(self) -> None:
        """Frees the trials of workers that are lost."""

        def free() -> None:
            for identity in self._storage._get_stale_trial_ids(self._id):
                trial = self._storage.get_trial(identity)
                if self._records.has(trial.number):
                    self._tell(identity, self._read(trial.number).row)
                elif trial.state is TrialState.RUNNING:
                    self._give_up(trial)

        if self._server.call(lambda: self._storage._get_stale_trial_ids(self._id)):
            self._exclusively(free)

    def _give_up(self, trial: FrozenTrial) -> None:
        identity = trial._trial_id
        self._storage.set_trial_user_attr(identity, _LOST, int(trial.user_attrs.get(_LOST, 0)) + 1)
        self._storage.set_trial_state_values(identity, TrialState.WAITING)

    def _tell(self, identity: int, row: Mapping[str, Any]) -> None:
        state = STATES[row["state"]]
        value = [float(row["value"])] if state is TrialState.COMPLETE else None
        with contextlib.suppress(UpdateFinishedTrialError):  # another worker has told it
            self._storage.set_trial_state_values(identity, state, value)

    def _template(self, row: Mapping[str, Any] | None) -> FrozenTrial:
        if row is None:
            return frozen(self._plan.search_space, None, TrialState.WAITING)
        return frozen(self._plan.search_space, row, STATES[row["state"]], float(row["value"]))

    def _read(self, number: int) -> Published:
        """A recorded trial."""
        return next(
            found
            for records in (self._records.read_one(number), self._records.read())
            for found in published(records, curves=True)
            if int(found.row["trial"]) == number
        )


def _claim_of(trial: FrozenTrial | None) -> str | None:
    return None if trial is None else trial.user_attrs.get(_CLAIM)


def _identity(directory: Path) -> str:
    """What a results directory is known by, on whatever machine it is seen."""
    path = directory / ".identity"
    directory.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError), path.open("x") as file:
        file.write(uuid.uuid4().hex)
    return path.read_text()


def _words(code: Mapping[str, Any]) -> str:
    commit = str(code.get("commit") or "no commit")[:12]
    return f"{commit}, with changes" if code.get("dirty") else commit


@contextlib.contextmanager
def _shared(path: Path) -> Iterator[None]:
    """Holds a study for workers, among which this process; not while one process has it for itself."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"a process with storage=journal is running the study of {path}") from None
        yield
