"""benchmarks/accelerator.py: what it counts, and that it runs, goes on and ends in time."""

import json
import subprocess
import sys
from pathlib import Path

import configured
import pytest

pytestmark = pytest.mark.slow

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def benchmarks(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import accelerator
    import ways

    return accelerator, ways


def test_operations_are_those_of_products_with_their_gradients(benchmarks):
    _, ways = benchmarks
    task = configured.task("regression", batch_size=16, train_examples=70, test_examples=40, widths=(8, 1))
    weights = [4 * 8, 8 * 1]
    # Four steps; the first layer needs no gradient of its input. Both splits are evaluated, in whole batches
    # and a rest.
    training = 4 * 16 * 2 * (3 * sum(weights) - weights[0])
    assert ways.products(task) == training + 2 * sum(weights) * (70 + 40)


def test_a_convolution_counts_once_whatever_devices_there_are(benchmarks):
    _, ways = benchmarks
    task = ways.task_of("cifar10", quick=True, precision="float32")
    found = ways.products(task)
    # Of the stem alone: two steps of 16 images of 32 x 32, 27 weights to each of 4 channels, forward and to
    # the kernel; and one evaluation. The block has 2 x (36 x 4) weights more, with three products a step.
    stem, block = 27 * 4, 2 * 36 * 4
    pixels = 2 * 1024
    least = pixels * (32 * (2 * stem + 3 * block) + 16 * (stem + block))
    assert least <= found <= 1.2 * least


def test_what_a_process_takes_to_start_comes_with_every_trial(benchmarks):
    accelerator, _ = benchmarks
    found = {
        "compile_seconds": 0.0, "epochs_measured": 11, "first_epoch_seconds": 5.1, "seconds_measured": 6.1,
        "seconds_per_trial_epoch": 6.1 / 11,
    }  # fmt: skip
    told = accelerator.told("regression", "process", 2, found, 10)
    assert told["start_seconds"] == pytest.approx(5.0)
    assert told["trials_per_hour"] == pytest.approx(3600 / (5 + 200 * 0.1))
    assert told["flops"] == pytest.approx(100)
    alone = accelerator.told("regression", "lanes", 2, found | {"seconds_per_trial_epoch": 0.1}, 10)
    assert alone["trials_per_hour"] == pytest.approx(3600 / 20)


@pytest.mark.exhaustive
def test_it_runs_on_a_cpu_and_goes_on_where_it_was(tmp_path):
    output = tmp_path / "found.json"

    def run(*arguments):
        command = [sys.executable, str(BENCHMARKS / "accelerator.py"), "--quick", "--output", str(output)]
        done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=True)
        return done.stdout.splitlines()

    assert run("--minutes", "0") == ["the time is over; the same command goes on with peak/matmul/float32"]
    assert len(run("--only", "regression/lanes/float32,peak", "--minutes", "20")) == 3
    found = json.loads(output.read_text())
    assert found.keys() == {"peak", *(f"regression/lanes/float32/{n}" for n in (1, 3))}
    three = found["regression/lanes/float32/3"]
    assert three["trials_per_hour"] > three["trials_per_hour_with_compilation"] > 0
    assert three["lanes"]["layout"] == "map"
    assert three["device"]["matmul_precision"] == "float32"
    assert run("--only", "regression/lanes/float32,peak") == []
