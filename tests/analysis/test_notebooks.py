from pathlib import Path

import nbclient
import nbformat
import pytest
import synthetic

from induced_metric.analysis import runs

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


@pytest.fixture
def execute():
    """Runs a notebook in a folder and returns what it displays, in order, and whether it wrote to stderr."""

    def run(name: str, folder: Path) -> list[dict]:
        notebook = nbformat.read(NOTEBOOKS / f"{name}.ipynb", 4)
        resources = {"metadata": {"path": str(folder)}}
        nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3", resources=resources).execute()
        outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
        assert not [output for output in outputs if output.get("name") == "stderr"]
        return [output.get("data", {}) for output in outputs]

    return run


def heading(shown: list[dict]) -> str:
    (found,) = (text for text in markdown(shown) if text.startswith("# Shown: "))
    return found


def markdown(shown: list[dict]) -> list[str]:
    return [data["text/markdown"] for data in shown if "text/markdown" in data]


# Of Jupyter's own making: it prefers no transport for which there is an alternative on this platform.
JUPYTER = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning:jupyter_client", "ignore::DeprecationWarning:zmq"
)


@JUPYTER
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
        # Only its preset is on record.
        ("shakespeare", "shakespeare_small", ["| SGD_RMS | tpe | 1 |"], 1),
    ],
)
def test_a_notebook_shows_tables_and_figures_of_results(
    results, monkeypatch, execute, name, task, rows, samplers
) -> None:
    monkeypatch.setenv("RESULTS", str(results))
    shown = execute(name, NOTEBOOKS)
    table, times = (text for text in markdown(shown) if "| ADAM |" in text)
    assert all(row in table for row in rows)
    assert f"the {task} task" in table
    assert times.startswith("Time to a ")
    assert sum("image/png" in data for data in shown) == 3 * samplers  # curves, histograms, learning rate
    differences = [text for text in markdown(shown) if text.startswith("Mean ")]
    assert ["| SGD | random |" in text for text in differences] == [True] * (samplers - 1)
    assert heading(shown).startswith(f"# Shown: {task}")
    assert (f"a preset of {name}" in heading(shown)) == (task != name)


@pytest.fixture
def clone(tmp_path, monkeypatch) -> Path:
    """The notebooks' folder of a repository whose only results are those in git, without ``RESULTS``."""
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "results").mkdir()
    for part in ("paper", "published"):
        (tmp_path / "results" / part).symlink_to(NOTEBOOKS.parent / "results" / part)
    monkeypatch.delenv("RESULTS", raising=False)
    return tmp_path / "notebooks"


@JUPYTER
@pytest.mark.parametrize(
    ("name", "given"), [*((name, None) for name in STUDIES), ("mnist", "results/published")]
)
def test_in_a_fresh_clone_a_notebook_shows_what_is_published(
    clone, monkeypatch, execute, name, given
) -> None:
    if given:
        # As README writes it: from the root, not from where the kernel happens to run.
        monkeypatch.setenv("RESULTS", given)
    shown = execute(name, clone)
    task = runs.locate(name, [NOTEBOOKS.parent / "results" / "published"])[0]
    assert heading(shown).startswith(f"# Shown: {task}")
    assert (f"a preset of {name}" in heading(shown)) == (task != name)
    assert sum("image/png" in data for data in shown) >= 3


@pytest.mark.parametrize("given", [None, "results/published"])
def test_the_notebook_of_the_landscapes_finds_results_from_the_root_too(clone, monkeypatch, given) -> None:
    monkeypatch.chdir(clone)
    if given:
        monkeypatch.setenv("RESULTS", given)
    first, *_ = code(nbformat.read(NOTEBOOKS / "landscapes.ipynb", 4))
    names: dict = {}
    exec(first.replace("%matplotlib inline", ""), names)
    assert {"grid", "timing", "fair_runs"} <= set(names["tables"])


def test_a_task_is_looked_for_everywhere_before_its_preset(tmp_path) -> None:
    own, published = tmp_path / "own", tmp_path / "published"
    # Repeats of one setting are no search.
    synthetic.write_study(own, "sgd", trials=3, epochs=2, task="mnist", sampler="fixed")
    with pytest.raises(FileNotFoundError, match="no records of mnist or mnist_small"):
        runs.locate("mnist", [own, published])
    for results, task in (
        (published, "mnist_small"),
        (own, "mnist_small"),
        (published, "mnist"),
        (own, "mnist"),
    ):
        synthetic.write_study(results, "sgd", trials=3, epochs=2, task=task)
        assert runs.locate("mnist", [own, published]) == (task, results)
