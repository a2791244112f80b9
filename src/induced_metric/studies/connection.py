"""How a process connects to PostgreSQL: Optuna's tables, the session, its locks, and transient failures."""

import hashlib
import warnings
from typing import Any

import optuna


def connect(address: Any, *, grace: int, period: float) -> optuna.storages.RDBStorage:
    """Opens Optuna's storage with a single connection; creates its tables if they are missing.

    Args:
        address: of the database, as returned by ``address.parsed``.
        grace: seconds without a heartbeat after which a worker counts as lost; the server ends a session that
            is silent for half as long.
        period: seconds between two heartbeats.
    """
    import sqlalchemy

    url = address.render_as_string(hide_password=False)
    options = {
        "synchronous_commit": "off",  # the records are what must survive a crash
        # Half of the grace period, because a worker that waits for the lock of a stopped worker sends no
        # heartbeats meanwhile.
        "idle_session_timeout": 500 * grace,
        "idle_in_transaction_session_timeout": 500 * grace,
    }
    arguments = {
        "options": " ".join(f"-c {name}={value}" for name, value in options.items()),
        "connect_timeout": 10,
        "application_name": "induced-metric",
    }
    no_pool = {"poolclass": sqlalchemy.pool.NullPool, "connect_args": arguments}
    once = sqlalchemy.create_engine(address, **no_pool)
    with once.connect() as connection:
        # One worker at a time creates the tables: two at once would both find them missing. The session, and
        # with it the lock, ends with the block. Creating and checking the tables takes two connections.
        connection.execute(sqlalchemy.text(f"select pg_advisory_lock({lock_number('tables')})"))
        connection.commit()
        optuna.storages.RDBStorage(url, engine_kwargs=no_pool)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # heartbeats
        storage = optuna.storages.RDBStorage(
            url,
            engine_kwargs={"pool_size": 1, "max_overflow": 0, "connect_args": arguments},
            heartbeat_interval=max(1, int(period)),
            grace_period=grace,
            skip_table_creation=True,
            skip_compatibility_check=True,
        )
    sqlalchemy.event.listen(storage.engine, "connect", _in_utc)
    storage.engine.dispose()  # its first connection was made without the listener
    return storage


def _in_utc(connection: Any, _: object) -> None:
    """Sets a session to UTC, because heartbeats are compared without their time zone.

    An option of the connection would not do: the environment variable PGTZ would override it.
    """
    with connection.cursor() as cursor:
        cursor.execute("set timezone to 'UTC'")
    connection.commit()


def lock_number(*key: str) -> int:
    """The number of the advisory lock for a key: a signed integer of 64 bits."""
    digest = hashlib.sha256(":".join(["induced-metric", *key]).encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def passes(error: BaseException | None) -> bool:
    """Whether a retry may help: it cannot if the password is wrong or the database does not exist."""
    from sqlalchemy import exc

    if isinstance(error, exc.PendingRollbackError):
        return True  # Optuna reused a session that had ended, as it does when it reads all trials
    lost = isinstance(error, exc.OperationalError | exc.InterfaceError) or (
        isinstance(error, exc.DBAPIError) and error.connection_invalidated
    )
    refused = ("authentication failed", "does not exist", "no password")
    return lost and not any(words in str(error) for words in refused)
