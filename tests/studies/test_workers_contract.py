"""What a study does with either storage: a journal, for one process, or PostgreSQL, for many."""

import contextlib
import json

import pytest
from toy_study import SEARCHES, assert_same, files, plan, run, serving, stopping_after

from induced_metric.errors import UserError

pytestmark = [pytest.mark.postgres, pytest.mark.slow]

both = pytest.mark.parametrize("storage", ["journal", "postgres"])
searches = pytest.mark.parametrize("search", SEARCHES)


@pytest.fixture
def where(request, tmp_path):
    """``where(storage)``: the files of one study, with either storage."""
    with contextlib.ExitStack() as servers:
        made = {}

        def of(storage, **options):
            if storage == "journal":
                return files(tmp_path, **options)
            if not made:
                url = request.getfixturevalue("database")
                made["server"] = servers.enter_context(serving(url, worker="w0"))
            return files(tmp_path, made["server"], **options)

        yield of


@searches
@both
def test_every_trial_is_recorded_as_by_any_other_storage(where, lanes, undisturbed, storage, search):
    found = run(plan(search), where(storage), lanes)
    assert_same(found, undisturbed(search))
    if search == "halving":
        assert 0 < (found.trials["state"] == "pruned").sum() < 12


@searches
@both
def test_a_study_that_was_stopped_goes_on_as_if_it_had_not_been(where, lanes, undisturbed, storage, search):
    for dispatches in (1, 7, 20):
        stopped = run(plan(search), where(storage), lanes, stop=stopping_after(dispatches))
        assert len(stopped.trials) < 12
    assert_same(run(plan(search), where(storage), lanes), undisturbed(search))
    assert not list(where(storage).checkpoints.names())


@searches
@both
def test_a_study_that_is_given_more_trials_is_the_larger_one(where, lanes, undisturbed, storage, search):
    for trials in (5, 9, 7, 12):
        found = run(plan(search, trials=trials), where(storage), lanes)
    assert_same(found, undisturbed(search))


@pytest.mark.exhaustive
@searches
@pytest.mark.parametrize("order", [("journal", "postgres"), ("postgres", "journal")], ids=" then ".join)
def test_a_study_begun_with_one_storage_goes_on_with_the_other(where, lanes, undisturbed, order, search):
    first, second = order
    for storage, dispatches in [(first, 7), (second, 9), (first, 9)]:
        run(plan(search), where(storage), lanes, stop=stopping_after(dispatches))
    assert_same(run(plan(search), where(second), lanes), undisturbed(search))
    assert_same(run(plan(search), where(first), lanes), undisturbed(search))


@both
def test_a_finished_study_is_not_trained_again(where, lanes, storage):
    before = run(plan(), where(storage), lanes)
    events = []
    after = run(plan(), where(storage), lanes, on_progress=events.append)
    assert after.trials.equals(before.trials)
    assert [event.finished for event in events] == [12]


@both
def test_another_configuration_is_refused_with_the_difference(where, lanes, storage):
    before = run(plan(trials=3), where(storage), lanes)
    with pytest.raises(UserError, match=r"seed: 3 -> absent; task\.epochs: 45 -> 10") as error:
        run(plan(config={"task": {"epochs": 10}}), where(storage), lanes)
    assert "\n" not in str(error.value)
    assert_same(where(storage).records.read(), before)


@both
def test_the_configuration_of_records_counts_though_the_storage_was_lost(where, lanes, storage, tmp_path):
    other = "postgres" if storage == "journal" else "journal"
    run(plan(trials=3), where(other), lanes)
    for path in (tmp_path / "toy.journal", tmp_path / "records" / ".identity"):
        path.unlink(missing_ok=True)
    with pytest.raises(UserError, match=r"task\.epochs: 45 -> 10"):
        run(plan(config={"task": {"epochs": 10}, "seed": 3}), where(storage), lanes)


@both
def test_told_trials_without_records_are_refused(where, lanes, storage):
    store = where(storage).records
    run(plan(trials=3), where(storage), lanes)
    (store.directory / "trials.parquet").unlink()
    with pytest.raises(UserError, match=r"3 finished trials .*\(first: 0\) whose records are gone"):
        run(plan(), where(storage), lanes)
    assert store.read().trials.empty


@both
def test_a_record_that_was_lost_while_its_neighbours_were_not_is_refused(where, lanes, storage):
    store = where(storage).records
    records = run(plan(trials=5), where(storage), lanes)
    for name in ("trials", "curves"):
        (store.directory / f"{name}.parquet").unlink()
    for number in (0, 1, 4):
        row = records.trials.iloc[number].to_dict()
        curve = records.curves[records.curves["trial"] == number].drop(columns="trial")
        store.append([row], [{name: curve[name].to_numpy() for name in curve}])
    with pytest.raises(UserError, match=r"2 finished trials .*\(first: 2\) whose records are gone"):
        run(plan(), where(storage), lanes)


@both
def test_records_say_with_what_they_were_made(where, lanes, storage):
    trials = run(plan(trials=3), where(storage), lanes).trials
    assert [json.loads(text) for text in trials["provenance"]] == [{"commit": "a" * 40, "dirty": False}] * 3
    assert [json.loads(text) for text in trials["config"]] == [dict(plan().config)] * 3
