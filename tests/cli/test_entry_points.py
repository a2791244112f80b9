"""train.py and sweeps/sweep.py as a person runs them: in processes of their own."""

import functools
import json
import os
import signal
import subprocess
import sys
import time
import types
from pathlib import Path

import optax
import pandas as pd
import pytest

from induced_metric import records
from induced_metric.cli import app

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
OPTIMIZERS = sorted(path.stem for path in (ROOT / "conf" / "optimizer").glob("*.yaml"))
TINY = [
    "task.train_examples=64",
    "task.test_examples=32",
    "task.batch_size=16",
    "task.widths=[4,1]",
    "task.epochs=5",
    "lanes.devices=2",  # as in this process, whose programs are then the same to the bit
]


def run(script, *arguments):
    command = [sys.executable, str(ROOT / script), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)


def succeed(script, *arguments):
    done = run(script, *arguments)
    assert done.returncode == 0, done.stderr
    return done


def sweep(results, *arguments):
    return succeed("sweeps/sweep.py", *TINY, f"results={results}", *arguments)


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    results = tmp_path_factory.mktemp("results")
    done = sweep(results, "optimizer=sgd,sgd_log_metric", "trials=11")
    return results, done.stdout


def test_a_sweep_records_its_trials_and_says_where_it_stands(swept):
    results, out = swept
    trials, curves = records.load("regression", results=results)
    assert list(trials.groupby("optimizer").size().items()) == [("sgd", 11), ("sgd_log_metric", 11)]
    assert set(curves.columns) >= {"optimizer", "trial", "epoch", "seconds", "train/loss", "test/loss"}
    assert "paper-regression-tpe-sgd: finished 11/11, best" in out
    row = trials.iloc[0]
    provenance, config = json.loads(row["provenance"]), json.loads(row["config"])
    assert {"commit", "versions", "device", "xla_flags"} <= set(provenance)
    assert config["task"]["epochs"] == 5
    assert config["search_space"]["momentum"] == {"low": 0.1, "high": 0.99}


def test_trial_k_has_the_same_seed_for_every_optimizer(swept):
    trials, _ = records.load("regression", results=swept[0])
    seeds = trials.pivot_table(index="trial", columns="optimizer", values="seed")
    assert (seeds["sgd"] == seeds["sgd_log_metric"]).all()
    assert len(set(seeds["sgd"])) == 11


def test_train_repeats_a_trial_of_a_sweep_bit_for_bit(swept, tmp_path, here):
    trials, curves = records.load("regression", results=swept[0])
    row = trials[(trials["optimizer"] == "sgd_log_metric") & ~trials["diverged"]].iloc[-1]
    hyperparameters = [
        f"optimizer.{name}={float(row[name])!r}"
        for name in ("learning_rate", "momentum", "xi", "beta", "weight_decay")
    ]
    done = here(
        "train.py", *TINY, "optimizer=sgd_log_metric", f"seed={row['seed']}", *hyperparameters,
        f"results={tmp_path}", "tracking=disabled",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (path,) = tmp_path.rglob("curve.parquet")
    again = pd.read_parquet(path)
    before = curves[(curves["optimizer"] == "sgd_log_metric") & (curves["trial"] == row["trial"])]
    for name in ("train/loss", "test/loss", "train/minibatch_loss"):
        assert list(again[name]) == list(before[name]), name
    outcome = json.loads(path.with_name("trial.json").read_text())
    assert outcome["value"] == row["value"]


def test_train_logs_offline_by_default_and_multirun_trains_each(tmp_path):
    done = succeed("train.py", "-m", "optimizer=sgd,adam", *TINY, f"results={tmp_path}")
    assert done.stdout.count("best test/loss") == 2
    assert "the paper's best run" not in done.stdout  # which had more epochs
    assert len(list((tmp_path / "wandb").glob("offline-run-*"))) == 2
    assert len(list(tmp_path.rglob("curve.parquet"))) == 2


def test_a_changed_sweep_is_refused(swept, here):
    done = here("sweeps/sweep.py", *TINY, f"results={swept[0]}", "optimizer=sgd", "trials=12", "seed=4")
    assert done.returncode == 2
    assert done.stderr.strip() == (
        "sweep.py: paper-regression-tpe-sgd was begun with another configuration (seed: 0 -> 4); "
        "use the same one, or another results directory"
    )


@pytest.mark.parametrize(
    ("script", "arguments", "sentence"),
    [
        (
            "train.py",
            ["optimizer=adum"],
            f"unknown optimizer 'adum': allowed are {', '.join(OPTIMIZERS)}",
        ),
        ("train.py", ["task=regresion"], "unknown task 'regresion': allowed are "),
        ("train.py", ["optimizr=sgd"], "unknown 'optimizr': allowed are "),
        (
            "train.py",
            ["optimizer=adam", "optimizer.beta3=0.9"],
            "unknown 'optimizer.beta3': allowed under optimizer are learning_rate, beta1, beta2, eps",
        ),
        ("train.py", ["-m", "optimizer=sgd,adum", *TINY], "unknown optimizer 'adum'"),
        ("train.py", ["seed=-1"], "seed must be an integer from 0 to 4294967295, got -1"),
        ("train.py", ["optimizer.xi=["], "cannot read the override 'optimizer.xi=['"),
        ("train.py", ["tracking.mode=loud"], "tracking: mode must be one of"),
        ("train.py", ["task.objective=test/accuracy"], "task.objective must be one of test/loss, "),
        (
            "train.py",
            ["lanes.layout=heap"],
            "lanes.layout: input should be 'auto', 'map' or 'vmap'",
        ),
        (
            "train.py",
            ["lanes.data_parallel=3", "lanes.devices=2"],
            "lanes: data_parallel must be auto or an integer that divides the 2 devices, got 3",
        ),
        (
            "train.py",
            ["lanes.data_parallel=2", "lanes.devices=2", *TINY, "task.batch_size=15"],
            "lanes: data_parallel must divide the 15 examples computed at once",
        ),
        ("sweeps/sweep.py", ["sampler=grid"], "unknown sampler 'grid': allowed are confirmed, fixed, random"),
        (
            "sweeps/sweep.py",
            ["sampler=fixed", "~pairing"],
            "sampler fixed takes the published best hyperparameters, and conf/pairing has none for",
        ),
        (
            "sweeps/sweep.py",
            ["sampler.in_flight=0"],
            "sampler.in_flight must say how many trials are under way",
        ),
        (
            "sweeps/sweep.py",
            [*TINY, "task.epochs=20", "pruner=median"],
            "pruner median first judges a trial after 20 epochs, but those of regression end after 20",
        ),
        (
            "sweeps/sweep.py",
            ["sampler=fixed", "studies=2"],
            "sampler fixed searches nothing, so all its trials are one study: give it more trials instead",
        ),
        ("sweeps/sweep.py", ["studies=0"], "studies must be an integer from 1 to "),
        ("sweeps/sweep.py", ["search_space.xi.low=-1"], "search_space.xi: a range must have low < high"),
    ],
)
def test_a_mistake_ends_in_one_sentence_and_exit_code_2(script, arguments, sentence, tmp_path, here):
    check_refused(here(script, *arguments, f"results={tmp_path}"), script, sentence)


@pytest.mark.parametrize(
    ("script", "argument", "sentence"),
    [
        ("train.py", "optimizer.momentum=2", "optimizer: momentum must be in [0, 1), got 2.0"),
        ("sweeps/sweep.py", "trials=0", "trials must be an integer from 1 to "),
    ],
)
def test_a_process_whose_command_is_wrong_says_that_alone(script, argument, sentence, tmp_path):
    check_refused(run(script, argument, f"results={tmp_path}"), script, sentence)


def check_refused(done, script, sentence):
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith(f"{Path(script).name}: {sentence}")


@pytest.mark.parametrize("script", ["train.py", "sweeps/sweep.py"])
def test_results_that_are_no_directory_end_in_one_sentence(script, tmp_path, here):
    (tmp_path / "file").write_text("")
    done = here(script, *TINY, f"results={tmp_path / 'file'}")
    check_refused(done, script, f"results must be a directory that can be written, and {tmp_path}")


def test_the_same_command_twice_at_once_is_refused(tmp_path, here):
    arguments = [*TINY, "task.epochs=1000000", f"results={tmp_path}", "tracking=disabled"]
    command = [sys.executable, str(ROOT / "train.py"), *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        while not list(tmp_path.glob("checkpoints/train/*.lock")):
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.05)
        again = here("train.py", *arguments)
        assert process.poll() is None
    finally:
        process.kill()
        process.communicate()
    assert again.returncode == 2
    assert again.stderr.startswith("train.py: another process is training this very trial: it holds ")
    assert again.stderr.count("\n") == 1
    # What a killed process held, the system let go of.
    done = here("train.py", *arguments, "task.epochs=3")
    assert done.returncode == 0, done.stderr


def killed(arguments, *kill):
    """Runs ``train.py`` until it dies at a call: of what, and which."""
    told = {"script": "train.py", "runs": [[*map(str, arguments)]], "kill": kill}
    command = [sys.executable, str(ROOT / "tests" / "helpers" / "entry_point.py"), json.dumps(told)]
    # What is to die may import JAX before the script sets it up.
    environment = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=environment)
    assert done.returncode == -signal.SIGKILL, done.stderr


@pytest.mark.exhaustive
def test_a_checkpoint_goes_when_its_result_is_safe_and_not_before(tmp_path, here):
    arguments = [
        *TINY,
        f"results={tmp_path}",
        "tracking=disabled",
        "checkpoint_every=2",
        "checkpoint_seconds=0",
    ]
    checkpoints = tmp_path / "checkpoints" / "train"

    def steps():
        return sorted(path.stem for path in checkpoints.glob("*/*"))

    # Between the curve and the rest, after two checkpoints: what is there counts for nothing.
    killed([*arguments, "seed=1"], "induced_metric.files:durable", 4)
    assert steps() == ["4"]
    assert not list(tmp_path.rglob("trial.json"))
    (unfinished,) = (path.name for path in checkpoints.iterdir() if path.is_dir())
    # After the result: the checkpoint is of no use any more, and the next run removes it.
    killed([*arguments, "seed=2"], "induced_metric.training.checkpoints:Checkpoints.remove", 1)
    assert steps() == ["4", "4"]
    assert len(list(tmp_path.rglob("trial.json"))) == 1
    done = here("train.py", *arguments, "seed=3")
    assert done.returncode == 0, done.stderr
    assert [path.name for path in checkpoints.iterdir() if path.is_dir()] == [unfinished]
    done = here("train.py", *arguments, "seed=1")
    assert done.returncode == 0, done.stderr
    assert "continuing after epoch 3" in done.stdout
    assert steps() == []
    results = [json.loads(path.read_text()) for path in tmp_path.rglob("trial.json")]
    assert sorted(result["seed"] for result in results) == [1, 2, 3]
    for result in results:
        assert result["provenance"]["lanes"] == {"layout": "map", "width": 1, "queue": 1, "places": 1}
        assert result["provenance"]["matmul_precision"] == "float32"


# Long enough to be caught in the middle.
LONG = [*TINY, "task.epochs=1000", "optimizer=sgd_rms", "tracking=disabled"]


# A killed trial is compared epoch by epoch in tests/tasks/test_resume.py, too.
@pytest.mark.parametrize(
    "how",
    [signal.SIGTERM, pytest.param(signal.SIGKILL, marks=pytest.mark.exhaustive)],
    ids=lambda how: how.name,
)
def test_train_goes_on_where_it_was_stopped(tmp_path, how, here):
    arguments = [*LONG, "checkpoint_every=2", "checkpoint_seconds=0"]
    command = [sys.executable, str(ROOT / "train.py"), *arguments, f"results={tmp_path / 'parts'}"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    while not list(tmp_path.glob("parts/checkpoints/train/*/*.npz")):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.05)
    process.send_signal(how)
    out, _ = process.communicate()
    if how is signal.SIGTERM:
        assert process.returncode == 0
        assert "the same command continues" in out
    assert not list((tmp_path / "parts").rglob("curve.parquet"))

    finish = ["checkpoint_every=0"]  # which does not belong to the trial
    done = here("train.py", *arguments, *finish, f"results={tmp_path / 'parts'}")
    assert done.returncode == 0, done.stderr
    assert "continuing after epoch" in done.stdout
    assert here("train.py", *LONG, f"results={tmp_path / 'whole'}").returncode == 0
    (parts,), (whole,) = ((tmp_path / name).rglob("curve.parquet") for name in ("parts", "whole"))
    metrics = ["epoch", "train/loss", "test/loss", "train/minibatch_loss"]
    pd.testing.assert_frame_equal(pd.read_parquet(parts)[metrics], pd.read_parquet(whole)[metrics])
    assert not list((tmp_path / "parts" / "checkpoints" / "train").iterdir())


def test_sigterm_ends_a_sweep_in_order(tmp_path, here):
    arguments = [*TINY, "task.epochs=400", f"results={tmp_path}", "optimizer=sgd,adam", "trials=200"]
    command = [sys.executable, str(ROOT / "sweeps" / "sweep.py"), *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    while not list(tmp_path.glob("records/*/*/*/*/pending/*.parquet")):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.05)
    process.terminate()
    out, _ = process.communicate()
    assert process.returncode == 0
    assert "the same command continues" in out
    # The study under way stopped, the next one was not begun.
    assert records.studies("regression", results=tmp_path) == ["sgd"]
    before = len(records.load("regression", results=tmp_path).trials)
    assert before < 200
    done = here("sweeps/sweep.py", *arguments[:-2], "optimizer=sgd", f"trials={before + 3}")
    assert done.returncode == 0, done.stderr
    trials = records.load("regression", results=tmp_path).trials
    assert list(trials["trial"]) == list(range(before + 3))


def test_devices_divide_the_batches_of_a_sweep_on_request(tmp_path, here):
    loaded, together = [], []
    search = ["optimizer=sgd_rms", "trials=5", "sampler=random"]
    for name, lanes in (
        ("one", []),
        ("two", ["lanes.data_parallel=2"]),
        ("wide", ["lanes=wide"]),
    ):
        done = here("sweeps/sweep.py", *TINY, *search, *lanes, f"results={tmp_path / name}")
        assert done.returncode == 0, done.stderr
        loaded.append(records.load("regression", sampler="random", results=tmp_path / name))
        provenance = json.loads(loaded[-1].trials["provenance"].iloc[0])
        together.append(provenance["data_parallel"])
    assert together == [1, 2, 2]
    one, *others = loaded
    for other in others:
        pd.testing.assert_series_equal(one.trials["value"], other.trials["value"], rtol=1e-3)
        pd.testing.assert_series_equal(one.curves["test/loss"], other.curves["test/loss"], rtol=1e-2)


def test_edited_code_begins_anew_and_joins_no_older_trials(tmp_path, here, monkeypatch):
    mine = types.ModuleType("mine")
    monkeypatch.setitem(sys.modules, "mine", mine)
    chosen = [*TINY, "optimizer=sgd", "optimizer._target_=mine.make", f"results={tmp_path}"]
    search = ["sweeps/sweep.py", *chosen, "trials=2"]

    def make(learning_rate, momentum):
        return optax.sgd(learning_rate, momentum)

    mine.make = make
    assert here(*search).returncode == 0

    def rewritten(learning_rate, momentum):
        """Computes the same."""
        decay = momentum
        return optax.chain(optax.trace(decay), optax.scale_by_learning_rate(learning_rate))

    mine.make = rewritten
    assert here(*search).returncode == 0

    mine.make = lambda learning_rate, momentum: optax.sgd(learning_rate, momentum, nesterov=True)
    check_refused(here(*search), search[0], "paper-regression-tpe-sgd was begun with other code")
    assert here(*search, "optimizer.name=nesterov").returncode == 0

    # Of a single trial, the first epochs are there.
    train = ["train.py", *chosen, "task.epochs=60", "tracking=disabled"]
    with monkeypatch.context() as stopped:
        # Not at the first look, which is before the first epoch.
        stopped.setattr(app, "stop_in_order", lambda: functools.partial(next, iter([False]), True))
        assert "the same command continues" in here(*train).stdout
        assert "continuing after epoch" in here(*train).stdout
    mine.make = make
    with pytest.warns(UserWarning, match="was made by other code, which computed something else"):
        assert "continuing after epoch" not in here(*train).stdout
