"""Optuna's ``RDBStorage`` as the tests of PostgreSQL open it."""

from optuna.storages import RDBStorage
from optuna.trial import TrialState, create_trial

ONE = {"pool_size": 1, "max_overflow": 0}


def opened(url, **engine):
    """A storage of one connection on existing tables."""
    engine = {**ONE, "pool_timeout": 5, **engine}
    return RDBStorage(url, engine, skip_compatibility_check=True, skip_table_creation=True)


def enqueued(storage, study, **content):
    """The id of a new trial in the state WAITING."""
    return storage.create_new_trial(study, create_trial(state=TrialState.WAITING, **content))


def numbers(storage, study):
    return [trial.number for trial in storage.get_all_trials(study)]
