import copy
import fcntl
import functools
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import synthetic

from induced_metric import records, tracking
from induced_metric.analysis import runs
from induced_metric.cli import commands
from induced_metric.errors import UserError
from induced_metric.records import RecordStore, StudyKey
from induced_metric.records.schema import OUTCOME
from induced_metric.tracking import mirror

pytestmark = pytest.mark.slow


def inspect(path: Path, *options: str) -> str:
    """What wandb's own reader says."""
    wandb = Path(sys.executable).with_name("wandb")
    done = subprocess.run(
        [wandb, "leet", "inspect", "--json", *options, str(path)], capture_output=True, text=True, check=True
    )
    return done.stdout


def offline_files(results: Path) -> list[Path]:
    return sorted((results / "wandb").glob("offline-run-*/*.wandb"))


class FakeRun:
    """An exported run as wandb.Api shows it."""

    def __init__(self, path: Path) -> None:
        entries = [json.loads(line) for line in inspect(path).splitlines()]
        described = next(entry["run"] for entry in entries if entry["type"] == "run")
        self.job_type, self.config = described["job_type"], described["config"]["update"]
        self.summary: dict = {}
        for entry in entries:
            if entry["type"] == "summary":
                self.summary |= entry["summary"]["update"]
        self.history = [entry["history"]["item"] for entry in entries if entry["type"] == "history"]

    def scan_history(self, page_size: int) -> list[dict]:
        assert page_size >= len(self.history)
        return self.history


class FakeApi:
    """The part of wandb.Api that is used, over exported runs and without a network."""

    found: list[FakeRun] = []  # noqa: RUF012

    def runs(self, path: str, filters: dict, per_page: int, lazy: bool) -> list[FakeRun]:
        assert path == "someone/a-project"
        assert not lazy
        assert per_page > 1

        def matches(run: FakeRun) -> bool:
            shown = {f"config.{name}": value for name, value in run.config.items()} | {
                "jobType": run.job_type
            }
            return all(
                shown.get(key) in (value["$in"] if isinstance(value, dict) else [value])
                for key, value in filters.items()
            )

        # The server promises no order.
        return [run for run in reversed(self.found) if matches(run)]


WHERE = {"entity": "someone", "project": "a-project"}


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> Path:
    """Two small studies of two samplers, exported once for all tests that only read."""
    results = tmp_path_factory.mktemp("exported")
    for optimizer in ("sgd_rms", "adam"):
        synthetic.write_study(results, optimizer, trials=4, epochs=5)
    synthetic.write_study(results, "adam", trials=3, epochs=5, sampler="tpe+hyperband", compact=False)
    assert tracking.export("regression", results=results, project="a-project", entity="someone") == 11
    return results


@pytest.fixture(scope="module")
def mirrored(exported) -> list[FakeRun]:
    return [FakeRun(path) for path in offline_files(exported)]


@pytest.fixture
def api(mirrored, monkeypatch) -> None:
    import wandb

    monkeypatch.setattr(FakeApi, "found", copy.deepcopy(mirrored))
    monkeypatch.setattr(wandb, "Api", FakeApi)


def test_every_trial_is_a_run_that_wandb_reads(exported) -> None:
    files = offline_files(exported)
    assert len(files) == 11
    path = next(p for p in files if p.name == "run-paper-regression-tpe_hyperband-adam-2.wandb")
    shown = json.loads(inspect(path, "--summary"))
    row, curve = synthetic.trial(2, optimizer="adam", sampler="tpe+hyperband", epochs=5, diverged=True)
    assert shown["name"] == "paper-regression-tpe+hyperband-adam-2"
    assert shown["project"] == "a-project"
    assert shown["state"] == "finished"
    assert shown["config"]["beta1"] == row["beta1"]
    assert shown["config"]["seed"] == row["seed"]
    assert shown["config"]["provenance"] == json.loads(row["provenance"])
    assert {name: shown["summary"][name] for name in OUTCOME} == {name: row[name] for name in OUTCOME}
    entries = [json.loads(line) for line in inspect(path).splitlines()]
    run = next(entry["run"] for entry in entries if entry["type"] == "run")
    assert run["run_group"] == "paper-regression-tpe+hyperband-adam"
    history = [entry["history"]["item"] for entry in entries if entry["type"] == "history"]
    assert [item["_step"] for item in history] == [0, 1, 2, 3, 4]
    assert [np.float32(item["train/loss"]) for item in history] == curve["train/loss"].tolist()
    assert history[-1]["test/loss"] == "NaN"
    # The last metrics are in the summary, whether or not the server derives one.
    assert np.float32(shown["summary"]["train/loss"]) == curve["train/loss"][-1]


def test_an_offline_run_is_small(exported) -> None:
    # As wandb comes it repeats each row as a summary and lists all packages: 100 KB for 200 epochs.
    entries = [json.loads(line) for line in inspect(offline_files(exported)[0]).splitlines()]
    assert sum(entry["type"] == "summary" for entry in entries) == 1
    assert not list((exported / "wandb").glob("*/files/requirements.txt"))


@pytest.mark.usefixtures("api")
@pytest.mark.parametrize("optimizers", [None, ["sgd_rms", "adam"], ["adam"]])
def test_wandb_gives_the_same_frames_as_the_records(exported, optimizers) -> None:
    here = records.load("regression", optimizers=optimizers, results=exported)
    there = tracking.load("regression", optimizers=optimizers, **WHERE)
    pd.testing.assert_frame_equal(there.trials, here.trials, check_exact=True)
    pd.testing.assert_frame_equal(there.curves, here.curves, check_exact=True)
    assert here.curves["test/loss"].isna().any()  # a diverged trial is among them


@pytest.mark.usefixtures("api")
def test_wandb_ignores_runs_without_an_outcome_and_live_ones() -> None:
    del FakeApi.found[0].summary["state"]
    live = copy.deepcopy(FakeApi.found[1])
    live.job_type = "train"
    FakeApi.found.append(live)
    load = functools.partial(tracking.load, **WHERE)
    there = runs.load_samplers("regression", ["tpe", "tpe+hyperband"], load=load)
    assert sum(len(found.trials) for found in there.values()) == 10


@pytest.mark.usefixtures("api")
def test_what_wandb_does_not_have_is_named() -> None:
    with pytest.raises(FileNotFoundError, match=r"no runs of muon .*someone/a-project; there are: adam"):
        tracking.load("regression", optimizers=["adam", "muon"], **WHERE)
    with pytest.raises(FileNotFoundError, match="no runs of mnist"):
        tracking.load("mnist", **WHERE)
    with pytest.raises(ValueError, match=r"needs samplers, such as \['tpe', 'random'\]"):
        runs.load_samplers("regression", load=tracking.load)


def test_only_what_is_not_exported_yet_is_exported(tmp_path) -> None:
    store = synthetic.write_study(tmp_path, "sgd", trials=3, epochs=2)
    seen: list[tuple[int, int]] = []
    count = tracking.export("regression", results=tmp_path, progress=lambda *at: seen.append(at))
    assert count == 3
    assert seen == [(0, 3), (1, 3), (2, 3), (3, 3)]
    assert tracking.export("regression", results=tmp_path) == 0
    row, curve = synthetic.trial(3, optimizer="sgd", epochs=2)
    store.append([row], [curve])
    assert tracking.export("regression", results=tmp_path) == 1
    assert len(offline_files(tmp_path)) == 4
    # Another project has none of them yet.
    assert tracking.export("regression", results=tmp_path, project="other") == 4
    # A study that was deleted and run again is exported again.
    shutil.rmtree(store.directory)
    store.append([row | {"finished": "2027-01-01T00:00:00+00:00"}], [curve])
    assert tracking.export("regression", results=tmp_path) == 1


def test_a_killed_export_repeats_only_the_run_in_flight(tmp_path, monkeypatch) -> None:
    synthetic.write_study(tmp_path, "sgd", trials=4, epochs=2)
    made: list[str] = []
    start = mirror.start

    def killed_at_the_third(*arguments, **options):
        run = start(*arguments, **options)
        made.append(options["id"])
        if len(made) == 3:
            run.finish()
            raise KeyboardInterrupt
        return run

    monkeypatch.setattr(mirror, "start", killed_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        tracking.export("regression", results=tmp_path)
    ledger = tmp_path / "wandb/exported-offline.txt"
    assert len(ledger.read_text().splitlines()) == 2
    with ledger.open("a") as file:
        file.write("/induced-metric/paper-regr")  # torn
    assert tracking.export("regression", results=tmp_path) == 2
    assert made[2:] == [
        "paper-regression-tpe-sgd-2",
        "paper-regression-tpe-sgd-2",
        "paper-regression-tpe-sgd-3",
    ]
    assert len(ledger.read_text().splitlines()) == 4
    assert tracking.export("regression", results=tmp_path) == 0
    # The run that was in flight is there once, and whole.
    assert len(offline_files(tmp_path)) == 4
    assert all("state" in FakeRun(path).summary for path in offline_files(tmp_path))


def publish(store, number: int, worker: str, **changes) -> None:
    """Records a trial as one worker of several does."""
    row, curve = synthetic.trial(number, optimizer="sgd", epochs=2)
    provenance = json.loads(row["provenance"]) | {"worker": worker}
    assert store.publish(row | {"provenance": json.dumps(provenance)} | changes, curve)


def test_workers_record_while_their_trials_are_mirrored_in_batches(tmp_path) -> None:
    store = RecordStore(StudyKey("paper", "regression", "tpe", "sgd").directory(tmp_path))
    feeds: dict = {}
    batch = functools.partial(tracking.export, "regression", results=tmp_path, feeds=feeds)
    for number, worker in [(0, "a"), (3, "b")]:
        publish(store, number, worker)
    assert batch() == 2
    assert batch() == 0
    # Late, out of order, and another study.
    for number, worker in [(1, "c"), (2, "a")]:
        publish(store, number, worker)
    synthetic.write_study(tmp_path, "adam", trials=3, epochs=2, compact=False)
    assert batch() == 5
    publish(store, 4, "b")
    store.compact()  # by the worker that saw the end, before the next look
    assert batch() == 1
    assert tracking.export("regression", results=tmp_path) == 0
    runs = [FakeRun(path) for path in offline_files(tmp_path)]
    workers = {
        run.config["trial"]: run.config["provenance"]["worker"]
        for run in runs
        if run.config["optimizer"] == "sgd"
    }
    assert workers == {0: "a", 1: "c", 2: "a", 3: "b", 4: "b"}
    assert len(runs) == 8


def test_a_trial_that_failed_before_its_first_epoch_is_mirrored_and_read_back(tmp_path, monkeypatch) -> None:
    import wandb

    store = RecordStore(StudyKey("paper", "regression", "tpe", "sgd").directory(tmp_path))
    row, curve = synthetic.trial(0, optimizer="sgd", epochs=2)
    publish(store, 1, "a")
    failed = row | {"state": "failed", "epochs": 0, "best_epoch": -1, "seconds": 0.0}
    store.publish(failed, {name: values[:0] for name, values in curve.items()})
    assert tracking.export("regression", results=tmp_path) == 2
    (run,) = (run for run in map(FakeRun, offline_files(tmp_path)) if run.config["trial"] == 0)
    assert (run.summary["state"], run.history) == ("failed", [])
    monkeypatch.setattr(FakeApi, "found", [FakeRun(path) for path in offline_files(tmp_path)])
    monkeypatch.setattr(wandb, "Api", FakeApi)
    there, here = tracking.load("regression", **WHERE), records.load("regression", results=tmp_path)
    pd.testing.assert_frame_equal(there.trials, here.trials, check_exact=True)
    pd.testing.assert_frame_equal(there.curves, here.curves, check_exact=True)


def test_a_failed_trial_that_was_run_again_is_mirrored_again_in_the_next_batch(tmp_path) -> None:
    store = RecordStore(StudyKey("paper", "regression", "tpe", "sgd").directory(tmp_path))
    publish(store, 0, "a")
    publish(store, 1, "a", state="failed")
    feeds: dict = {}
    batch = functools.partial(tracking.export, "regression", results=tmp_path, feeds=feeds)
    assert batch() == 2
    store.remove([1])
    publish(store, 1, "b", finished="2027-01-01T00:00:00+00:00")
    assert (batch(), batch()) == (1, 0)
    runs = {run.config["trial"]: run.summary["state"] for run in map(FakeRun, offline_files(tmp_path))}
    assert runs == {0: "complete", 1: "complete"}


def test_the_command_mirrors_again_and_again_until_it_is_interrupted(tmp_path, monkeypatch, capsys) -> None:
    store = synthetic.write_study(tmp_path, "sgd", trials=1, epochs=2)
    naps: list[float] = []

    def nap(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 2:
            publish(store, 1, "a")
        if len(naps) == 3:  # an export by hand
            monkeypatch.setattr(mirror, "_ledger", refuse)
        if len(naps) == 4:
            monkeypatch.undo()
            raise KeyboardInterrupt

    def refuse(path: Path) -> None:
        raise UserError("another export is under way")

    monkeypatch.setattr(time, "sleep", nap)
    commands.main(["wandb", "--task", "regression", "--results", str(tmp_path), "--every", "30"])
    said = capsys.readouterr()
    assert [line for line in said.out.splitlines() if line.startswith("exported")] == [
        f"exported 1 trials to {tmp_path / 'wandb'} (mode offline)"
    ] * 2
    assert said.err == "induced-metric wandb: another export is under way\n"
    assert naps == [30.0] * 4


def killed(*arguments, start=mirror.start, **options):
    """Begins a run in the place of ``mirror.start``, and dies."""
    start(*arguments, **options).finish()
    raise KeyboardInterrupt


@pytest.mark.exhaustive
def test_an_export_to_a_second_project_leaves_the_runs_of_the_first(tmp_path, monkeypatch) -> None:
    store = synthetic.write_study(tmp_path, "sgd", trials=2, epochs=2)

    def projects() -> list[str]:
        return sorted(json.loads(inspect(path, "--summary"))["project"] for path in offline_files(tmp_path))

    assert tracking.export("regression", results=tmp_path, project="first") == 2
    time.sleep(1.1)  # wandb names a directory after the second in which its run begins
    with monkeypatch.context() as patched:
        patched.setattr(mirror, "start", killed)
        with pytest.raises(KeyboardInterrupt):
            tracking.export("regression", results=tmp_path, project="second")
    assert tracking.export("regression", results=tmp_path, project="second") == 2
    assert projects() == ["first", "first", "second", "second"]
    # A trial that was run again takes the place of its namesake, in its own project.
    row, curve = synthetic.trial(1, optimizer="sgd", epochs=2)
    shutil.rmtree(store.directory)
    store.append([row | {"finished": "2027-01-01T00:00:00+00:00"}], [curve])
    time.sleep(1.1)
    assert tracking.export("regression", results=tmp_path, project="first") == 1
    assert projects() == ["first", "first", "second", "second"]


def test_runs_that_an_older_ledger_lists_without_their_directory_stay(tmp_path) -> None:
    synthetic.write_study(tmp_path, "sgd", trials=1, epochs=2)
    tracking.export("regression", results=tmp_path, project="first")
    ledger = tmp_path / "wandb/exported-offline.txt"
    ledger.write_text("".join(line.split("\t")[0] + "\n" for line in ledger.read_text().splitlines()))
    assert tracking.export("regression", results=tmp_path, project="first") == 0
    time.sleep(1.1)  # wandb names a directory after the second in which its run begins
    assert tracking.export("regression", results=tmp_path, project="second") == 1
    assert len(offline_files(tmp_path)) == 2


def test_two_exports_at_once_are_refused(tmp_path) -> None:
    synthetic.write_study(tmp_path, "sgd", trials=3, epochs=2)
    (tmp_path / "wandb").mkdir()
    with (tmp_path / "wandb/exported-offline.txt").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(UserError, match="another export is under way"):
            tracking.export("regression", results=tmp_path)


def test_the_command_exports_and_says_where(tmp_path, capsys) -> None:
    for sampler in ("tpe", records.SINGLE):  # train.py mirrors its own
        synthetic.write_study(tmp_path, "sgd", trials=3, epochs=2, sampler=sampler)
    commands.main(["wandb", "--task", "regression", "--results", str(tmp_path), "--optimizers", "sgd"])
    assert f"exported 3 trials to {tmp_path / 'wandb'} (mode offline)" in capsys.readouterr().out


def test_an_optimizer_that_only_some_samplers_have_tuned_is_exported(tmp_path) -> None:
    synthetic.write_study(tmp_path, "adam", trials=2, epochs=2)
    synthetic.write_study(tmp_path, "sgd", trials=3, epochs=2, sampler="random")
    assert tracking.export("regression", results=tmp_path, optimizers=["sgd"]) == 3
    assert tracking.export("regression", results=tmp_path, samplers=["tpe"]) == 2
    with pytest.raises(
        FileNotFoundError, match=r"no records of regression under paper; there are: sgd .random.,"
    ):
        tracking.export("regression", results=tmp_path, samplers=["random"], optimizers=["adam"])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--task", "mnist"], "no records of mnist"),
        (["--task", "regression", "--optimizers", "muon"], "no records of muon of regression under paper"),
        (["--task", "regression", "--optimizers", "muon", "sgd"], "there are: sgd (tpe)"),
        (["--task", "regression", "--mode", "of"], "choose from"),
        ([], "--task"),
    ],
)
def test_bad_input_ends_in_one_sentence(tmp_path, capsys, arguments, sentence) -> None:
    synthetic.write_study(tmp_path, "sgd", trials=3, epochs=2)
    with pytest.raises(SystemExit) as ended:
        commands.main(["wandb", *arguments, "--results", str(tmp_path)])
    assert ended.value.code == 2
    complaint = capsys.readouterr().err.strip()
    assert sentence in complaint
    assert "\n" not in complaint


def test_windows_is_told_that_it_is_not_supported(tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(SystemExit) as ended:
        commands.main(["wandb", "--task", "regression", "--results", str(tmp_path)])
    assert ended.value.code == 2
    assert "Windows is not supported" in capsys.readouterr().err.splitlines()[-1]


def test_an_account_that_wandb_does_not_know_ends_in_one_sentence(tmp_path, capsys, monkeypatch) -> None:
    import wandb

    def refuse(**_: object) -> None:
        raise wandb.errors.UsageError("No API key configured.\nUse `wandb login`")

    monkeypatch.setattr(wandb, "init", refuse)
    synthetic.write_study(tmp_path, "sgd", trials=3, epochs=2)
    with pytest.raises(SystemExit) as ended:
        commands.main(["wandb", "--task", "regression", "--results", str(tmp_path)])
    assert ended.value.code == 1
    assert capsys.readouterr().err.splitlines()[-1] == "induced-metric wandb: W&B: No API key configured."
    assert (tmp_path / "wandb/exported-offline.txt").read_text() == ""


def test_a_live_run_logs_and_sums_up(tmp_path) -> None:
    with tracking.LiveRun("offline", {"seed": 3}, name="one", results=tmp_path) as run:
        for epoch in range(3):
            run.log(epoch, {"test/loss": np.float32(1 / (1 + epoch)), "seconds": 0.5})
        run.finish({"value": 0.3, "seconds": 1.5})
    (path,) = offline_files(tmp_path)
    shown = FakeRun(path)
    assert shown.job_type == "train"
    assert [item["epoch/seconds"] for item in shown.history] == [0.5] * 3
    assert shown.history[1]["test/loss"] == 0.5
    assert shown.summary["seconds"] == 1.5
    assert json.loads(inspect(path, "--summary"))["state"] == "finished"


def test_a_live_run_that_raises_is_marked_as_failed(tmp_path) -> None:
    with pytest.raises(ZeroDivisionError), tracking.LiveRun("offline", {}, results=tmp_path):
        _ = 1 / 0
    (path,) = offline_files(tmp_path)
    assert json.loads(inspect(path, "--summary"))["exit_code"] == 1


def test_disabled_never_imports_wandb_and_tracking_never_imports_jax(tmp_path) -> None:
    script = """
import sys
from induced_metric import records, tracking
with tracking.LiveRun("disabled", {"seed": 1}) as run:
    run.log(0, {"test/loss": 1.0})
    run.finish({"value": 1.0})
assert tracking.export("regression", mode="disabled") == 0
records.provenance(device="cpu")
print([name for name in ("wandb", "jax", "optuna") if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.stdout.strip() == "[]", done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("use", [lambda: tracking.LiveRun("on", {}), lambda: tracking.export("t", mode="on")])
def test_a_mode_that_does_not_exist_is_refused(use) -> None:
    with pytest.raises(ValueError, match="mode must be one of offline, online, disabled, got 'on'"):
        use()
