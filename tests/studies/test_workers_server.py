"""A server that fails the workers of a study: it is away, for long, or comes back with older contents."""

import time

import pytest
from toy_study import assert_same, files, plan, run, serving, stopping_after
from toy_workers import age, lost, name_of, recorded, states, until, workers

pytestmark = [pytest.mark.postgres, pytest.mark.faults]


def ended_well(started):
    for worker in started:
        assert worker.ended() == 0, worker.log()


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_server_that_restarts_in_mid_study_costs_nothing(
    postgres, database, tmp_path, lanes, undisturbed, mode
):
    with workers(tmp_path, database, search="halving", trials=30, pause=0.02) as start:
        started = [start(server={"worker": f"w{number}"}) for number in range(3)]
        for trials in (5, 15):
            until(lambda trials=trials: recorded(tmp_path) >= trials)
            postgres.restart(mode)
        assert recorded(tmp_path) < 30
        ended_well(started)
    found = files(tmp_path).records.read()
    assert_same(found, undisturbed("halving", 30))
    assert not lost(found)
    with serving(database, worker="w3") as server:  # a crash may have forgotten what was told last
        run(plan("halving", trials=30), files(tmp_path, server), lanes)
    assert set(states(postgres, database)) <= {"COMPLETE", "PRUNED"}


def test_connections_that_end_all_the_time_cost_nothing(postgres, database, tmp_path, undisturbed):
    with workers(tmp_path, database, search="halving", trials=30, pause=0.02) as start:
        started = [start(server={"worker": f"w{number}"}) for number in range(3)]
        until(lambda: recorded(tmp_path) >= 2)
        ended = 0
        while recorded(tmp_path) < 25 and any(worker.process.is_alive() for worker in started):
            ended += postgres.terminate_connections(name_of(database))
            time.sleep(0.2)
        assert ended >= 5
        ended_well(started)
    found = files(tmp_path).records.read()
    assert_same(found, undisturbed("halving", 30))
    assert not lost(found)


def forget_reports(postgres, url):
    """What a crash does that comes before they are on disk."""
    postgres.execute("DELETE FROM trial_intermediate_values", database=name_of(url))


def test_reports_that_are_forgotten_again_and_again_cost_nothing(postgres, database, tmp_path, undisturbed):
    """Each worker waits for what the others report, and they for what it does."""
    with workers(tmp_path, database, search="halving", trials=30, pause=0.02) as start:
        started = [start(server={"worker": f"w{number}"}) for number in range(3)]
        for trials in range(2, 26, 2):
            until(lambda trials=trials: recorded(tmp_path) >= trials)
            forget_reports(postgres, database)
        ended_well(started)
    assert_same(files(tmp_path).records.read(), undisturbed("halving", 30))


def test_a_report_that_is_forgotten_is_made_again_and_later_ones_wait_for_it(postgres, database, tmp_path):
    with serving(database, worker="w0") as server, serving(database, worker="w1") as other:
        opened = [
            (where := files(tmp_path, one)).storage.open(plan("halving"), where.records)
            for one in (server, other)
        ]
        with opened[0] as study, opened[1] as elsewhere:

            def reported():
                elsewhere._looked = -float("inf")
                return elsewhere.look(waiting=True).elsewhere[0]

            assert study.claim(0, {"x": 1.0, "offset": 0.5}, suspects=True)
            study.report(0, 5, 0.7)
            assert reported() == {5: 0.7}
            forget_reports(postgres, database)
            study.report(0, 15, 0.6)
            assert reported() == {}
            assert not study.look(waiting=True).lost
            assert reported() == {5: 0.7, 15: 0.6}


def test_a_server_that_is_away_for_longer_than_the_grace_costs_no_trial(
    postgres, database, tmp_path, undisturbed
):
    """When it comes back all heartbeats are old, and nobody has had time for another."""
    with workers(tmp_path, database, trials=10, pause=0.1, server={"grace": 3}) as start:
        started = [start(), start()]
        until(lambda: recorded(tmp_path) >= 2)
        postgres.stop()
        time.sleep(4)
        postgres.start()
        assert recorded(tmp_path) < 8
        ended_well(started)
    found = files(tmp_path).records.read()
    assert_same(found, undisturbed("random", 10))
    assert not lost(found)


def test_who_comes_after_the_server_was_away_takes_nobodys_trials(postgres, database, tmp_path):
    """The heartbeats of the other, who has not noticed yet that the server is back, became too old."""
    with serving(database, worker="w0", grace=3600, just_come=True) as server:
        opened = (where := files(tmp_path, server)).storage.open(plan(), where.records)
        with opened as study:
            assert study.claim(0, {"x": 1.0, "offset": 0.5}, suspects=True)
            age(postgres, database, 7200)
            with (
                serving(database, worker="w1", just_come=True) as fresh,
                (elsewhere := files(tmp_path, fresh)).storage.open(plan(), elsewhere.records) as other,
            ):
                assert other.look(waiting=True).elsewhere == {0: {}}
            assert not study.look(waiting=True).lost


def test_who_finds_the_server_again_first_takes_nobodys_trials(postgres, database, tmp_path):
    """Its session ended while the heartbeats of the other, who has not noticed yet, became too old."""
    with (
        serving(database, worker="w0", grace=3600) as server,
        serving(database, worker="w1", grace=3600) as first,
    ):
        opened = [
            (where := files(tmp_path, one)).storage.open(plan(), where.records) for one in (server, first)
        ]
        with opened[0] as study, opened[1] as elsewhere:
            assert study.claim(0, {"x": 1.0, "offset": 0.5}, suspects=True)
            age(postgres, database, 7200)
            postgres.terminate_connections(name_of(database))
            assert elsewhere.look(waiting=True).elsewhere == {0: {}}
            assert not study.look(waiting=True).lost


@pytest.mark.parametrize("with_what", ["nothing", "what it held earlier"])
@pytest.mark.parametrize("search", ["random", "halving"])
def test_a_database_that_was_made_anew_is_filled_from_the_records(
    postgres, database, prepared, tmp_path, lanes, undisturbed, search, with_what
):
    def some(dispatches):
        with serving(database, worker="w0") as server:
            run(plan(search), files(tmp_path, server), lanes, stop=stopping_after(dispatches))

    name, copy = name_of(database), prepared
    some(12)
    if with_what != "nothing":
        copy = f"{name}_copy"
        postgres.execute(f"CREATE DATABASE {copy} TEMPLATE {name}")
        some(25)
    assert 0 < recorded(tmp_path) < 12
    postgres.execute(f"DROP DATABASE {name}")
    postgres.execute(f"CREATE DATABASE {name} TEMPLATE {copy}")
    before = recorded(tmp_path)
    with serving(database, worker="w0") as server:
        study = files(tmp_path, server)
        with study.storage.open(plan(search), study.records):
            assert sum(states(postgres, database).values()) >= before
    told = states(postgres, database)
    assert told.get("COMPLETE", 0) + told.get("PRUNED", 0) == before
    some(1000)
    assert_same(files(tmp_path).records.read(), undisturbed(search))
    told = states(postgres, database)
    assert sum(told.values()) == 12
    assert set(told) <= {"COMPLETE", "PRUNED"}
