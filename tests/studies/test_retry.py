"""``retry=failed``: the trials that failed run again, and only those."""

import contextlib
import threading
from dataclasses import replace

import jax
import optuna
import pandas as pd
import pytest
import toys

from induced_metric.errors import UserError
from induced_metric.records import RecordStore
from induced_metric.space import Float, Int
from induced_metric.studies.journal import Journal

pytestmark = pytest.mark.slow

SETTINGS = {
    "search_space": {"x": Float(0.0, 9.0), "width": Int(1, 3)},
    "create_sampler": optuna.samplers.RandomSampler,
    "in_flight": None,
    "trials": 12,
}


def broken(state, h):
    if h["width"] == 2:
        raise ValueError("width must not be 2")
    return toys.advance(state, h)


def engine(step):
    return toys.lanes(step, static=["width"], devices=jax.devices()[:1])


@pytest.fixture(scope="module")
def failing():
    with engine(broken) as lanes:
        yield lanes


@pytest.fixture(scope="module")
def mended():
    with engine(toys.advance) as lanes:
        yield lanes


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, mended):
    where = toys.files(tmp_path_factory.mktemp("undisturbed"))
    toys.run(where, mended, **SETTINGS)
    return where.records.read()


@pytest.fixture
def half(tmp_path, failing):
    """A study some of whose trials failed."""
    where = toys.files(tmp_path)
    with pytest.warns(UserWarning, match="retry=failed runs it again"):
        toys.run(where, failing, **SETTINGS)
    assert 0 < len(failed(where.records)) < 12
    return where


def failed(records):
    trials = records.trials()
    return trials.loc[trials["state"] == "failed", "trial"].tolist()


def check(records, undisturbed):
    trials, curves = records.read()
    columns = [*toys.COLUMNS, "width"]
    pd.testing.assert_frame_equal(trials[columns], undisturbed.trials[columns], check_exact=True)
    clock = ["seconds"]
    pd.testing.assert_frame_equal(
        curves.drop(columns=clock), undisturbed.curves.drop(columns=clock), check_exact=True
    )


def test_failed_trials_run_again_and_only_those(tmp_path, half, mended, undisturbed):
    before = half.records.trials().set_index("trial")
    again = failed(half.records)
    assert len(toys.run(half, mended, **SETTINGS)) == 1  # without being asked nothing is done
    events = toys.run(toys.files(tmp_path, retry=True), mended, **SETTINGS)
    assert (events[0].finished, events[0].failed) == (12 - len(again), 0)
    assert (events[-1].finished, events[-1].failed) == (12, 0)
    check(half.records, undisturbed)
    after = half.records.trials().set_index("trial")
    same = after["finished"] == before["finished"]
    assert same[~same].index.tolist() == again
    events = toys.run(toys.files(tmp_path, retry=True), mended, **SETTINGS)
    assert len(events) == 1  # there is nothing to be done again


def test_trials_that_fail_again_are_recorded_again(tmp_path, half, failing):
    again = failed(half.records)
    with pytest.warns(UserWarning, match="width must not be 2"):
        toys.run(toys.files(tmp_path, retry=True), failing, **SETTINGS)
    assert failed(half.records) == again
    assert len(half.records.trials()) == 12


def test_a_study_all_of_whose_trials_failed_begins_again(tmp_path, failing, mended):
    settings = {**SETTINGS, "search_space": {"x": Float(0.0, 9.0)}, "fixed": {"width": 2}}
    where = toys.files(tmp_path)
    with pytest.warns(UserWarning, match="failed"):
        toys.run(where, failing, **settings)
    assert len(failed(where.records)) == 12
    events = toys.run(toys.files(tmp_path, retry=True), mended, **settings)
    assert events[0].finished == 0
    assert (where.records.trials()["state"] == "complete").all()


def test_a_changed_configuration_takes_nothing_out(tmp_path, half, mended):
    again = failed(half.records)
    with pytest.raises(UserError, match="another configuration"):
        toys.run(toys.files(tmp_path, retry=True), mended, **SETTINGS, config={"seed": 4})
    assert failed(half.records) == again


def test_trials_beyond_those_asked_for_stay(tmp_path, half, mended):
    last = max(failed(half.records))
    toys.run(toys.files(tmp_path, retry=True), mended, **{**SETTINGS, "trials": last})
    assert failed(half.records) == [last]


class KilledError(Exception):
    """The process dies here, as far as its files are concerned."""


@pytest.mark.parametrize("step", range(4))
@pytest.mark.parametrize("folded", [True, False])
def test_a_kill_while_trials_are_taken_out_leaves_all_of_them_or_none(
    tmp_path, half, mended, undisturbed, monkeypatch, step, folded
):
    """Steps: before the tables, between the two, before and after the journal is written anew."""
    if not folded:
        trials, curves = half.records.read()
        for path in half.records.directory.glob("*.parquet"):
            path.unlink()
        by_trial = dict(iter(curves.groupby("trial")))
        for row in trials.to_dict("records"):
            curve = by_trial.get(row["trial"], curves[:0]).drop(columns="trial")
            half.records.append([row], [{name: values.to_numpy() for name, values in curve.items()}])
    again = failed(half.records)
    calls = []

    def dies(owner, name, at):
        original = getattr(owner, name)

        def dying(*arguments, **options):
            calls.append(name)
            if len(calls) == at:
                raise KilledError
            return original(*arguments, **options)

        monkeypatch.setattr(owner, name, dying)

    if step < 2:
        dies(RecordStore, "_write", 1 + step + 2 * (not folded))
    else:
        dies(Journal, ("__init__", "rename")[step - 2], 1)
    with pytest.raises(KilledError):
        toys.run(toys.files(tmp_path, retry=True), mended, **SETTINGS)
    monkeypatch.undo()
    left = failed(half.records)
    assert left == (again if step == 0 else [])
    assert len(half.records.trials()) == 12 - len(again) + len(left)
    # Also without being asked again, what was taken out runs.
    toys.run(half, mended, **SETTINGS)
    assert failed(half.records) == left
    toys.run(toys.files(tmp_path, retry=True), mended, **SETTINGS)
    check(half.records, undisturbed)


@pytest.fixture
def workers(postgres):
    """Servers of two workers at one database."""
    from induced_metric.studies.server import Server

    url = postgres.url()
    with (
        contextlib.closing(Server(url, grace=60, patience=300, worker="a")) as a,
        contextlib.closing(Server(url, grace=60, patience=300, worker="b")) as b,
    ):
        yield a, b


def shared(directory, server, **options):
    """The files of a study that is coordinated in a database."""
    from induced_metric.studies.postgres import PostgresStorage

    storage = PostgresStorage(server=server, lock=directory / "toy.lock", claims=5, same_code=True, **options)
    return replace(toys.files(directory), storage=storage)


@pytest.fixture
def left(tmp_path, workers, failing):
    """A study in a database some of whose trials failed."""
    where = shared(tmp_path, workers[0])
    with pytest.warns(UserWarning, match="retry=failed runs it again"):
        toys.run(where, failing, **SETTINGS)
    return where


@pytest.mark.postgres
def test_a_study_in_a_database_is_made_again_without_its_failed_trials(
    tmp_path, workers, left, mended, undisturbed
):
    again = failed(left.records)
    assert len(toys.run(left, mended, **SETTINGS)) == 1
    events = toys.run(shared(tmp_path, workers[1], retry=True), mended, **SETTINGS)
    assert events[0].finished == 12 - len(again)
    check(left.records, undisturbed)
    toys.run(left, mended, **{**SETTINGS, "trials": 14})  # and goes on from there
    assert failed(left.records) == []


@pytest.mark.postgres
def test_failed_trials_stay_while_another_worker_has_the_study_open(tmp_path, workers, left, mended):
    again = failed(left.records)
    with shared(tmp_path, workers[1]).storage.open(toys.plan(**SETTINGS), left.records):
        with pytest.warns(
            UserWarning, match=rf"{len(again)} failed trials of .* are not run again, because other"
        ):
            toys.run(shared(tmp_path, workers[0], retry=True), mended, **SETTINGS)
        assert failed(left.records) == again
    toys.run(shared(tmp_path, workers[0], retry=True), mended, **SETTINGS)
    assert failed(left.records) == []


@pytest.mark.postgres
def test_failed_trials_stay_while_another_worker_trains_where_locks_do_not_tell(
    tmp_path, workers, left, mended
):
    again = failed(left.records)
    plan = toys.plan(**{**SETTINGS, "trials": 13})
    ledger = shared(tmp_path, workers[1]).storage.ledger(plan, left.records)
    assert ledger.claim(12, {"x": 1.0, "width": 1}, lambda number: None, suspects=True) is not None
    with pytest.warns(UserWarning, match="are not run again"):
        toys.run(shared(tmp_path, workers[0], retry=True), mended, **SETTINGS)
    assert failed(left.records) == again
    ledger.release([12])
    toys.run(shared(tmp_path, workers[0], retry=True), mended, **SETTINGS)
    assert failed(left.records) == []


@pytest.mark.postgres
def test_workers_that_begin_together_take_failed_trials_out_once(tmp_path, workers, left):
    begin, plan = threading.Barrier(2), toys.plan(**SETTINGS)
    rows = []

    def work(server):
        begin.wait()
        with shared(tmp_path, server, retry=True).storage.open(plan, left.records) as opened:
            rows.append(len(opened.rows))
            begin.wait()

    expected = 12 - len(failed(left.records))
    threads = [threading.Thread(target=work, args=(server,)) for server in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert rows == [expected, expected]
    assert failed(left.records) == []


@pytest.mark.postgres
def test_a_kill_between_database_and_records_leaves_the_failed_trials(
    tmp_path, workers, left, mended, undisturbed, monkeypatch
):
    again = failed(left.records)

    def die(*_):
        raise KilledError

    monkeypatch.setattr(RecordStore, "remove", die)
    with pytest.raises(KilledError):
        toys.run(shared(tmp_path, workers[0], retry=True), mended, **SETTINGS)
    monkeypatch.undo()
    toys.run(left, mended, **SETTINGS)
    assert failed(left.records) == again
    toys.run(shared(tmp_path, workers[0], retry=True), mended, **SETTINGS)
    check(left.records, undisturbed)
