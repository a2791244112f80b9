"""A PostgreSQL server that holds Optuna's tables, reached through this process's one connection."""

import contextlib
import socket
import threading
import time
import warnings
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, TypeVar

import optuna
from optuna.exceptions import StorageInternalError

from induced_metric.errors import PassingError, UserError
from induced_metric.studies.address import parsed, public, secrets
from induced_metric.studies.connection import connect, lock_number, passes
from induced_metric.studies.storage import StoppedError

T = TypeVar("T")
_BEATS_A_GRACE = 6  # heartbeats within the time after which a worker counts as lost
_SILENT_SECONDS = 10  # of failed tries before a user is told


class _LockLostError(Exception):
    """The session that held a lock is gone. On an SQLAlchemy error, Optuna would retry without the lock."""


class Server:
    """Optuna's storage in PostgreSQL, for one worker.

    There is a single connection. Work under ``exclusively`` is done on the connection that holds the lock, or
    not at all: a new connection is refused meanwhile. The server itself ends the session of a worker that is
    silent for half of ``grace``, and with it all its locks, so that nobody waits for a stopped worker.

    Args:
        url: ``postgresql://user:password@host:port/database``; it is never shown.
        worker: name of this worker, which no other may have at the same time; by default the host's name
            with the first free number.
        grace: seconds without a heartbeat after which a worker counts as lost.
        patience: seconds for which a call is retried while the server does not answer.
        stop: once it returns True, a call is retried only once.

    Attributes:
        storage: the Optuna storage.
        worker: name of this worker.
        grace: seconds without a heartbeat after which a worker counts as lost.

    Raises:
        UserError: if the server cannot be used, or another worker has the name.
        StoppedError: if ``stop`` returns True before the server answers; methods may raise it as well.
    """

    def __init__(
        self,
        url: str,
        *,
        worker: str | None = None,
        grace: int,
        patience: float,
        stop: Callable[[], bool] = lambda: False,
    ) -> None:
        import sqlalchemy

        self._parsed, self._secrets = parsed(url), secrets(url)
        self.grace = grace
        self._patience, self._stop = patience, stop
        self._thread = threading.RLock()  # one connection: threads take turns
        self._holding = False
        self._beating: set[int] = set()
        self._ended = threading.Event()
        self.worker = worker or ""
        self._answering = time.monotonic()  # since when: the start of the newest session
        self.storage: optuna.storages.RDBStorage = self.call(
            lambda: connect(self._parsed, grace=grace, period=self.period)
        )
        try:
            self.worker = self._name(worker)
        except BaseException:
            self.storage.engine.dispose()
            raise
        sqlalchemy.event.listen(self.storage.engine, "connect", self._connected)
        self._thread_of_beats = threading.Thread(target=self._beats, name="heartbeats", daemon=True)
        self._thread_of_beats.start()

    def close(self) -> None:
        """Ends the session."""
        self._ended.set()
        self._thread_of_beats.join()
        self.storage.engine.dispose()

    def call(self, work: Callable[[], T]) -> T:
        """Does work that may be done twice; retries it while the server does not answer.

        Raises:
            UserError: if the failure is not transient.
            PassingError: if the server is silent for ``patience`` seconds.
        """
        from sqlalchemy.exc import DBAPIError

        since, pause, retried, said = time.monotonic(), 0.1, False, False
        while True:
            try:
                with self._thread:
                    return work()
            except _LockLostError:
                pass
            except (StorageInternalError, DBAPIError) as error:
                cause = error.__cause__ if isinstance(error, StorageInternalError) else error
                line = f"the database cannot be used: {public(cause or error, self._secrets)}"
                if not passes(cause):
                    raise UserError(line) from None
                if time.monotonic() - since > self._patience:
                    raise PassingError(line) from None
                if not said and time.monotonic() - since > _SILENT_SECONDS:
                    said = True
                    warnings.warn(f"{line}; trying again for up to {self._patience:g} s", stacklevel=2)
            # Retry once in any case, in another session: then the trials can be given back.
            if retried and self._stop():
                raise StoppedError
            retried = True
            time.sleep(pause)
            pause = min(2 * pause, 5.0)

    def exclusively(self, key: str, work: Callable[[], T]) -> T:
        """Like ``call``, for work that no two workers may do at once for the same ``key``."""

        def locked() -> T:
            with self._lock(key):
                return work()

        return self.call(locked)

    def beat(self, trial_id: int) -> None:
        """Records a heartbeat of a trial, and then keeps recording them until ``rest``."""
        self._record_heartbeats([trial_id])
        self._beating.add(trial_id)

    def rest(self, trial_id: int) -> None:
        """Stops recording heartbeats of a trial."""
        self._beating.discard(trial_id)

    @property
    def period(self) -> float:
        """Seconds between two heartbeats."""
        return self.grace / _BEATS_A_GRACE

    @property
    def steady(self) -> bool:
        """Whether the server has answered for ``grace`` seconds: every worker had time for a heartbeat."""
        return time.monotonic() - self._answering > self.grace

    def sync(self) -> None:
        """Makes what was written so far survive a crash of the server."""
        self.execute("select set_config('synchronous_commit', 'on', true), pg_current_xact_id()")

    def _beats(self) -> None:
        while not self._ended.wait(self.period):
            # A heartbeat that fails is sent the next time; the main thread handles the server's absence.
            with contextlib.suppress(Exception), self._thread:
                if self._beating:
                    self._record_heartbeats(self._beating)
                else:
                    self.execute("select 1")

    def _record_heartbeats(self, trial_ids: Collection[int]) -> None:
        """Does for all trials at once what Optuna's ``record_heartbeat`` does in six round trips for each."""
        self.execute(
            "insert into trial_heartbeats (trial_id, heartbeat) select trial_id, now() from trials "
            "where trial_id = any(:trials) order by trial_id "
            "on conflict (trial_id) do update set heartbeat = excluded.heartbeat",
            trials=list(trial_ids),
        )

    def _name(self, worker: str | None) -> str:
        """Takes a name; that of a lost worker is free as soon as the server has noticed the loss."""
        host = socket.gethostname()
        names = [worker] if worker else [f"{host}.{number}" for number in range(1000)]
        until = time.monotonic() + self.grace
        while True:
            name = self.call(lambda: next(filter(self._take, names), None))
            if name is not None:
                return name
            if time.monotonic() > until:
                raise UserError(f"a worker called {worker} is already running; each needs a name of its own")
            if self._stop():
                raise StoppedError
            time.sleep(min(1.0, self.grace / 3))

    def _take(self, worker: str) -> bool:
        return bool(self.execute(f"select pg_try_advisory_lock({lock_number('worker', worker)})"))

    def _connected(self, connection: Any, _: object) -> None:
        """Refuses a new session during work that needs the old one's lock; else takes the worker's name."""
        self._answering = time.monotonic()
        if self._holding:
            raise _LockLostError
        with connection.cursor() as cursor:
            cursor.execute(f"select pg_try_advisory_lock({lock_number('worker', self.worker)})")
        connection.commit()

    def execute(self, statement: str, **values: Any) -> Any:
        """Executes a statement; returns the first value of its result, None if it has none."""
        result = self.rows(statement, **values)
        return result[0][0] if result else None

    def rows(self, statement: str, **values: Any) -> Sequence[Any]:
        """Executes a statement with ``values`` for its ``:names``, as one transaction; returns the rows."""
        import sqlalchemy

        with self.storage.engine.connect() as connection:
            # This takes one round trip; beginning and ending a transaction would take two more.
            connection.execution_options(isolation_level="AUTOCOMMIT")
            result = connection.execute(sqlalchemy.text(statement), values)
            return result.all() if result.returns_rows else []

    @contextlib.contextmanager
    def _lock(self, key: str) -> Iterator[None]:
        number = lock_number("study", key)
        self.execute(f"select pg_advisory_lock({number})")
        self._holding = True
        try:
            yield
            self.execute(f"select pg_advisory_unlock({number})")
        except BaseException:
            # Whatever went wrong, the lock ends with its session.
            self.storage.engine.dispose()
            raise
        finally:
            self._holding = False
