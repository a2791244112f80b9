"""``induced-metric status``: what it says of studies, to people and to programs, while they run."""

import contextlib
import fcntl
import json
from datetime import datetime

import optuna
import pytest
import synthetic

from induced_metric.cli import commands, status
from induced_metric.cli.watched import Watched
from induced_metric.records import RecordStore, StudyKey
from induced_metric.studies.journal import Journal
from induced_metric.studies.watching import TRIALS

LANES = {"layout": "map", "width": 2, "queue": 1, "places": 1}
STUDY = {
    "protocol", "task", "sampler", "optimizer", "name", "wanted", "finished", "complete", "pruned", "failed",
    "diverged", "reclaimed", "objective", "direction", "best", "occupancy", "trials_per_second",
    "last_finished", "workers", "seconds_left", "under_way",
}  # fmt: skip
WORKER = {"worker", "finished", "reclaimed", "failed", "under_way", "heartbeat_seconds", "last_finished"}


def publish(results, number, worker, *, optimizer="sgd", lost=0, **changes):
    """Records a trial as a worker of many does: one ends every second."""
    row, curve = synthetic.trial(number, optimizer=optimizer, epochs=3)
    facts = {"worker": worker, "lanes": LANES, "devices": 1} | ({"lost": lost} if lost else {})
    store = RecordStore(StudyKey("paper", "regression", "tpe", optimizer).directory(results))
    store.publish(row | {"seconds": 1.0, "provenance": json.dumps(facts)} | changes, curve)


def ended(number):
    """When a trial of ``publish`` ended."""
    return datetime.fromisoformat(f"2026-01-01T00:00:{number:02d}+00:00").timestamp()


def journal(results, optimizer, *, asked, told, wanted):
    path = StudyKey("paper", "regression", "tpe", optimizer).directory(results, "studies")
    path.parent.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(
        storage=optuna.storages.JournalStorage(Journal(path.with_name(f"{optimizer}.journal")))
    )
    study.set_user_attr(TRIALS, wanted)
    for _ in range(asked):
        study.ask()
    for number in range(told):
        study.tell(number, 1.0)
    path.with_name(f"{optimizer}.lock").touch()


@pytest.fixture
def results(tmp_path):
    """Two workers' study of 20 trials, 12 of them recorded, and one that has only been begun."""
    worst = {"value": 3e38}
    odd = {3: {"state": "pruned"}, 4: {"diverged": True, **worst}, 5: {"state": "failed", **worst}}
    for number in range(12):
        lost = {5: 5, 7: 1}.get(number, 0)
        publish(tmp_path, number, f"node-{number % 2}", lost=lost, **odd.get(number, {}))
    journal(tmp_path, "sgd", asked=16, told=11, wanted=20)
    journal(tmp_path, "adam", asked=2, told=0, wanted=5)
    return tmp_path


def looked(results, now, **chosen):
    said = Watched(results, **chosen).look(now)
    return said, {study["optimizer"]: study for study in said["studies"]}


def test_a_study_is_counted_from_its_records(results):
    said, studies = looked(results, ended(11))
    sgd = studies["sgd"]
    assert said["results"] == str(results)
    counts = ("finished", "wanted", "complete", "pruned", "failed", "diverged", "reclaimed")
    assert [sgd[count] for count in counts] == [12, 20, 10, 1, 1, 1, 2]
    values = [synthetic.trial(n, optimizer="sgd", epochs=3)[0]["value"] for n in range(12) if n not in (4, 5)]
    assert sgd["best"] == min(values)
    assert sgd["last_finished"] == ended(11)
    # From the beginning of the first, which had half of its device for 2 s.
    assert sgd["trials_per_second"] == pytest.approx(12 / 13)
    assert sgd["seconds_left"] == pytest.approx(8 * 13 / 12)
    # Two workers, each with a trial of one second every other second.
    assert sgd["occupancy"] == pytest.approx(0.5)


def test_what_is_recorded_is_not_under_way_though_the_journal_is_behind(results):
    _, studies = looked(results, ended(11))
    assert [trial["trial"] for trial in studies["sgd"]["under_way"]] == [12, 13, 14, 15]
    assert [trial["trial"] for trial in studies["adam"]["under_way"]] == [0, 1]


def test_a_study_without_a_record_is_there(results):
    _, studies = looked(results, ended(11))
    adam = studies["adam"]
    assert (adam["finished"], adam["wanted"], adam["best"], adam["seconds_left"]) == (0, 5, None, None)


def test_workers_are_counted_over_all_studies(results):
    for number in range(3):
        publish(results, number, "node-1", optimizer="adam", finished="2026-01-01T00:01:00+00:00")
    workers = {each["worker"]: each for each in looked(results, ended(11))[0]["workers"]}
    assert [workers["node-0"][fact] for fact in ("finished", "reclaimed", "failed")] == [6, 0, 0]
    assert [workers["node-1"][fact] for fact in ("finished", "reclaimed", "failed")] == [9, 2, 1]
    assert workers["node-1"]["last_finished"] == ended(0) + 60


def test_a_task_or_a_protocol_can_be_chosen(results):
    synthetic.write_study(results, "muon", task="mnist", trials=3, epochs=2)
    assert looked(results, 0.0, task="mnist")[1].keys() == {"muon"}
    assert looked(results, 0.0)[1].keys() == {"adam", "muon", "sgd"}
    assert looked(results, 0.0, protocol="fair")[0]["studies"] == []


def test_looking_again_reads_what_is_new(results):
    watched = Watched(results)
    watched.look(ended(11))
    publish(results, 12, "node-0")
    finished = {study["optimizer"]: study["finished"] for study in watched.look(ended(12))["studies"]}
    assert finished == {"adam": 0, "sgd": 13}


def test_a_failed_trial_that_was_run_again_is_counted_once(results):
    watched = Watched(results)
    watched.look(ended(11))
    RecordStore(StudyKey("paper", "regression", "tpe", "sgd").directory(results)).remove([5])
    publish(results, 5, "node-1", finished="2026-01-01T00:00:12+00:00")
    sgd = watched.look(ended(12))["studies"][1]
    assert [sgd[count] for count in ("finished", "complete", "failed")] == [12, 11, 0]


def test_the_json_object_keeps_its_keys(results, capsys):
    commands.main(["status", "--results", str(results), "--json"])
    (line,) = capsys.readouterr().out.splitlines()
    said = json.loads(line)
    assert said.keys() == {"results", "time", "studies", "workers"}
    assert all(study.keys() == STUDY for study in said["studies"])
    assert {key for worker in said["workers"] for key in worker} == WORKER
    (first, *_) = said["studies"][1]["workers"]
    assert first.keys() == {"worker", "finished", "reclaimed", "failed", "last_finished"}
    assert said["studies"][0]["under_way"][0].keys() == {"trial", "worker", "heartbeat_seconds"}


def test_nothing_is_locked_waited_for_or_written(results, capsys):
    with contextlib.ExitStack() as held:
        for path in results.rglob("*.lock"):
            fcntl.flock(held.enter_context(path.open()), fcntl.LOCK_EX)
        before = {path: path.stat().st_mtime_ns for path in results.rglob("*")}
        commands.main(["status", "--results", str(results)])
        assert {path: path.stat().st_mtime_ns for path in results.rglob("*")} == before
    assert "12/20" in capsys.readouterr().out


def test_the_table_has_a_row_a_study_and_a_worker_and_no_empty_column(results, capsys):
    commands.main(["status", "--results", str(results)])
    lines = capsys.readouterr().out.splitlines()
    headings, *_ = (line for line in lines if "finished" in line)
    assert "reclaimed" in headings
    assert "speed" not in headings  # nobody seems to train: the last trial ended long ago
    assert len([line for line in lines if "paper-regression-tpe-" in line]) == 2
    assert len([line for line in lines if "node-" in line]) == 2


def test_a_directory_without_a_study_says_so(tmp_path, capsys):
    commands.main(["status", "--results", str(tmp_path)])
    assert capsys.readouterr().out.strip() == f"no study in {tmp_path}"


def test_it_is_said_again_until_all_is_done(tmp_path, monkeypatch, capsys):
    publish(tmp_path, 0, "a")
    journal(tmp_path, "sgd", asked=2, told=1, wanted=2)
    naps = []

    def nap(seconds):
        naps.append(seconds)
        publish(tmp_path, 1, "a")

    monkeypatch.setattr(status.time, "sleep", nap)
    commands.main(["status", "--results", str(tmp_path), "--json", "--every", "7"])
    said = [json.loads(line)["studies"][0] for line in capsys.readouterr().out.splitlines()]
    assert [(study["finished"], study["wanted"]) for study in said] == [(1, 2), (2, 2)]
    assert naps == [7.0]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--every", "0"], "argument --every: must be a number of seconds above 0, got 0"),
        (["--every", "soon"], "argument --every: must be a number of seconds above 0, got soon"),
        (["--storage", "sqlite"], "argument --storage: invalid choice: 'sqlite'"),
        (["--storage", "postgresql"], "storage=postgresql needs the URL of the database"),
        (["--storage", "postgresql", "--url-file", "/nowhere"], "storage.url_file: cannot read /nowhere"),
    ],
)
def test_a_mistake_ends_in_one_sentence(tmp_path, monkeypatch, capsys, arguments, sentence):
    monkeypatch.delenv("INDUCED_METRIC_STORAGE", raising=False)
    with pytest.raises(SystemExit) as ended:
        commands.main(["status", "--results", str(tmp_path), *arguments])
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"induced-metric status: {sentence}")
