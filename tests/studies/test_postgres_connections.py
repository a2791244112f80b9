"""What becomes of calls of Optuna, and of a session's lock, when connections end: against a real server."""

import gc
import traceback

import pytest
import sqlalchemy
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from optuna.trial import TrialState
from rdb import ONE, numbers, opened

pytestmark = [pytest.mark.postgres, pytest.mark.slow]

LOCK = 20260101


def backend(storage):
    """The server's process behind the storage's only connection."""
    with storage.engine.connect() as connection:
        return connection.scalar(sqlalchemy.text("SELECT pg_backend_pid()"))


def lock(storage):
    with storage.engine.connect() as connection:
        connection.execute(sqlalchemy.text(f"SELECT pg_advisory_lock({LOCK})"))


def unlocked(storage):
    """Releases the lock; whether this connection held it."""
    with storage.engine.connect() as connection:
        return connection.scalar(sqlalchemy.text(f"SELECT pg_advisory_unlock({LOCK})"))


def lock_is_free(postgres):
    """Whether another connection could take the lock."""
    return postgres.execute("SELECT pg_try_advisory_lock(%s)", LOCK, database="contract") == [(True,)]


# Connections


@pytest.mark.filterwarnings("ignore:.*psycopg.Connection.*was deleted while still open:ResourceWarning")
def test_a_fresh_database_cannot_be_opened_with_one_connection(postgres):
    """Hence tables are created, and the version checked, through a pool of its own."""
    fresh = postgres.url()
    one = {**ONE, "pool_timeout": 0.2}
    with pytest.raises(StorageInternalError):
        RDBStorage(fresh, one)
    RDBStorage(fresh).engine.dispose()
    with pytest.raises(StorageInternalError):
        RDBStorage(fresh, one, skip_table_creation=True)
    opened(fresh).engine.dispose()
    gc.collect()  # the constructors that failed left connections, which warn where they are collected


CALLS = {
    "get_trial": lambda storage, study, trial: storage.get_trial(trial),
    "get_all_trials": lambda storage, study, trial: storage.get_all_trials(study),
    "get_n_trials": lambda storage, study, trial: storage.get_n_trials(study),
    "number": lambda storage, study, trial: storage.get_trial_id_from_study_id_trial_number(study, 0),
    "record_heartbeat": lambda storage, study, trial: storage.record_heartbeat(trial),
    "stale": lambda storage, study, trial: storage._get_stale_trial_ids(study),
    "attribute": lambda storage, study, trial: storage.set_trial_user_attr(trial, "claim", "a"),
    "requeue": lambda storage, study, trial: storage.set_trial_state_values(trial, state=TrialState.WAITING),
    "tell": lambda storage, study, trial: storage.set_trial_state_values(
        trial, state=TrialState.COMPLETE, values=[1.0]
    ),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_terminated_connection_is_one_storage_error_and_the_call_repeated_works(
    postgres, beating, study, call
):
    trial = beating.create_new_trial(study)
    assert postgres.terminate_connections("contract") >= 1
    with pytest.raises(StorageInternalError):
        call(beating, study, trial)
    call(beating, study, trial)


@pytest.fixture
def at_once(monkeypatch):
    """Optuna does not sleep, up to two seconds, before it repeats itself."""
    monkeypatch.setattr("optuna.storages._rdb.storage.random.random", lambda: 0.0)


@pytest.mark.usefixtures("at_once")
def test_create_new_trial_repeats_itself_after_a_terminated_connection(postgres, storage, study):
    """The one call that does: no error says that it changed its connection."""
    before = backend(storage)
    postgres.terminate_connections("contract")
    storage.create_new_trial(study)
    assert numbers(storage, study) == [0]
    assert backend(storage) != before


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_server_that_is_down_is_a_storage_error_and_what_was_committed_is_there_again(
    postgres, storage, study, mode
):
    trial = storage.create_new_trial(study)
    storage.set_trial_user_attr(trial, "claim", "a")
    postgres.stop(mode)
    try:
        for _ in range(2):  # on the lost connection, and on a new one
            with pytest.raises(StorageInternalError):
                storage.get_trial(trial)
    finally:
        postgres.start()
    assert storage.get_trial(trial).user_attrs == {"claim": "a"}
    assert storage.create_new_trial(study) > trial


def test_no_error_of_the_database_tells_the_password(postgres, storage, study):
    postgres.terminate_connections("contract")
    with pytest.raises(StorageInternalError) as lost:
        storage.get_n_trials(study)
    wrong = postgres.url("contract", fresh=False).replace(postgres.password, postgres.password + "x")
    with pytest.raises(StorageInternalError) as refused:
        opened(wrong)
    assert "password authentication failed" in str(refused.value.__cause__)
    for error in (lost.value, refused.value):
        report = "".join(traceback.format_exception(error))
        assert "psycopg" in report
        assert postgres.password not in report
    assert postgres.password not in repr(storage.engine)


# The lock of a session


def test_a_lock_on_the_pooled_connection_is_still_held_when_optuna_uses_the_pool(postgres, storage, study):
    lock(storage)
    before = backend(storage)
    storage.record_heartbeat(storage.create_new_trial(study))
    assert backend(storage) == before
    assert not lock_is_free(postgres)
    assert unlocked(storage)
    assert lock_is_free(postgres)


def test_a_call_that_fails_keeps_the_lock(postgres, storage, study):
    """A statement's error, unlike the connection's, only rolls back; the lock is the session's."""
    lock(storage)
    with pytest.raises(KeyError):
        storage.get_trial_id_from_study_id_trial_number(study, 99)
    with pytest.raises(sqlalchemy.exc.DataError), storage.engine.connect() as connection:
        connection.execute(sqlalchemy.text("SELECT 1 / 0"))
    assert not lock_is_free(postgres)
    assert unlocked(storage)


def test_the_lock_goes_with_its_connection_and_the_next_call_is_an_error(postgres, storage, study):
    lock(storage)
    postgres.terminate_connections("contract")
    assert lock_is_free(postgres)
    with pytest.raises(StorageInternalError):
        storage.get_n_trials(study)
    storage.get_n_trials(study)
    assert not unlocked(storage)


def test_with_pre_ping_the_holder_is_not_told_that_its_lock_is_gone(postgres, url, study):
    """Hence no ``pool_pre_ping``: it reconnects where an error has to say that the lock is lost."""
    pinging = opened(url, pool_pre_ping=True)
    lock(pinging)
    postgres.terminate_connections("contract")
    assert lock_is_free(postgres)
    assert pinging.get_n_trials(study) == 0
    pinging.engine.dispose()


@pytest.mark.usefixtures("at_once")
def test_create_new_trial_goes_on_without_the_lock_unless_new_connections_are_refused(
    postgres, storage, study
):
    """It repeats itself on a new connection, so the holder of a lock has to forbid its pool to reconnect."""
    lock(storage)
    postgres.terminate_connections("contract")
    storage.create_new_trial(study)
    assert lock_is_free(postgres)

    class LockLostError(Exception):
        pass

    def refuse(*_):
        raise LockLostError

    lock(storage)
    sqlalchemy.event.listen(storage.engine, "connect", refuse)
    postgres.terminate_connections("contract")
    with pytest.raises(LockLostError):
        storage.create_new_trial(study)
    sqlalchemy.event.remove(storage.engine, "connect", refuse)
    assert numbers(storage, study) == [0]
