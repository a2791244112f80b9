"""``induced-metric costs``: the device seconds of an epoch, which budgets of equal time are counted in."""

import subprocess
import sys

import pandas as pd
import pytest

pytestmark = pytest.mark.slow


def costs(results, *arguments):
    command = [sys.executable, "-m", "induced_metric", "costs", "--results", str(results), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_each_optimizer_has_a_row_and_what_others_cost_stays(tmp_path):
    known = pd.DataFrame(
        {"task": ["mnist", "regression"], "optimizer": ["sgd", "sgd"], "seconds_per_epoch": [0.25, 1e6]}
    )
    known.to_csv(tmp_path / "costs.csv", index=False)
    done = costs(tmp_path, "--task", "regression", "--optimizers", "sgd", "--rounds", "1")
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(f"wrote {tmp_path / 'costs.csv'}\n")
    found = pd.read_csv(tmp_path / "costs.csv").set_index(["task", "optimizer"])["seconds_per_epoch"]
    assert found["mnist", "sgd"] == 0.25
    assert 0 < found["regression", "sgd"] < 1e3
    assert len(found) == 2


def test_optimizers_with_commas_are_one_sentence(tmp_path):
    done = costs(tmp_path, "--task", "regression", "--optimizers", "adam,sgd")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "optimizer=adam,sgd" in line


@pytest.mark.parametrize("word", ["--task", "--protocol", "--optimizers"])
def test_what_does_not_exist_is_one_sentence(tmp_path, word):
    chosen = {"--task": "regression", "--optimizers": "sgd"} | {word: "nothing"}
    done = costs(tmp_path, *(part for pair in chosen.items() for part in pair))
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("induced-metric costs: ")
    assert "'nothing': allowed are " in line
