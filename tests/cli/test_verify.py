"""``induced-metric verify`` and ``trial``: recorded trials trained again, and what is said of them."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from induced_metric import records
from induced_metric.cli import commands
from induced_metric.cli.recorded import verify_settings
from induced_metric.records import RecordStore, StudyKey

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
SETTINGS = [
    "protocol=fair",
    "task.train_examples=64",
    "task.test_examples=32",
    "task.fresh_examples=48",
    "task.batch_size=16",
    "task.widths=[4,1]",
    "task.epochs=6",
    "lanes.devices=2",
    "search_space.learning_rate.high=1e-3",
]
ADAMW = StudyKey("fair", "regression", "random", "adamw")


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    """A search of two optimizers, one of them with a static hyperparameter, and what confirms the other."""
    directory = tmp_path_factory.mktemp("results")
    static = "++search_space.task.widths.choices=[[4,1],[6,1]]"
    for arguments in (
        ["optimizer=adamw", "sampler=random", "trials=5"],
        ["optimizer=adamw", "sampler=confirmed", "sampler.of=random", "sampler.searched=5", "trials=3"],
        ["optimizer=muon", "sampler=random", "trials=4", static],
    ):
        command = [sys.executable, "sweeps/sweep.py", *SETTINGS, f"results={directory}", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
        assert (done.returncode, done.stderr) == (0, "")
    return directory


@pytest.fixture
def results(tmp_path, studies):
    """A copy of them to edit."""
    return shutil.copytree(studies, tmp_path / "results")


def ask(capsys, *arguments):
    """Exit code, what was printed and what was complained about."""
    capsys.readouterr()
    try:
        commands.main([*map(str, arguments)])
        code = 0
    except SystemExit as ended:
        code = ended.code
    return code, *capsys.readouterr()


def change(results, key, table, edit):
    """Edits a table of a study's records in place."""
    path = RecordStore(key.directory(results)).directory / f"{table}.parquet"
    frame = pd.read_parquet(path)
    edit(frame)
    frame.to_parquet(path)


def row_of(printed, study):
    return next(line.split() for line in printed.splitlines() if line.startswith(study + " "))


def test_every_trial_is_bit_identical_in_whatever_lane(results, capsys):
    code, printed, complained = ask(capsys, "verify", "--results", results, "--share", 1)
    assert (code, complained) == (0, "")
    assert row_of(printed, "fair/regression/random/adamw")[1:] == ["5", "5", "0", "0"]
    assert row_of(printed, "fair/regression/random-confirmed/adamw")[1:] == ["3", "3", "0", "0"]
    assert row_of(printed, "fair/regression/random/muon")[1:] == ["4", "4", "0", "0"]
    assert row_of(printed, "all")[1:] == ["12", "12", "0", "0"]
    # The draw of a study is the same whatever else is asked for.
    code, planned, _ = ask(capsys, "verify", "--results", results, "--share", 0.4, "--plan")
    code, alone, _ = ask(
        capsys, "verify", "--results", results, "--share", 0.4, "--plan", "--study", "/".join(ADAMW)
    )
    assert next(line for line in planned.splitlines() if "random/adamw" in line) in alone
    assert "random/muon" not in alone


def test_a_record_that_was_made_the_same_way_must_be_identical(results, capsys):
    def flip(curves):
        curves.loc[3, "validation/loss"] *= 1 + 2**-20

    change(results, ADAMW, "curves", flip)
    code, printed, _ = ask(capsys, "verify", "--results", results, "--share", 1)
    assert code == 1
    assert row_of(printed, "fair/regression/random/adamw")[1:] == ["5", "4", "0", "1"]
    assert (
        "OUTSIDE: fair/regression/random/adamw trial 0: outside (3 epochs identical; differences: early 0"
        in printed
    )
    code, printed, _ = ask(capsys, "trial", "--results", results, "--study", "/".join(ADAMW), "--trial", 0)
    assert code == 1
    assert "OUTSIDE: nothing differs from what made the record" in printed


@pytest.mark.exhaustive
@pytest.mark.parametrize(("factor", "verdict"), [(1 + 2**-20, "within"), (10, "outside")])
def test_a_record_made_otherwise_is_held_to_the_tolerance(results, capsys, factor, verdict):
    def older(trials):
        facts = json.loads(trials["provenance"].iloc[0])
        facts["versions"]["jax"] = "0.1"
        trials["provenance"] = json.dumps(facts)
        trials.loc[0, "value"] *= factor

    def other(curves):
        curves.loc[curves["trial"] == 0, "validation/loss"] *= factor

    change(results, ADAMW, "trials", older)
    change(results, ADAMW, "curves", other)
    code, printed, _ = ask(capsys, "verify", "--results", results, "--share", 1, "--task", "regression")
    counts = {"within": ["5", "4", "1", "0"], "outside": ["5", "4", "0", "1"]}[verdict]
    assert code == int(verdict == "outside")
    assert row_of(printed, "fair/regression/random/adamw")[1:] == counts
    assert "versions.jax 0.1 -> " in printed
    assert str(verify_settings().of("regression")) in printed


def test_a_configuration_of_an_older_version_is_read_as_todays(results, capsys):
    def older(trials):
        config = json.loads(trials["config"].iloc[0])
        config["task"]["evaluated"] = config["task"].pop("eval_splits")
        del config["task"]["micro_batch"], config["schedule"]
        trials["config"] = json.dumps(config)

    change(results, ADAMW, "trials", older)
    code, printed, complained = ask(
        capsys, "trial", "--results", results, "--study", "/".join(ADAMW), "--trial", 4
    )
    assert (code, complained) == (0, "")
    assert printed.splitlines()[-1] == "bit-identical to the record in all 6 epochs"
    _, curves = records.load("regression", protocol="fair", sampler="random", results=results)
    last = curves.query("optimizer == 'adamw' and trial == 4")["validation/loss"].iloc[-1]
    assert f"{last:.9g}" in printed


@pytest.mark.parametrize(
    ("study", "trial", "sentence"),
    [
        ("/".join(ADAMW), 5, "fair-regression-random-adamw has no trial 5: there are 5, from 0 to 4"),
        ("fair/regression/tpe/adamw", 0, "no records of a study 'fair/regression/tpe/adamw' under "),
        ("regression", 0, "no records of a study 'regression' under "),
    ],
)
def test_what_is_not_recorded_ends_in_a_sentence(results, capsys, study, trial, sentence):
    code, _, complained = ask(capsys, "trial", "--results", results, "--study", study, "--trial", trial)
    assert code == 2
    assert complained.startswith(f"induced-metric trial: {sentence}")


def test_what_cannot_be_trained_here_ends_in_a_sentence(results, capsys):
    def gone(trials):
        config = json.loads(trials["config"].iloc[0])
        config["task"]["_target_"] = "induced_metric.tasks.regression.of_old"
        trials["config"] = json.dumps(config)
        trials.loc[1, "state"] = "failed"

    change(results, ADAMW, "trials", gone)
    for trial, sentence in (
        (0, "fair-regression-random-adamw cannot be trained again: task._target_: cannot find"),
        (1, "trial 1 of fair-regression-random-adamw failed when it was recorded"),
    ):
        code, _, complained = ask(
            capsys, "trial", "--results", results, "--study", "/".join(ADAMW), "--trial", trial
        )
        assert code == 2
        assert complained.startswith(f"induced-metric trial: {sentence}")


def test_nothing_to_draw_from_ends_in_a_sentence(tmp_path, results, capsys):
    for arguments, sentence in (
        (["--task", "mnist"], "no records of mnist under "),
        (["--share", 0], "share must be above 0 and at most 1, got 0.0"),
        (["--seed", -1], "seed must be at least 0, got -1"),
    ):
        code, _, complained = ask(capsys, "verify", "--results", results, *arguments)
        assert code == 2
        assert complained.startswith(f"induced-metric verify: {sentence}")
