"""The storage of many processes: workers claim trials in PostgreSQL, and keep them alive by heartbeats.

A trial is trained at least once and recorded exactly once. A claim says which worker trains a trial. A trial
without heartbeats is claimed by another worker, which goes on from the newest checkpoint. All of this only
saves work. The records are right because the first record of a trial stays (``RecordStore.publish``) and
because whatever is told is read from the records.

Every worker proposes every trial by itself, from the same records in the same order, so the database need
not hold the history: whatever it lacks is restored from the records.
"""

import contextlib
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import optuna

from induced_metric.lanes.engine import Curve
from induced_metric.records import RecordFeed, RecordStore
from induced_metric.studies.ledger import Ledger
from induced_metric.studies.plan import StudyPlan
from induced_metric.studies.server import Server
from induced_metric.studies.shared_files import identity_of, shared, sole, worked_on
from induced_metric.studies.storage import (
    Claim,
    News,
    Published,
    agreed,
    compact,
    failed_trials,
    new_study,
    published,
)

_LOOK_SECONDS, _WAITING_SECONDS = 1.0, 0.1  # between two looks, with something to train and without


@dataclass(frozen=True, kw_only=True)
class PostgresStorage:
    """The storage of a study that many workers share.

    Attributes:
        server: their database.
        lock: a lock file that keeps out a process that wants the study for itself.
        claims: a trial is recorded as failed once this many workers were lost while they trained it. From
            half as many on, a worker trains only one such trial at a time, so that no other one can be the
            reason if that worker is lost, too.
        same_code: whether a worker that runs another commit is refused.
        retry: whether failed trials are removed from the records, so that they run again. This is done only
            if no other worker has the study open.
    """

    server: Server
    lock: Path
    claims: int
    same_code: bool
    retry: bool = False

    @contextlib.contextmanager
    def open(self, plan: StudyPlan, records: RecordStore) -> "Iterator[_OpenStudy]":
        """See ``Storage``."""
        with shared(self.lock), self._working(plan, records):
            study = _OpenStudy(self, plan, records)
            try:
                yield study
            finally:
                study.close()
            study.compact()

    def ledger(self, plan: StudyPlan, records: RecordStore) -> Ledger:
        """The ledger of a study in the database."""
        results = identity_of(records.directory)
        return Ledger(self.server, plan, results, claims=self.claims, same_code=self.same_code)

    @contextlib.contextmanager
    def _working(self, plan: StudyPlan, records: RecordStore) -> Iterator[None]:
        """Holds the study open, so that nobody removes its trials; ``retry`` removes failed ones first."""

        def take_out() -> None:
            failed = failed_trials(plan, records)
            # The database first: whatever it lacks is restored from the records.
            if failed and self.ledger(plan, records).forget():
                records.remove(failed)

        with worked_on(self.lock.with_suffix(".workers"), take_out if self.retry else lambda: None):
            if self.retry and (remaining := failed_trials(plan, records)):
                warnings.warn(
                    f"{len(remaining)} failed trials of {plan.name} are not run again, because other workers "
                    "are working on the study; set retry=failed again when they have stopped",
                    stacklevel=2,
                )
            yield


class _OpenStudy:
    """See ``OpenStorage``."""

    shared = True

    def __init__(self, settings: PostgresStorage, plan: StudyPlan, records: RecordStore) -> None:
        self._plan, self._records, self._server = plan, records, settings.server
        self._lock = settings.lock
        self._looked = self._reaped = -float("inf")
        self._feed = RecordFeed(records)
        self.study = new_study(plan, optuna.storages.InMemoryStorage())
        agreed(plan, records)
        self._ledger = settings.ledger(plan, records)
        self.rows: dict[int, Mapping[str, Any]] = {}
        self.curves: dict[int, Curve] = {}
        self._ledger.catch_up(self._read_all)
        self._known = set(self.rows)

    def begin(self) -> None:
        pass

    def claim(self, number: int, hyperparameters: Mapping[str, Any], *, suspects: bool) -> Claim | None:
        return self._ledger.claim(number, hyperparameters, self._row, suspects=suspects)

    def report(self, number: int, epochs: int, value: float) -> None:
        self._ledger.report(number, epochs, value)

    def publish(self, rows: Sequence[Mapping[str, Any]], curves: Sequence[Curve]) -> Sequence[Published]:
        outcomes = []
        for row, curve in zip(rows, curves, strict=True):
            number = int(row["trial"])
            first = self._records.publish(row, curve)
            outcomes.append(Published(row, curve) if first else self._read(number))
            self._known.add(number)
            self._feed.skip(outcomes[-1].row)
            self._ledger.tell(number, outcomes[-1].row)
        return outcomes

    def look(self, *, waiting: bool) -> News | None:
        now = time.monotonic()
        if now - self._looked < (_WAITING_SECONDS if waiting else _LOOK_SECONDS):
            return None
        news = [trial for trial in self._news() if int(trial.row["trial"]) not in self._known]
        self._known.update(int(trial.row["trial"]) for trial in news)
        if now - self._reaped > self._server.period:
            self._reaped = now
            self._ledger.reap(self._row)
        lost, elsewhere = self._ledger.look()
        self._looked = time.monotonic()
        return News(news, lost, elsewhere)

    def close(self) -> None:
        """Gives back the trials that are not recorded, so that any worker may claim them."""
        self._ledger.release(list(self._ledger.mine))

    def compact(self) -> None:
        """Compacts the records once all trials are recorded."""
        if set(range(self._plan.trials)) <= self._known:
            # Two locks: a worker that is stopped loses the one of its session, but goes on when it wakes.
            with sole(self._lock.with_suffix(".compacting")) as acquired:
                if acquired:
                    self._ledger.alone(lambda: compact(self._plan, self._records))

    def _news(self) -> list[Published]:
        return published(self._feed.news(), curves=bool(self._plan.rungs))

    def _read_all(self) -> Mapping[int, Mapping[str, Any]]:
        for row, curve in self._news():
            self.rows[int(row["trial"])] = row
            if curve is not None:
                self.curves[int(row["trial"])] = curve
        return self.rows

    def _row(self, number: int) -> Mapping[str, Any] | None:
        """The row of a trial, which may have been published just now; None if there is none."""
        return self._read(number).row if self._records.has(number) else None

    def _read(self, number: int) -> Published:
        """Reads a recorded trial."""
        return next(
            trial
            for read in (partial(self._records.read_one, number), self._records.read)
            for trial in published(read(), curves=True)
            if int(trial.row["trial"]) == number
        )
