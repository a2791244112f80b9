"""What is under way in a study, seen without a lock and without writing."""

import fcntl
import time
from contextlib import closing

import optuna
import pytest

from induced_metric.errors import UserError
from induced_metric.records import RecordStore, StudyKey
from induced_metric.space import Float
from induced_metric.studies.journal import Journal
from induced_metric.studies.plan import StudyPlan
from induced_metric.studies.postgres import PostgresStorage
from induced_metric.studies.server import Server
from induced_metric.studies.watching import TRIALS, UnderWay, in_database, in_journal
from induced_metric.training.trial import Goal


def test_a_journal_says_what_is_wanted_and_under_way(tmp_path):
    path = tmp_path / "toy.journal"
    study = optuna.create_study(storage=optuna.storages.JournalStorage(Journal(path)))
    study.set_user_attr(TRIALS, 40)
    for _ in range(4):
        study.ask()
    study.tell(0, 1.0)
    study.tell(2, state=optuna.trial.TrialState.PRUNED)
    with path.open("a") as file:  # another line, half written
        file.write('{"op_code":4,"worker_')
    found = in_journal(path)
    assert (found.trials, found.under_way) == (40, [UnderWay(1), UnderWay(3)])


def test_where_there_is_no_journal_nothing_is_known(tmp_path):
    found = in_journal(tmp_path / "toy.journal")
    assert (found.trials, found.under_way) == (None, [])
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_journal_ends_in_one_sentence(tmp_path):
    path = tmp_path / "toy.journal"
    path.write_text("what is this\n")
    with pytest.raises(UserError, match=r"toy\.journal is damaged"):
        in_journal(path)


PLAN = StudyPlan(
    key=StudyKey("paper", "toy", "random", "sgd"),
    search_space={"x": Float(0.0, 1.0)},
    fixed={},
    goal=Goal("test/loss", "minimize", 1e30, 5),
    trials=7,
    seed=0,
    create_sampler=optuna.samplers.RandomSampler,
)


@pytest.mark.postgres
def test_a_database_says_who_trains_what_and_when_it_was_heard_of(postgres, tmp_path):
    url = postgres.url()
    with closing(Server(url, worker="node-3", grace=300, patience=300)) as server:
        assert in_database(url, [PLAN.name]) == {}
        storage = PostgresStorage(server=server, lock=tmp_path / "toy.lock", claims=5, same_code=True)
        with storage.open(PLAN, RecordStore(tmp_path / "records")) as opened:
            opened.begin()
            for number in range(3):
                opened.claim(number, {"x": 0.5}, suspects=True)
            # Trial 1 was given up for lost, and nobody has it.
            (study,) = server.storage.get_all_studies()
            lost = server.storage.get_trial_id_from_study_id_trial_number(study._study_id, 1)
            server.storage.set_trial_user_attr(lost, "lost", 1)
            server.storage.set_trial_state_values(lost, optuna.trial.TrialState.WAITING)
            time.sleep(1)
            with (tmp_path / "toy.lock").open() as lock:
                found = server.exclusively(PLAN.name, lambda: in_database(url, [PLAN.name, "another"]))
                with pytest.raises(BlockingIOError):  # it is the worker's, all the time
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        assert found.keys() == {PLAN.name}
        assert found[PLAN.name].trials == 7
        assert found[PLAN.name].lost == [1]
        seen = {trial: (worker, age) for trial, worker, age in found[PLAN.name].under_way}
        assert {trial: worker for trial, (worker, _) in seen.items()} == {0: "node-3", 2: "node-3"}
        assert all(1 <= age < 60 for _, age in seen.values())
        assert in_database(url, [PLAN.name])[PLAN.name].under_way == []  # given back at the end


@pytest.mark.postgres
def test_the_age_of_a_heartbeat_does_not_depend_on_the_time_zone_of_the_watcher(
    postgres, tmp_path, monkeypatch
):
    url = postgres.url()
    with closing(Server(url, worker="node-3", grace=300, patience=300)) as server:
        storage = PostgresStorage(server=server, lock=tmp_path / "toy.lock", claims=5, same_code=True)
        with storage.open(PLAN, RecordStore(tmp_path / "records")) as opened:
            opened.begin()
            opened.claim(0, {"x": 0.5}, suspects=True)
            monkeypatch.setenv("PGTZ", "Asia/Kolkata")
            (seen,) = in_database(url, [PLAN.name])[PLAN.name].under_way
    assert 0 <= seen.heartbeat_seconds < 60


@pytest.mark.postgres
def test_a_watcher_leaves_no_session_and_cannot_write(postgres, monkeypatch):
    database = "watched"
    url = postgres.url(database)
    closing(Server(url, grace=60, patience=300)).__exit__()
    from induced_metric.studies import watching

    monkeypatch.setattr(watching, "_STUDIES", "delete from studies where study_name = any(:names)")
    with pytest.raises(UserError, match="read-only transaction"):
        in_database(url, ["one"])
    assert postgres.terminate_connections(database) == 0


@pytest.mark.postgres
def test_a_database_that_cannot_be_used_says_so_without_its_password(postgres):
    url = postgres.url("refused").replace(postgres.password, "not-the-password")
    with pytest.raises(UserError, match="password authentication failed") as refused:
        in_database(url, [])
    assert "not-the-password" not in str(refused.value)
    with pytest.raises(UserError, match="SQLite cannot be shared"):
        in_database("sqlite:///studies.db", [])
