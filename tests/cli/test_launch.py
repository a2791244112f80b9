"""Launchers: what a worker is started with, its share of the machine, and what is refused."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import hydra
import pytest

from induced_metric import records, xla
from induced_metric.cli import launch, values
from induced_metric.cli.launch import Local, Sweep
from induced_metric.errors import UserError

ROOT = Path(__file__).parents[2]
TINY = [
    "task.epochs=10",
    "task.train_examples=64",
    "task.test_examples=32",
    "task.batch_size=16",
    "task.widths=[4,1]",
]
RESTARTS = {"restarts": 1, "pause": 0, "longest_pause": 60}


def place(results, *overrides):
    """What a job with these settings does: trains here, or raises what the launcher ends with."""
    trained = []
    with hydra.initialize_config_dir(str(values.CONF), version_base="1.3"):
        cfg = hydra.compose("sweep", [f"results={results}", *overrides])
    launch.placed(trained.append)(cfg)
    return trained


def test_without_a_launcher_this_process_is_the_worker(tmp_path):
    (cfg,) = place(tmp_path, "worker=node-3.b_1")
    assert cfg.worker == "node-3.b_1"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["launcher=local", "launcher.workers=0"], "launcher.workers: input should be greater than or equal"),
        (["launcher=local", "launcher.pin=maybe"], "launcher.pin: input should be a valid boolean"),
        (["launcher=local", "launcher.prefix=a b"], "launcher.prefix: string should match pattern"),
        (
            ["launcher=local", "launcher.card_memory=2"],
            "launcher.card_memory: input should be less than or",
        ),
        (["launcher=local", "launcher.restarts=-1"], "launcher.restarts: input should be greater than or eq"),
        (["launcher=local", "+launcher.gpus=1"], "unknown 'launcher.gpus': allowed are restarts, pause"),
        (["launcher=local", "launcher._target_=nowhere"], "launcher._target_: cannot find 'nowhere'"),
        (["launcher=local", "launcher._target_=builtins.print"], "launcher: must be called with a dataclass"),
        (["launcher=slurm", "launcher.minutes=0"], "launcher.minutes: input should be greater than or equal"),
        (["launcher=slurm", "launcher.cluster=pbs"], "launcher.cluster: input should be 'slurm' or 'local'"),
        (["launcher=slurm", "launcher.memory=much"], "launcher.memory: input should be a valid number"),
        (["worker=a/b"], "worker must be a name of letters, digits, '.', '_' and '-', got 'a/b'"),
    ],
)
def test_a_bad_setting_ends_in_one_sentence(tmp_path, overrides, sentence):
    with pytest.raises(UserError) as error:
        place(tmp_path, *overrides)
    assert str(error.value).startswith(sentence)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("given", "name"), [("3", "3"), ("0", "0"), ("null", None)])
def test_the_name_of_a_worker_may_be_a_number(tmp_path, given, name):
    (cfg,) = place(tmp_path, f"worker={given}")
    assert cfg.worker == name


@pytest.mark.parametrize("launcher", ["local", "slurm"])
def test_the_journal_is_for_one_worker(tmp_path, launcher):
    with pytest.raises(UserError, match=r"launcher\.workers=4 needs storage=postgresql"):
        place(tmp_path, f"launcher={launcher}", "launcher.workers=4")


def test_a_worker_has_the_command_of_the_sweep_without_its_launcher(monkeypatch):
    given = ["-m", "task=mnist", "launcher=slurm", "launcher.gpus=1", "+launcher.sbatch.qos=low", "worker=a"]
    kept = ["-m", "task=mnist"]
    # The console script takes its own word away.
    for start in (["sweeps/sweep.py"], ["-X", "dev", "-m", "induced_metric", "sweep"]):
        monkeypatch.setattr(sys, "argv", ["sweep.py", *given])
        monkeypatch.setattr(sys, "orig_argv", ["python", *start, *given])
        assert launch.command() == [sys.executable, *start, *kept]
    monkeypatch.setattr(sys, "argv", ["sweep.py"])
    monkeypatch.setattr(sys, "orig_argv", ["python", "sweeps/sweep.py"])
    worker = Sweep(command=launch.command(), logs=Path("logs")).worker("node-1", "lanes.devices=2")
    settings = ["lanes.devices=2", "launcher=none", "worker=node-1"]
    assert worker.command == [sys.executable, "sweeps/sweep.py", *settings]
    assert worker.log == Path("logs/node-1.log")


def shares(monkeypatch, workers, *, cores, allowed, devices="auto", pin=True):
    """What each of so many workers gets on a machine without cards: its cores, settings and variables."""
    monkeypatch.setattr(xla, "cores", lambda: cores)
    monkeypatch.setattr(launch, "_affinity", lambda: allowed)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    launcher = Local(workers=workers, prefix="n", pin=pin, card_memory=0.9, **RESTARTS)
    made = launcher._workers(Sweep(command=["sweep"], logs=Path("logs"), devices=devices))
    assert [worker.name for worker in made] == [f"n-{index}" for index in range(workers)]
    return [(sorted(worker.cores), worker.command[1:-2], worker.environment) for worker in made]


def test_workers_share_the_cores(monkeypatch):
    five = list(range(5))
    assert shares(monkeypatch, 2, cores=5, allowed=five) == [([0, 2, 4], [], {}), ([1, 3], [], {})]
    assert [cores for cores, *_ in shares(monkeypatch, 3, cores=2, allowed=[4, 7])] == [[4], [7], [4]]
    assert shares(monkeypatch, 2, cores=5, allowed=five, devices=1)[1] == ([1, 3], [], {})


def test_where_cores_are_a_quota_workers_share_their_number(monkeypatch):
    many = list(range(64))
    assert shares(monkeypatch, 2, cores=5, allowed=many) == [([], ["lanes.devices=2"], {})] * 2
    assert shares(monkeypatch, 8, cores=5, allowed=many)[7] == ([], ["lanes.devices=1"], {})
    assert shares(monkeypatch, 2, cores=5, allowed=many, devices=3) == [([], [], {})] * 2
    assert shares(monkeypatch, 2, cores=4, allowed=[0, 1, 2, 3], pin=False)[0] == (
        [],
        ["lanes.devices=2"],
        {},
    )


def card_shares(monkeypatch, workers, visible, **user):
    """The cards of each of so many workers, and its part of their memory; ``user`` is what a user has set."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    for name in ("XLA_CLIENT_MEM_FRACTION", "XLA_PYTHON_CLIENT_MEM_FRACTION"):
        monkeypatch.delenv(name, raising=False)
    for name, value in user.items():
        monkeypatch.setenv(name, value)
    launcher = Local(workers=workers, prefix="n", pin=False, card_memory=0.9, **RESTARTS)
    made = [worker.environment for worker in launcher._workers(Sweep(command=["sweep"], logs=Path("logs")))]
    assert all(own.keys() <= {"CUDA_VISIBLE_DEVICES", "XLA_CLIENT_MEM_FRACTION"} for own in made)
    return [tuple(own.values()) for own in made]


@pytest.mark.parametrize(
    ("workers", "visible", "shares"),
    [
        (2, "0,1,GPU-5", [("0,GPU-5",), ("1",)]),
        (2, "3,5", [("3",), ("5",)]),  # those that SLURM gave this process
        (2, "0", [("0", "0.450")] * 2),
        (3, "0,1", [("0", "0.450"), ("1",), ("0", "0.450")]),
        (5, "GPU-1,GPU-2", [("GPU-1", "0.300"), ("GPU-2", "0.450")] * 2 + [("GPU-1", "0.300")]),
        (1, "0,1", [()]),
        (2, "", [(), ()]),
        (2, "-1", [(), ()]),
        (2, "NoDevFiles", [(), ()]),
        (2, "0,-1,1", [("0", "0.450")] * 2),
    ],
)
def test_workers_share_the_cards_and_the_memory_of_few(monkeypatch, workers, visible, shares):
    assert card_shares(monkeypatch, workers, visible) == shares


@pytest.mark.parametrize("name", ["XLA_CLIENT_MEM_FRACTION", "XLA_PYTHON_CLIENT_MEM_FRACTION"])
def test_a_part_of_the_memory_that_the_user_has_set_is_left_alone(monkeypatch, name):
    # Both names at once JAX refuses.
    assert card_shares(monkeypatch, 2, "0", **{name: "0.3"}) == [("0",)] * 2


def test_jax_reads_the_part_of_the_memory(monkeypatch):
    client = pytest.importorskip("jaxlib.xla_client")
    (_, part), _ = card_shares(monkeypatch, 2, "0")
    monkeypatch.setenv("XLA_CLIENT_MEM_FRACTION", part)
    assert client.generate_pjrt_gpu_plugin_options()["memory_fraction"] == 0.45


def test_cards_are_those_that_nvidia_smi_lists(monkeypatch, tmp_path):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert launch._cards() == []
    script = tmp_path / "nvidia-smi"
    script.write_text('#!/bin/sh\n[ "$1" = --query-gpu=uuid ] && echo GPU-1 && echo GPU-2\n')
    script.chmod(0o755)
    assert launch._cards() == ["GPU-1", "GPU-2"]
    script.write_text("#!/bin/sh\necho No devices were found\n")
    assert launch._cards() == []


def sweep(results, *arguments):
    command = [sys.executable, "sweeps/sweep.py", *TINY, f"results={results}", *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, text=True, cwd=ROOT, start_new_session=True, **pipes)


HERE = ["launcher=local", "launcher.workers=1", "launcher.prefix=here"]


@pytest.mark.slow
def test_a_sweep_under_the_local_launcher_runs_all_its_studies(tmp_path):
    process = sweep(tmp_path, *HERE, "optimizer=sgd,adam", "task.epochs=2", "trials=2", "sampler=random")
    out, err = process.communicate()
    log = tmp_path / "workers" / "here-0.log"
    assert (process.returncode, err) == (0, "")
    assert out.splitlines() == [f"worker here-0 started, log {log}", "worker here-0 finished"]
    assert "paper-regression-random-adam: finished 2/2" in log.read_text()
    trials = records.load("regression", sampler="random", results=tmp_path).trials
    assert list(trials.groupby("optimizer").size()) == [2, 2]
    # What places the workers is no part of a study.
    assert not {"launcher", "worker", "storage"} & json.loads(trials["config"].iloc[0]).keys()


@pytest.mark.faults
@pytest.mark.parametrize(
    ("how", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)], ids=["SIGTERM", "Ctrl-C"]
)
def test_a_signal_stops_the_workers_of_a_sweep_in_order(tmp_path, how, code):
    process = sweep(tmp_path, *HERE, "optimizer=sgd", "task.epochs=10", "trials=5000")
    while not list(tmp_path.glob("records/*/*/*/*/pending/*.parquet")):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.05)
    # As a terminal does, which sends Ctrl-C to all that it started.
    os.killpg(process.pid, how) if how == signal.SIGINT else process.send_signal(how)
    try:
        out, err = process.communicate(timeout=120)
    finally:
        subprocess.run(["pkill", "--signal", "KILL", "--full", f"results={tmp_path}"], check=False)
    assert (process.returncode, err) == (code, "")
    assert out.splitlines()[1:] == ["worker here-0 stopped", "stopped; the same command continues"]
    assert "the same command continues" in (tmp_path / "workers" / "here-0.log").read_text()


@pytest.mark.slow
def test_a_worker_that_refuses_ends_the_sweep_with_its_sentence(tmp_path):
    process = sweep(tmp_path, "launcher=local", "launcher.workers=1", "search_space.momentum.high=2")
    out, err = process.communicate()
    assert process.returncode == 2
    assert err == "sweep.py: search_space: momentum must be in [0, 1), got 2.0\n"
    assert "refused to run; the others are stopped" in out


@pytest.mark.slow
def test_the_command_line_names_the_launchers(tmp_path):
    process = sweep(tmp_path, "launcher=slrum")
    _, err = process.communicate()
    assert process.returncode == 2
    assert err == "sweep.py: unknown launcher 'slrum': allowed are local, none, slurm; did you mean slurm?\n"
    assert not os.listdir(tmp_path)
