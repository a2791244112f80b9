"""A database that fails a study's workers in the middle: sessions that end, a server that starts anew."""

import contextlib

import pytest
from postgres import PostgresServer
from toy_study import SEARCHES, assert_same, files, plan, run, serving, stopping_after
from toy_workers import holders, interrupt, lost, name_of, states

from induced_metric.studies.tables import LOST

pytestmark = [pytest.mark.postgres, pytest.mark.faults]


MOMENTS = [
    ("create", "before", 4),
    ("create", "after", 4),
    ("sign", "after", 1),
    ("beat", "after", 4),
    ("claim", "before", 4),
    ("claim", "after", 4),
    ("report", "before", 4),
    ("report", "after", 4),
    ("query", "before", 5),
    ("release", "before", 1),
    ("release", "after", 2),
    ("link", "after", 4),
    ("tell", "before", 4),
    ("tell", "after", 4),
    ("catch up", "after", 2),
    ("fold", "before", 1),
    ("fold", "after", 1),
]


@pytest.mark.parametrize("moment", MOMENTS, ids=lambda moment: " ".join(map(str, moment)))
def test_a_session_that_ends_at_any_moment_costs_nothing(
    postgres, database, tmp_path, lanes, undisturbed, monkeypatch, moment
):
    ended = []

    def end():
        ended.append(postgres.terminate_connections(name_of(database)))

    interrupt(*moment, end, monkeypatch.setattr)
    with serving(database, worker="w0") as server:
        run(plan("halving"), files(tmp_path, server), lanes, stop=stopping_after(6))
        assert "RUNNING" not in states(postgres, database)
        found = run(plan("halving"), files(tmp_path, server), lanes)
    assert ended == [1]
    assert_same(found, undisturbed("halving"))
    assert not lost(found)
    assert set(states(postgres, database)) <= {"COMPLETE", "PRUNED"}


def test_a_worker_that_is_stopped_as_its_session_ends_gives_its_trials_back(
    postgres, database, tmp_path, lanes, monkeypatch
):
    stopped = []

    def end():
        stopped.append(postgres.terminate_connections(name_of(database)))

    interrupt("release", "before", 1, end, monkeypatch.setattr)
    calls = stopping_after(6)
    with serving(database, worker="w0", stop=lambda: bool(stopped)) as server:
        run(plan("tpe"), files(tmp_path, server), lanes, stop=calls)
    assert stopped == [1]
    assert "RUNNING" not in states(postgres, database)
    assert states(postgres, database)["WAITING"]


@pytest.mark.parametrize("doing", ["beat", "claim", "report", "link", "tell"])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_ctrl_c_at_any_moment_leaves_no_trial_running(
    postgres, database, tmp_path, lanes, monkeypatch, doing, moment
):
    def ctrl_c():
        raise KeyboardInterrupt

    interrupt(doing, moment, 4, ctrl_c, monkeypatch.setattr)
    with serving(database, worker="w0") as server:
        with pytest.raises(KeyboardInterrupt):
            run(plan("halving"), files(tmp_path, server), lanes)
        assert not server._beating
    assert "RUNNING" not in states(postgres, database)


@pytest.mark.parametrize(
    ("doing", "moment"), [("create", "before"), ("create", "after"), ("claim", "before")]
)
def test_who_loses_the_studys_lock_in_the_middle_begins_again_and_finds_what_others_did(
    postgres, database, tmp_path, monkeypatch, doing, moment
):
    given = {"x": 1.0, "offset": 0.5}
    with serving(database, worker="slow") as slow, serving(database, worker="quick") as quick:
        studies = {}

        def meanwhile():
            postgres.terminate_connections(name_of(database))
            for number in range(3):
                assert studies["quick"].claim(number, given, suspects=True)

        with contextlib.ExitStack() as opened:
            for server in (slow, quick):
                where = files(tmp_path, server)
                studies[server.worker] = opened.enter_context(where.storage.open(plan(), where.records))
            interrupt(doing, moment, 1, meanwhile, monkeypatch.setattr)
            assert studies["slow"].claim(0, given, suspects=True) is None
            assert not slow._beating
            assert studies["slow"].claim(3, given, suspects=True)
            rows = postgres.execute("SELECT number, state FROM trials", database=name_of(database))
            assert sorted(rows) == [(number, "RUNNING") for number in range(4)]
            assert holders(postgres, database) == {"slow", "quick"}


def test_who_trains_a_suspect_trial_takes_no_second_one(postgres, database, tmp_path):
    """Of what may have killed its workers, one at a time: else the innocent would count as killers."""
    given = {"x": 1.0, "offset": 0.5}
    with serving(database, worker="w0") as server:
        where = files(tmp_path, server, claims=5)
        with where.storage.open(plan(), where.records) as study:
            for number in range(2):
                assert study.claim(number, given, suspects=True)
        postgres.execute(
            "INSERT INTO trial_user_attributes (trial_id, key, value_json)"
            " SELECT trial_id, %s, '2' FROM trials", LOST, database=name_of(database),
        )  # fmt: skip
        with where.storage.open(plan(), where.records) as study:
            study.look(waiting=True)
            assert study.claim(0, given, suspects=True).suspect
            assert study.claim(1, given, suspects=False) is None
            assert not study.claim(2, given, suspects=False).suspect
            assert study.claim(1, given, suspects=True).suspect


@pytest.mark.parametrize("search", SEARCHES)
def test_a_worker_that_is_stopped_in_order_leaves_no_trial_running(
    postgres, database, tmp_path, lanes, search
):
    with serving(database, worker="w0") as server:
        for dispatches in (0, 1, 4, 9):
            run(plan(search), files(tmp_path, server), lanes, stop=stopping_after(dispatches))
            assert states(postgres, database)["WAITING"]
            assert "RUNNING" not in states(postgres, database)
            assert not server._beating


@pytest.fixture(scope="module")
def forgetful():
    """A server that has on disk what it was told to sync, and of the rest nothing for ten seconds."""
    with contextlib.closing(PostgresServer(wal_writer_delay="10s", checkpoint_timeout="1h")) as server:
        yield server


@pytest.mark.parametrize(
    "moment", [("claim", "after", 6), ("report", "before", 4), ("link", "after", 3)], ids=lambda m: m[0]
)
def test_a_server_that_crashes_and_forgets_the_last_seconds_costs_no_record(
    forgetful, tmp_path, lanes, undisturbed, monkeypatch, moment
):
    url = forgetful.url()
    before = []

    def crash():
        before.append(states(forgetful, url))
        forgetful.restart("immediate")
        before.append(states(forgetful, url))

    interrupt(*moment, crash, monkeypatch.setattr)
    with serving(url, worker="w0") as server:
        found = run(plan("halving"), files(tmp_path, server), lanes)
    assert_same(found, undisturbed("halving"))
    with serving(url, worker="w1") as server:
        assert_same(run(plan("halving"), files(tmp_path, server), lanes), undisturbed("halving"))
    told = states(forgetful, url)
    assert sum(told.values()) == 12
    assert set(told) == {"COMPLETE", "PRUNED"}
    if before[0] == before[1]:
        pytest.skip("the server had all of it on disk when it crashed")
