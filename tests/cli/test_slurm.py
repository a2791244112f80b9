"""Workers as elements of a SLURM array: what is submitted, what a signal does, and on a real SLURM."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from induced_metric.cli import slurm
from induced_metric.cli.launch import Sweep
from induced_metric.cli.slurm import Slurm
from induced_metric.cli.values import CONF
from induced_metric.errors import UserError

FAKE = Path(__file__).parents[1] / "helpers" / "worker.py"
SECRET = "postgresql+psycopg://me:hunter2@db/studies"
DEFAULTS = yaml.safe_load((CONF / "launcher" / "slurm.yaml").read_text())
SBATCH = """#!/bin/sh
cp "$1" "{copy}"
echo Submitted batch job 70
"""


def launcher(**changed):
    return Slurm(**{name: value for name, value in DEFAULTS.items() if name != "_target_"} | changed)


def sweep(directory, todo="wait"):
    command = [sys.executable, "-S", str(FAKE), todo, str(directory / "file")]
    return Sweep(command=command, logs=directory / "workers")


def until(true, seconds=30):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.1)


def submitted(directory, **changed):
    """What the launcher prints, submitting in a process of its own, which must not wait for the workers."""
    code = f"""
import pathlib
from induced_metric.cli.slurm import Slurm, Sweep
sweep = Sweep(command={sweep(directory).command!r}, logs=pathlib.Path({str(directory / "workers")!r}))
raise SystemExit(Slurm(**{vars(launcher(**changed))!r}).launch(sweep))
"""
    # Submitit's local controller keeps what it was given as its output: a pipe would not end before it does.
    with (directory / "out").open("w") as out:
        subprocess.run([sys.executable, "-c", code], check=True, stdout=out, stderr=out, timeout=60)
    return (directory / "out").read_text().splitlines()


def logs(directory):
    return {path.stem: path.read_text() for path in (directory / "workers").glob("*.log")}


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """Commands named like SLURM's: ``sbatch`` keeps the job script that it gets."""
    commands = tmp_path / "bin"
    commands.mkdir()

    def write(**scripts):
        for name, script in scripts.items():
            (commands / name).write_text(script)
            (commands / name).chmod(0o755)

    monkeypatch.setenv("PATH", f"{commands}:/usr/bin:/bin")
    # Else it sets up logging, which closes what pytest captures.
    monkeypatch.setenv("SUBMITIT_LOG_LEVEL", "NOCONFIG")
    write(srun="#!/bin/sh\n", sbatch=SBATCH.format(copy=tmp_path / "script"))
    return write


def test_an_array_is_submitted_with_what_the_configuration_says(tmp_path, stand_in, monkeypatch, capsys):
    monkeypatch.setenv("INDUCED_METRIC_STORAGE", SECRET)
    chosen = {"partition": "gpu", "account": "lab", "gpus": 1, "cpus": 4, "memory": 16, "minutes": 90}
    code = launcher(
        workers=16, parallel=4, setup=["module load cuda"], sbatch={"qos": "low"}, **chosen
    ).launch(sweep(tmp_path))
    script = (tmp_path / "script").read_text()
    options = dict(re.findall(r"^#SBATCH --([a-z-]+)=?(.*)$", script, re.MULTILINE))
    expected = {
        "array": "0-15%4", "partition": "gpu", "account": "lab", "gpus-per-node": "1", "cpus-per-task": "4",
        "mem": "16GB", "time": "90", "qos": "low", "requeue": "", "signal": "USR2@120", "open-mode": "append",
    }  # fmt: skip
    assert expected.items() <= options.items()
    assert "\nmodule load cuda\n" in script
    assert re.search(r"^srun .*--cpus-per-task=4 ", script, re.MULTILINE)
    assert (code, capsys.readouterr().out.splitlines()) == (
        0,
        [
            "submitted 16 workers as job 70, at most 4 at a time",
            "  watch:  squeue --jobs 70",
            f"  logs:   tail -F {tmp_path}/workers/slurm-70-*.log",
            f"          {tmp_path}/workers/submitit has SLURM's output for a worker without a log",
            "  cancel: scancel 70; the same command continues",
        ],
    )
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len([path for path in files if path.suffix == ".pkl"]) == 16
    assert not [path for path in files if b"hunter2" in path.read_bytes()]


def test_without_slurm_or_against_its_will_there_is_one_sentence(tmp_path, stand_in, monkeypatch, capsys):
    said = ["invalid partition specified: gpuu", "Batch job submission failed: Invalid partition name"]
    words = "\n".join(f"echo sbatch: error: {line} >&2" for line in said)
    stand_in(sbatch=f"#!/bin/sh\n{words}\nexit 1\n")
    with pytest.raises(UserError, match=f"^launcher: {said[0]}; {said[1]}$"):
        launcher(partition="gpuu").launch(sweep(tmp_path))
    assert capsys.readouterr().err == ""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=r'^launcher: Could not detect "srun"'):
        launcher().launch(sweep(tmp_path))
    with pytest.raises(UserError, match=r"launcher\.stop_seconds must be less than the time limit"):
        launcher(minutes=2).launch(sweep(tmp_path))


@pytest.mark.slow
def test_submitits_processes_run_the_workers_and_queue_a_warned_one_again(tmp_path, monkeypatch):
    monkeypatch.setenv("INDUCED_METRIC_STORAGE", SECRET)
    begun = time.monotonic()
    lines = submitted(tmp_path, cluster="local", workers=2)
    assert lines[0].startswith("submitted 2 workers as job ")
    ids = [int(number) for number in lines[0].partition(" as job ")[2].split(", ")]
    assert time.monotonic() - begun < 30
    names = [f"local-{number}" for number in ids]
    try:
        until(lambda: sorted(logs(tmp_path)) == sorted(names) and all(logs(tmp_path).values()))
        for name, log in logs(tmp_path).items():
            # The address came by the environment.
            assert re.match(rf"begun launcher=none worker={name} cores=.* address={len(SECRET)} ", log)
        files = [path for path in tmp_path.rglob("*") if path.is_file()]
        assert not [path for path in files if b"hunter2" in path.read_bytes()]
        # The warning before the time limit, to one: its worker stops in order and runs again under its name.
        element = int(subprocess.check_output(["pgrep", "--parent", str(ids[0])], text=True))
        os.kill(element, signal.SIGUSR2)
        until(lambda: logs(tmp_path)[names[0]].count("begun") == 2)
        assert logs(tmp_path)[names[0]].count("stopped; the same command continues") == 1
        assert logs(tmp_path)[names[1]].count("begun") == 1
    finally:
        (tmp_path / "file").touch()
    until(lambda: all("all studies have their trials" in log for log in logs(tmp_path).values()))


@pytest.mark.slurm
@pytest.mark.slow
def test_on_a_real_slurm_one_is_cancelled_two_are_queued_again_and_all_is_done(tmp_path, slurm, monkeypatch):
    monkeypatch.setenv("INDUCED_METRIC_STORAGE", SECRET)
    lines = submitted(tmp_path, workers=4, cpus=1, minutes=5, stop_seconds=60)
    job = re.fullmatch(r"submitted 4 workers as job (\d+)", lines[0])[1]

    def begun(element):
        return logs(tmp_path).get(f"slurm-{job}-{element}", "").count("begun")

    def stopped(element):
        return logs(tmp_path)[f"slurm-{job}-{element}"].count("stopped; the same command continues")

    def at_once(element):
        until(lambda: slurm(job).get(element) == "PENDING")  # SLURM waits for two minutes by itself
        subprocess.run(["scontrol", "update", f"JobId={job}_{element}", "StartTime=now"], check=True)

    try:
        # Two nodes of one core: the other two wait for their turn.
        until(lambda: begun(0) == begun(1) == 1)
        assert (begun(2), begun(3)) == (0, 0)
        subprocess.run(["scancel", f"{job}_0"], check=True)
        until(lambda: begun(2) == 1)
        assert stopped(0) == 1
        # The time limit is near; and a preemption with a time of grace begins.
        for element, number in (("1", "USR2"), ("2", "TERM")):
            subprocess.run(["scancel", f"--signal={number}", f"{job}_{element}"], check=True)
            at_once(element)
        until(lambda: begun(1) == 2, 120)
        assert stopped(1) == 1
        (tmp_path / "file").touch()
        until(lambda: not slurm(job), 120)
    finally:
        (tmp_path / "file").touch()
        subprocess.run(["scancel", job], check=True)
    for element in (1, 2, 3):
        assert logs(tmp_path)[f"slurm-{job}-{element}"].endswith("all studies have their trials\n"), element
    assert (begun(0), begun(1), begun(2)) == (1, 2, 2)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not [path for path in files if b"hunter2" in path.read_bytes()]


def test_a_worker_keeps_the_cards_that_slurm_gives_it(tmp_path, monkeypatch):
    started = []

    def start(workers, *_, **__):
        started.extend(workers)
        raise KeyboardInterrupt

    here = {"SUBMITIT_EXECUTOR": "slurm", "SLURM_JOB_ID": "70", "CUDA_VISIBLE_DEVICES": "3"}
    for name, value in here.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(slurm, "Supervisor", start)
    with pytest.raises(KeyboardInterrupt):
        slurm._Element(sweep(tmp_path), launcher(workers=2))()
    assert [worker.environment for worker in started] == [{}]


@pytest.mark.parametrize(("code", "again"), [(0, True), (1, True), (2, False)])
def test_a_warned_element_is_queued_again_unless_it_refused(tmp_path, monkeypatch, code, again):
    class Warned:
        def __init__(self, *_, **__):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def run(self, came):
            came.append(signal.SIGUSR2)
            return code

    queued = []
    for name, value in {"SUBMITIT_EXECUTOR": "slurm", "SLURM_JOB_ID": "70"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(slurm, "Supervisor", Warned)
    before = signal.signal(signal.SIGUSR2, lambda *_: queued.append(True))
    try:
        with pytest.raises(SystemExit) if code else contextlib.nullcontext():
            slurm._Element(sweep(tmp_path), launcher(workers=2))()
    finally:
        signal.signal(signal.SIGUSR2, before)
    assert bool(queued) == again
