"""Sweeps by workers that a launcher placed, over PostgreSQL: killed, cancelled, queued again, complete."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from induced_metric import records

pytestmark = [pytest.mark.postgres, pytest.mark.faults]

ROOT = Path(__file__).parents[2]
TINY = ["task.train_examples=64", "task.test_examples=32", "task.batch_size=16", "task.widths=[4,1]"]
TRIALS = 40


@pytest.fixture
def address(postgres, monkeypatch):
    """The address of an empty database, in the environment; nowhere else may it be found."""
    monkeypatch.setenv("INDUCED_METRIC_STORAGE", postgres.url())
    return postgres.password


def command(results, *arguments):
    studies = ["optimizer=sgd,adam", "sampler=random", f"trials={TRIALS}", "task.epochs=800", *TINY]
    return [
        sys.executable, "sweeps/sweep.py", *studies, f"results={results}", "storage=postgresql", *arguments
    ]  # fmt: skip


def until(true, seconds=120):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.1)


def recorded(results):
    """How many trials are on record, of both studies."""
    try:
        return len(records.load("regression", sampler="random", results=results).trials)
    except FileNotFoundError:
        return 0


def check(results, secret):
    """Both studies have their trials, each once, and the address is in no file."""
    trials, curves = records.load("regression", sampler="random", results=results)
    for _, study in trials.groupby("optimizer"):
        assert sorted(study["trial"]) == list(range(TRIALS))
    assert trials["optimizer"].nunique() == 2
    assert len(curves) == len(curves.drop_duplicates(["optimizer", "trial", "epoch"]))
    assert not {"launcher", "worker", "storage"} & json.loads(trials["config"].iloc[0]).keys()
    files = [path for path in results.rglob("*") if path.is_file()]
    assert not [path for path in files if secret.encode() in path.read_bytes()]


def test_on_one_machine_a_worker_that_is_killed_is_started_again(tmp_path, address):
    local = ["launcher=local", "launcher.workers=2", "launcher.prefix=here", "launcher.pause=0.1"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(command(tmp_path, *local), text=True, cwd=ROOT, **pipes)
    try:
        until(lambda: recorded(tmp_path) or process.poll() is not None)
        find = ["pgrep", "--full", f"{tmp_path} .*worker=here-1$"]
        worker = int(subprocess.check_output(find, text=True))
        assert address not in Path(f"/proc/{worker}/cmdline").read_text()
        os.kill(worker, signal.SIGKILL)
    finally:
        if sys.exc_info()[0]:
            process.terminate()
        out, err = process.communicate()
    assert (process.returncode, err) == (0, ""), out
    assert "worker here-1 was killed by signal 9 (Killed); started again in 0.1 s (1 of 10)\n" in out
    assert out.endswith("finished\n")
    check(tmp_path, address)


@pytest.mark.slurm
def test_on_a_real_slurm_the_studies_complete_with_one_cancelled_and_one_queued_again(
    tmp_path, slurm, address
):
    settings = ["launcher=slurm", "launcher.workers=3", "launcher.cpus=1", "launcher.minutes=15"]
    out = subprocess.check_output(command(tmp_path, *settings), text=True, cwd=ROOT)
    job = re.match(r"submitted 3 workers as job (\d+)\n", out)[1]

    def log(element):
        path = tmp_path / "workers" / f"slurm-{job}-{element}.log"
        return path.read_text() if path.exists() else ""

    try:
        until(lambda: recorded(tmp_path) and all("device: " in log(element) for element in (0, 1)))
        subprocess.run(["scancel", f"{job}_0"], check=True)
        subprocess.run(["scancel", "--signal=USR2", f"{job}_1"], check=True)
        until(lambda: slurm(job).get("1") == "PENDING")
        assert recorded(tmp_path) < 2 * TRIALS
        subprocess.run(["scontrol", "update", f"JobId={job}_1", "StartTime=now"], check=True)
        until(lambda: not slurm(job), 300)
    finally:
        subprocess.run(["scancel", job], check=True)
    for element in (0, 1):
        assert log(element).count("stopped after the epochs under way; the same command continues") == 1
    assert [log(element).count("device: ") for element in (0, 1, 2)] == [1, 2, 1]
    check(tmp_path, address)
