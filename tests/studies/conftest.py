"""What the tests of PostgreSQL share: one database with Optuna's tables, a storage and a study each."""

import pytest
from optuna.storages import RDBStorage
from optuna.study import StudyDirection
from rdb import opened


@pytest.fixture(scope="session")
def url(postgres):
    """A database with Optuna's tables, for the studies of all tests."""
    url = postgres.url("contract")
    RDBStorage(url).engine.dispose()
    return url


@pytest.fixture
def storage(url):
    """Optuna's storage, with one connection."""
    storage = opened(url)
    yield storage
    storage.remove_session()
    storage.engine.dispose()


@pytest.fixture
def study(storage):
    """The id of a fresh study."""
    return storage.create_new_study([StudyDirection.MINIMIZE])


@pytest.fixture
def beating(storage):
    """The storage with a grace of two minutes."""
    # By attribute: the argument warns that heartbeats are experimental.
    storage.heartbeat_interval, storage.grace_period = 60, 120
    return storage
