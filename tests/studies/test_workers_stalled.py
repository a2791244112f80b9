"""Workers that stand still for longer than the grace and wake up, or whose clocks are wrong."""

import datetime
import signal
import time

import pytest
from toy_study import assert_same, files, plan, run, serving, stopping_after
from toy_workers import age, lost, recorded, states, workers

pytestmark = [pytest.mark.postgres, pytest.mark.faults]

STOP = signal.SIGSTOP
WITHOUT_LOCK = [("checkpoint", "after", 2), *((doing, "before", 2) for doing in ("write", "link", "tell"))]
WITH_LOCK = [
    ("create", "after", 5),  # between two sessions of Optuna's
    ("claim", "after", 3),
    ("lock row", "after", 3),  # in the middle of a transaction, a row locked
]


def named(moments, *, quick):
    """All moments, of which those that are not quick are for the exhaustive run."""
    cases = [
        pytest.param(
            moment, marks=[] if place in quick else pytest.mark.exhaustive, id=" ".join(map(str, moment))
        )
        for place, moment in enumerate(moments)
    ]
    return pytest.mark.parametrize("moment", cases)


@named(WITHOUT_LOCK, quick=[2])
def test_a_worker_that_wakes_up_when_its_heir_is_done_changes_nothing(
    postgres, database, tmp_path, lanes, undisturbed, moment
):
    with workers(tmp_path, database, search="halving", server={"worker": "w0"}) as start:
        worker = start(faults=[(*moment, STOP)])
        worker.wait_until_stopped()
        age(postgres, database)
        with serving(database, worker="heir") as server:
            found = run(plan("halving"), files(tmp_path, server), lanes)
        assert_same(found, undisturbed("halving"))
        tables = {path.name: path.read_bytes() for path in (tmp_path / "records").glob("*.parquet")}
        worker.send(signal.SIGCONT)
        assert worker.ended() == 0, worker.log()
    assert {path.name: path.read_bytes() for path in (tmp_path / "records").glob("*.parquet")} == tables
    assert not (tmp_path / "records/pending").exists()
    assert set(states(postgres, database)) <= {"COMPLETE", "PRUNED"}


@named(WITHOUT_LOCK + WITH_LOCK, quick=[1, 6])
def test_a_worker_that_wakes_up_goes_on_with_what_its_heir_left(
    postgres, database, tmp_path, lanes, undisturbed, moment
):
    with workers(tmp_path, database, search="halving", server={"worker": "w0", "grace": 4}) as start:
        worker = start(faults=[(*moment, STOP)])
        worker.wait_until_stopped()
        age(postgres, database)
        with serving(database, worker="heir") as server:
            begun = time.monotonic()
            run(plan("halving"), files(tmp_path, server), lanes, stop=stopping_after(25))
            assert time.monotonic() - begun < 20
        assert 3 <= recorded(tmp_path) < 12
        before = files(tmp_path).records.read()
        worker.send(signal.SIGCONT)
        assert worker.ended() == 0, worker.log()
    after = files(tmp_path).records.read()
    assert_same(after, undisturbed("halving"))
    kept = after.trials[after.trials["trial"].isin(before.trials["trial"])].reset_index(drop=True)
    assert kept.equals(before.trials)
    assert set(states(postgres, database)) <= {"COMPLETE", "PRUNED"}


@named(WITH_LOCK, quick=[1])
def test_a_worker_that_stands_still_with_the_studys_lock_costs_the_others_no_trial(
    postgres, database, tmp_path, undisturbed, moment
):
    """The server takes the lock from it before the others' heartbeats, which wait with them, are too old."""
    with workers(tmp_path, database, trials=20, pause=0.02) as start:
        other = start(server={"worker": "w1", "grace": 6})
        worker = start(server={"worker": "w0", "grace": 6}, faults=[(*moment, STOP)])
        worker.wait_until_stopped()
        mine = set(files(tmp_path).records.read().trials.get("trial", []))
        assert other.ended() == 0, other.log()
        worker.send(signal.SIGCONT)
        assert worker.ended() == 0, worker.log()
    found = files(tmp_path).records.read()
    assert_same(found, undisturbed("random", 20))
    assert not mine & lost(found).keys()
    assert len(lost(found)) <= 4  # the lanes of the one


def test_a_compaction_that_stands_still_does_not_undo_what_was_recorded_meanwhile(
    postgres, database, tmp_path, lanes, undisturbed
):
    """It has read what there was, and will write it."""
    with workers(tmp_path, database, trials=6, server={"worker": "w0", "grace": 3}) as start:
        worker = start(faults=[("fold trials", "before", 1, STOP)])
        worker.wait_until_stopped()
        with serving(database, worker="w1") as server:
            assert_same(run(plan(), files(tmp_path, server), lanes), undisturbed("random"))
        worker.send(signal.SIGCONT)
        assert worker.ended() == 0, worker.log()
    assert_same(files(tmp_path).records.read(), undisturbed("random"))
    with serving(database, worker="w1") as server:
        assert_same(run(plan(), files(tmp_path, server), lanes), undisturbed("random"))
    assert not (tmp_path / "records/pending").exists()


def test_a_worker_with_another_time_zone_takes_no_living_trial_for_lost(database, tmp_path, monkeypatch):
    with serving(database, worker="w0") as server:
        where = files(tmp_path, server)
        with where.storage.open(plan(), where.records) as study:
            assert study.claim(0, {"x": 1.0, "offset": 0.5}, suspects=True)
            monkeypatch.setenv("PGTZ", "Asia/Tokyo")
            with serving(database, worker="w1") as other:
                there = files(tmp_path, other)
                with there.storage.open(plan(), there.records) as elsewhere:
                    assert elsewhere.look(waiting=True).elsewhere == {0: {}}
            assert not study.look(waiting=True).lost


def _an_hour(hours):
    """Whatever reads this process's clock reads it so many hours off."""
    from optuna.storages._rdb import storage

    from induced_metric.training import trial

    off = datetime.timedelta(hours=hours)
    clock = time.time

    class Off(datetime.datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.datetime.now(tz) + off

    time.time = lambda: clock() + off.total_seconds()
    assert storage.datetime is trial.datetime is datetime.datetime
    storage.datetime = trial.datetime = Off


def _ahead():
    _an_hour(1)


def _behind():
    _an_hour(-1)


def test_workers_whose_clocks_are_an_hour_off_lose_nothing_to_each_other(database, tmp_path, undisturbed):
    with workers(tmp_path, database, search="halving", trials=20, pause=0.02) as start:
        # So short a grace that they look for lost trials several times meanwhile.
        started = [start(prepare=prepare, server={"grace": 6}) for prepare in (_ahead, _behind, None)]
        for worker in started:
            assert worker.ended() == 0, worker.log()
    found = files(tmp_path).records.read()
    assert_same(found, undisturbed("halving", 20))
    assert not lost(found)
    hours = {text[:13] for text in found.trials["finished"]}
    assert len(hours) >= 2  # of whom each trained something
