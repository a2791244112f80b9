from pathlib import Path

import nbclient
import nbformat
import pytest

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
STUDIES = ("regression", "mnist", "cifar10", "shakespeare")


def code(notebook: nbformat.NotebookNode) -> list[str]:
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_outputs_are_stripped(path) -> None:
    for cell in nbformat.read(path, 4).cells:
        assert not cell.get("outputs")
        assert not cell.get("execution_count")


def test_notebooks_of_studies_differ_in_their_task_alone() -> None:
    first, *others = (code(nbformat.read(NOTEBOOKS / f"{task}.ipynb", 4)) for task in STUDIES)
    for other in others:
        assert other[1:] == first[1:]
        lines = zip(other[0].splitlines(), first[0].splitlines(), strict=True)
        assert [ours.split(" = ")[0] for ours, theirs in lines if ours != theirs] == ["task"]


# Of Jupyter's own making: it prefers no transport for which there is an alternative on this platform.
@pytest.mark.filterwarnings("ignore::DeprecationWarning:jupyter_client", "ignore::DeprecationWarning:zmq")
@pytest.mark.parametrize(
    ("name", "task", "rows", "samplers"),
    [
        (
            "regression",
            "regression",
            ["| SGD_RMS | tpe | 2 |", "| SGD_RMS | published | 50 | **0.035900** |"],
            2,
        ),
        ("mnist", "mnist", ["| SGD_RMS | tpe | 1 |", "| MUON | published | 50 | **0.979844** |"], 1),
        ("cifar10", "cifar10", ["| SGD_RMS | tpe | 1 |", "| SGD_RMS | published | 50 | 0.826309 |"], 1),
        ("shakespeare", "shakespeare_small", ["| SGD_RMS | tpe | 1 |"], 1),
    ],
)
def test_a_notebook_shows_tables_and_figures(results, monkeypatch, name, task, rows, samplers) -> None:
    monkeypatch.setenv("INDUCED_METRIC_RESULTS", str(results))
    notebook = nbformat.read(NOTEBOOKS / f"{name}.ipynb", 4)
    parameters = notebook.cells[1]
    parameters.source = parameters.source.replace(f'task = "{name}"', f'task = "{task}"')
    nbclient.NotebookClient(
        notebook, timeout=60, kernel_name="python3", resources={"metadata": {"path": str(NOTEBOOKS)}}
    ).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    shown = [output.get("data", {}) for output in outputs]
    table, times = (data["text/markdown"] for data in shown if "| ADAM |" in data.get("text/markdown", ""))
    assert all(row in table for row in rows)
    assert f"the {task} task" in table
    assert times.startswith("Time to a ")
    assert sum("image/png" in data for data in shown) == 2 * samplers  # curves and histograms
    assert sum("median_gain" in data.get("text/html", "") for data in shown) == samplers
    assert not [output for output in outputs if output.get("name") == "stderr"]
