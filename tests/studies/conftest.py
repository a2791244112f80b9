"""What the tests of PostgreSQL share: one database with Optuna's tables, a storage and a study each."""

import uuid

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


@pytest.fixture(scope="module")
def lanes():
    """In which the trials of a toy study are trained."""
    from toy_study import toy_lanes

    with toy_lanes() as lanes:
        yield lanes


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory):
    """The records of a toy study that one process ran with a journal: ``undisturbed(search, **changes)``."""
    from toy_study import files, plan, run, toy_lanes

    known = {}

    def records(search, trials=12):
        if (search, trials) not in known:
            directory = tmp_path_factory.mktemp("undisturbed")
            with toy_lanes() as lanes:
                known[search, trials] = run(plan(search, trials=trials), files(directory), lanes)
        return known[search, trials]

    return records


@pytest.fixture(scope="session")
def prepared(postgres):
    """The name of a database with Optuna's tables and no study, to be copied."""
    RDBStorage(postgres.url("prepared")).engine.dispose()
    return "prepared"


@pytest.fixture
def database(postgres, prepared):
    """The URL of a database of the test's own, in which there is no study."""
    name = f"workers_{uuid.uuid4().hex[:12]}"
    postgres.execute(f"CREATE DATABASE {name} TEMPLATE {prepared}")
    yield postgres.url(name, fresh=False)
    postgres.execute(f"DROP DATABASE {name} WITH (FORCE)")
