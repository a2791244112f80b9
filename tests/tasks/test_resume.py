"""``train.py``, killed between two checkpoints and given again, has the curve of a run that never stopped."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
SMALL = {
    "mnist": [
        "task.batch_size=32", "task.train_examples=100", "task.test_examples=50", "task.widths=[16,10]",
    ],
    "cifar10": [
        "task.batch_size=16", "task.train_examples=50", "task.test_examples=30", "task.widths=[4]",
        "task.blocks=1",
    ],
    "shakespeare": [
        "task.batch_size=16", "task.micro_batch=4", "task.context=16", "task.layers=1", "task.heads=2",
        "task.embed_dim=8", "task.evaluated_sequences=10",
    ],
}  # fmt: skip


def train(*runs, sizes, kill=None):
    """Runs ``train.py`` with each of these lists of arguments; the last one dies at a call of ``kill``."""
    told = {"script": "train.py", "runs": runs, "sizes": sizes, "kill": kill}
    command = [sys.executable, str(ROOT / "tests" / "helpers" / "entry_point.py"), json.dumps(told)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)


@pytest.mark.usefixtures("synthetic")
@pytest.mark.parametrize(
    ("name", "devices"),
    [
        pytest.param(name, devices, marks=[pytest.mark.exhaustive] * ((name, devices) != ("mnist", 2)))
        for name in SMALL
        for devices in (1, 2)
    ],
)
def test_a_killed_trial_goes_on_to_the_uninterrupted_curve_bit_for_bit(prepared, tmp_path, name, devices):
    arguments = [
        f"task={name}", *SMALL[name], "task.epochs=5", "seed=7", "optimizer=sgd_rms",
        "optimizer.learning_rate=0.01", "optimizer.xi=1e-3", "checkpoint_every=2", "checkpoint_seconds=0",
        "lanes.devices=2", f"lanes.data_parallel={devices}", "tracking=disabled",
    ]  # fmt: skip
    _, sizes, _ = prepared
    parts = [*arguments, f"results={tmp_path / 'parts'}"]

    # In the third epoch, one after a checkpoint and one before the next.
    whole = [*arguments, f"results={tmp_path / 'whole'}"]
    third = ["induced_metric.cli.views:TrialBar.update", 3]
    killed = train(whole, parts, sizes=sizes, kill=third)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert [path.name for path in tmp_path.glob("parts/checkpoints/train/*/*")] == ["2.npz"]
    assert not list((tmp_path / "parts").rglob("curve.parquet"))

    resumed = train(parts, sizes=sizes)
    assert resumed.returncode == 0, resumed.stderr
    assert "continuing after epoch 1" in resumed.stdout
    curves = [
        pd.read_parquet(path).drop(columns="seconds")
        for part in ("parts", "whole")
        for path in (tmp_path / part).rglob("curve.parquet")
    ]
    assert list(curves[0]["epoch"]) == [0, 1, 2, 3, 4]
    pd.testing.assert_frame_equal(*curves, check_exact=True)
    assert (
        json.loads(next((tmp_path / "parts").rglob("trial.json")).read_text())["provenance"]["data_parallel"]
        == devices
    )
