from pathlib import Path

import nbclient
import nbformat
import pytest

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_outputs_are_stripped(path) -> None:
    for cell in nbformat.read(path, 4).cells:
        assert not cell.get("outputs")
        assert not cell.get("execution_count")


# Of Jupyter's own making: it prefers no transport for which there is an alternative on this platform.
@pytest.mark.filterwarnings("ignore::DeprecationWarning:jupyter_client", "ignore::DeprecationWarning:zmq")
def test_the_regression_notebook_shows_the_table_and_both_figures(results, monkeypatch) -> None:
    monkeypatch.setenv("INDUCED_METRIC_RESULTS", str(results))
    notebook = nbformat.read(NOTEBOOKS / "regression.ipynb", 4)
    nbclient.NotebookClient(
        notebook, timeout=60, kernel_name="python3", resources={"metadata": {"path": str(NOTEBOOKS)}}
    ).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    shown = [output.get("data", {}) for output in outputs]
    table = next(data["text/markdown"] for data in shown if "| ADAM |" in data.get("text/markdown", ""))
    assert "| SGD_RMS | tpe | 2 |" in table
    assert "| SGD_RMS | published | 50 | **0.035900** |" in table
    assert sum("image/png" in data for data in shown) == 4  # two figures, two samplers
    assert sum("median_gain" in data.get("text/html", "") for data in shown) == 2
    assert not [output for output in outputs if output.get("name") == "stderr"]
