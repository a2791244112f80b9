"""The entry point end to end on a tiny grid: records, tables, figures, page, notebook; and its errors."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import hydra
import nbformat
import numpy as np
import pandas as pd
import pytest
from nbclient import NotebookClient

from induced_metric.cli import landscapes, values
from induced_metric.errors import UserError
from induced_metric.records.parquet import read_provenance

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]

TINY = [
    "functions=[beale]",
    "~optimizers.muon",
    "~optimizers.sgd_rms",
    "~optimizers.sgd_metric",
    "iterations=40",
    "grid_values.learning_rate=[0.01,0.1,0.1]",
    "grid_values.momentum=[0.5]",
    "grid_values.decay=[0.9]",
    "grid_values.xi=[0.1]",
    "grid.nudges=[1]",
    "grid.tile=4",
    "timing.rounds=2",
    "timing.compiled=50",
    "timing.stepped=3",
    "timing.eager=2",
    "fair.settings=2",
    "fair.selection_starts=4",
    "fair.curve_starts=4",
    "fair.report_starts=8",
    "fair.tile=4",
    "fair.tiles=2",
    "page.choices.learning_rate=[0.1]",
    "page.starts=2",
    "page.points=8",
    "page.resolution=21",
    "page.iterations=30",
]


def run(*arguments, **variables):
    command = [sys.executable, "-W", "error", str(ROOT / "sweeps" / "landscapes.py"), *arguments]
    environment = {**os.environ, **variables}
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False, env=environment)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    directory = tmp_path_factory.mktemp("results")
    done = run(*TINY, f"results={directory}")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("device: cpu x ")
    return directory


def test_records_tables_and_figures_are_written(results):
    written = {path.name for path in (results / "landscapes").iterdir()}
    assert {"grid.parquet", "timing.parquet", "fair_runs.parquet", "page_points.parquet"} <= written
    assert {"best.csv", "counts.csv", "fair.csv", "landscapes.html", "README.md"} <= written
    for name in ("figure_1", "figure_2", "figure_3", "figure_7", "landscapes_summary", "landscapes_fair"):
        for suffix in (".pdf", ".png"):
            assert (results / "figures" / f"{name}{suffix}").stat().st_size > 1000


def test_counts_and_best_have_one_row_a_pair_and_tolerance(results):
    best, counts = (pd.read_csv(results / "landscapes" / f"{name}.csv") for name in ("best", "counts"))
    assert len(best) == len(counts) == 3 * 2
    assert list(best)[:6] == ["function", "optimizer", "tolerance", "converged", "iterations", "final_value"]
    assert list(counts)[:5] == ["function", "optimizer", "tolerance", "converged", "configurations"]
    assert counts.set_index("optimizer")["configurations"].to_dict() == {
        "adam": 3, "sgd": 3, "sgd_log_metric": 3
    }  # fmt: skip


def test_records_carry_their_provenance(results):
    facts = read_provenance(results / "landscapes" / "grid.parquet")
    assert facts["config"]["iterations"] == 40
    assert {"jax", "optax"} <= set(facts["versions"])
    assert facts["device"] == "cpu"
    assert str(results) not in json.dumps(facts)


@pytest.mark.exhaustive
def test_it_runs_on_the_cpu_whatever_else_there_is_and_without_git(tmp_path):
    # As if the accelerator were the only device, which on this machine JAX does not even find.
    done = run(
        *TINY, "steps=[timing]", f"results={tmp_path}",
        JAX_PLATFORMS="cuda", PATH="",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    facts = read_provenance(tmp_path / "landscapes" / "timing.parquet")
    assert facts["device"] == "cpu"
    assert facts["commit"] is None
    assert facts["dirty"] is None


def test_doubles_are_double(results):
    runs = pd.read_parquet(results / "landscapes" / "grid.parquet")
    values = runs["final_value"].to_numpy()
    assert np.any(values != values.astype(np.float32).astype(float))
    assert set(runs["learning_rate"]) == {0.01, 0.1}


def test_the_page_stands_alone(results):
    text = (results / "landscapes" / "landscapes.html").read_text()
    # It loads nothing; what a reader may follow is a link.
    without_links = re.sub(r"<a href=[^>]*>", "", text)
    assert not re.search(r"""(src|href)\s*=|https?://|@import|url\(""", without_links)
    assert "/*DATA*/" not in text
    data = json.loads(re.search(r"const D = (\{.*\});", text)[1])
    runs = pd.read_parquet(results / "landscapes" / "page_runs.parquet")
    points = pd.read_parquet(results / "landscapes" / "page_points.parquet")
    assert len(data["runs"]) == len(runs)
    assert data["runs"][-1]["at"][1] == len(points)
    # The control stands beside the optimizer that it controls.
    names = ["adam", "sgd", "sgd_log_metric", "sgd_log_metric, f + 1"]
    assert [optimizer["name"] for optimizer in data["optimizers"]] == names
    assert [optimizer["control"] for optimizer in data["optimizers"]] == [False, False, False, True]
    assert {run["o"] for run in data["runs"]} == set(names)


def test_points_of_the_control_are_of_the_function_as_it_is(results):
    runs = pd.read_parquet(results / "landscapes" / "page_runs.parquet")
    points = pd.read_parquet(results / "landscapes" / "page_points.parquet")
    points = points[points["iteration"] == 0].merge(runs, on="run")
    control = points[points["offset"] == 1]
    assert (
        len(control) == len(points[(points["optimizer"] == "sgd_log_metric") & (points["offset"] == 0)]) > 0
    )
    values = points.groupby(["start_x", "start_y"])["value"]
    assert (values.max() - values.min()).max() < 1e-6
    # It divides by another loss.
    assert (control["slope"].to_numpy() < 1 / (control["value"].to_numpy() + 0.5)).all()


@pytest.mark.exhaustive
def test_notebook_runs_and_is_stripped(results, monkeypatch):
    monkeypatch.setenv("RESULTS", str(results))
    notebook = nbformat.read(ROOT / "notebooks" / "landscapes.ipynb", as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in code)
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": ROOT / "notebooks"}}).execute()
    images = [o for cell in code for o in cell.outputs if "image/png" in o.get("data", {})]
    assert len(images) == 6


@pytest.mark.parametrize(
    ("argument", "sentence"),
    [
        ("steps=grid", r"steps must be a list: write steps=\[grid\]"),
        ("steps=null", "steps must be a list of names, got None"),
        ("functions=5", "functions must be a list of names, got 5"),
        ("page.iterations=65536", "page: iterations must be an integer from 1 to 65535, got 65536"),
        ("steps=[grids]", "steps must be among grid, timing, fair, page, got 'grids'"),
        ("functions=[bale]", "functions must be among beale, .* got 'bale'"),
        ("functions=[]", "functions must be among beale, .* got none"),
        ("functions=[booth]", "functions must have one of the paper's five if steps has grid or timing"),
        ("iterations=0", "grid: iterations must be an integer from 1 to 1000000, got 0"),
        ("iterations=true", "grid.iterations must be a number, got true"),
        ("tolerances.paper_text=true", "grid.tolerances.paper_text must be a number, got true"),
        ("timing.rounds=many", "timing.rounds: input should be a valid integer, .* got 'many'"),
        ("fair.settings=0", "fair: settings must be an integer from 1 to 10000, got 0"),
        ("page.points=1", "page: points must be an integer from 2 to 100000, got 1"),
        ("+optimizers.adm={}", "optimizers must be among acprop, .* got 'adm'"),
        ("~optimizers.sgd.grid", "optimizers.sgd.grid is missing"),
        (
            "+optimizers.sgd.grid.xi=[1]",
            "optimizers.sgd: grid must name hyperparameters among learning_rate, momentum, got 'xi'",
        ),
        ("+optimizers.sgd.moment=1", "unknown 'optimizers.sgd.moment': allowed are"),
        (
            "search_space.momentum.high=1.0",
            "optimizers.adam.search_space.beta1: a range must have low < high, and high < 1 with log",
        ),
    ],
)
def test_what_cannot_be_asked_for_is_said_in_a_sentence(argument, sentence):
    with hydra.initialize_config_dir(str(values.CONF), version_base="1.3"):
        cfg = hydra.compose("landscapes", [argument])
    with pytest.raises(UserError, match=f"^{sentence}"):
        landscapes.studies(cfg)


@pytest.mark.parametrize("argument", ["iterations=0", "fair.setings=3"])
def test_a_mistake_ends_in_one_sentence_and_exit_code_2(argument, tmp_path, here):
    done = here("sweeps/landscapes.py", argument, f"results={tmp_path}")
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("landscapes.py: ")
