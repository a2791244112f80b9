"""Any number of processes publish trials of one store: of each, the first record stays."""

import json
import os
import threading

import pytest
import synthetic

from induced_metric.errors import UserError
from induced_metric.records import RecordStore
from induced_metric.records import store as store_module
from induced_metric.records.feed import RecordFeed


def trial(number, by="", **options):
    """A trial as one of several processes recorded it."""
    row, curve = synthetic.trial(number, optimizer="adam", epochs=3, **options)
    return {**row, "provenance": json.dumps({"by": by})}, curve


def writers(store):
    """Who recorded each trial."""
    trials = store.trials()
    return {row["trial"]: json.loads(row["provenance"])["by"] for row in trials.to_dict("records")}


def filled(directory, *numbers, by="first"):
    store = RecordStore(directory)
    for number in numbers:
        assert store.publish(*trial(number, by))
    return store


@pytest.mark.parametrize("compacted", [False, True])
def test_of_a_trial_that_is_published_again_the_first_record_stays(tmp_path, compacted):
    store = filled(tmp_path, 0, 1)
    if compacted:
        store.compact()
    assert not RecordStore(tmp_path).publish(*trial(1, "late"))
    for _ in range(2):
        assert writers(store) == {0: "first", 1: "first"}
        assert list(store.curves()["trial"]) == [0, 0, 0, 1, 1, 1]
        store.compact()
    assert {path.name for path in tmp_path.iterdir()} == {"trials.parquet", "curves.parquet"}


def test_of_all_who_publish_a_trial_at_once_one_is_first(tmp_path):
    start, first = threading.Barrier(8), []

    def publish(name):
        start.wait()
        first.extend((number, name) for number in range(5) if store.publish(*trial(number, name)))

    store = RecordStore(tmp_path)
    threads = [threading.Thread(target=publish, args=(f"w{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(first) == 5
    assert writers(store) == dict(first)
    assert not list(tmp_path.rglob("*.written"))


def before_first(patch, owner, name, act):
    """Has ``act`` called once, before the first call of a function."""
    original = getattr(owner, name)

    def acting(*arguments, **options):
        patch.setattr(owner, name, original)
        act()
        return original(*arguments, **options)

    patch.setattr(owner, name, acting)


STEPS = {
    "writing": (store_module, "write_table"),
    "linking": (os, "link"),
    "syncing": (store_module, "synced"),
}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("recorded", [True, False], ids=["recorded", "new"])
def test_a_compaction_at_any_step_of_publishing_neither_loses_nor_replaces_a_record(
    tmp_path, monkeypatch, step, recorded
):
    """By a worker that was given fewer trials, or by one that did this very trial meanwhile."""
    store = filled(tmp_path, 0)

    def meanwhile():
        if recorded and step != "syncing":
            filled(tmp_path, 1, by="heir")
        RecordStore(tmp_path).compact()

    before_first(monkeypatch, *STEPS[step], meanwhile)
    first = store.publish(*trial(1, "late"))
    assert first == (not recorded or step == "syncing")
    assert writers(store) == {0: "first", 1: "late" if first else "heir"}
    store.compact()
    assert writers(store) == {0: "first", 1: "late" if first else "heir"}
    assert list(store.curves()["trial"]) == [0, 0, 0, 1, 1, 1]


def test_a_lost_reply_of_the_file_system_does_not_make_the_first_record_anothers(tmp_path, monkeypatch):
    link = os.link

    def reply_lost(*names):
        link(*names)
        raise FileExistsError

    monkeypatch.setattr(os, "link", reply_lost)
    assert RecordStore(tmp_path).publish(*trial(0, "first"))


def test_a_file_system_without_hard_links_is_refused(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(UserError, match=r"must lie on a file system with hard links.*not supported"):
        RecordStore(tmp_path).publish(*trial(0))


def test_what_killed_workers_left_goes_once_their_trials_are_recorded(tmp_path):
    store = filled(tmp_path, 0)
    for number in (0, 1):
        for ending in ("written", "tmp"):
            (tmp_path / f"pending/trials-{number:06d}-0123456789ab.{ending}").write_bytes(b"PAR1 torn")
    store.compact()
    assert {path.name[:13] for path in (tmp_path / "pending").iterdir()} == {"trials-000001"}
    filled(tmp_path, 1)
    store.compact()
    assert not (tmp_path / "pending").exists()
    assert writers(store) == {0: "first", 1: "first"}


def test_a_feed_hands_out_each_trial_once_whenever_it_is_compacted(tmp_path):
    store, feed = filled(tmp_path, 0), RecordFeed(RecordStore(tmp_path))
    assert list(feed.news().trials["trial"]) == [0]
    filled(tmp_path, 1)
    store.compact()
    filled(tmp_path, 3)
    assert list(feed.news().trials["trial"]) == [1, 3]
    assert feed.news().trials.empty
    store.compact()
    assert feed.news().trials.empty


def test_a_feed_hands_out_a_failed_trial_again_once_it_was_run_again(tmp_path):
    row, curve = trial(1, state="failed")
    store, feed = filled(tmp_path, 0), RecordFeed(RecordStore(tmp_path))
    store.publish(row, curve)
    assert list(feed.news().trials["trial"]) == [0, 1]
    store.remove([1])
    assert feed.news().trials.empty
    store.publish(row | {"state": "complete", "finished": "2027-01-01T00:00:00+00:00"}, curve)
    again = feed.news()
    assert again.trials[["trial", "state"]].to_numpy().tolist() == [[1, "complete"]]
    assert set(again.curves["trial"]) == {1}
    assert feed.news().trials.empty
