"""The notebooks find what there is to show, show it, and are kept as pages that need no network."""

import importlib.util
import re
from pathlib import Path

import nbformat
import pytest
import synthetic

from induced_metric import records
from induced_metric.analysis import runs

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
NOTEBOOKS = ROOT / "notebooks"

# Of Jupyter's own making: it prefers no transport for which there is an alternative on this platform.
JUPYTER = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning:jupyter_client", "ignore::DeprecationWarning:zmq"
)


@pytest.fixture(scope="module")
def publish():
    """``notebooks/publish.py``, which is no part of the package."""
    spec = importlib.util.spec_from_file_location("publish", NOTEBOOKS / "publish.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def displayed(notebook: nbformat.NotebookNode) -> list[dict]:
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert not [output for output in outputs if output.get("name") == "stderr"]
    return [output.get("data", {}) for output in outputs]


def markdown(shown: list[dict]) -> list[str]:
    return [data["text/markdown"] for data in shown if "text/markdown" in data]


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_outputs_are_stripped(path) -> None:
    for cell in nbformat.read(path, 4).cells:
        assert not cell.get("outputs")
        assert not cell.get("execution_count")


def test_the_task_is_a_parameter_of_the_first_code_cell() -> None:
    notebook = nbformat.read(NOTEBOOKS / "studies.ipynb", 4)
    first, *others = (cell for cell in notebook.cells if cell.cell_type == "code")
    assert first.metadata["tags"] == ["parameters"]  # where papermill looks for them
    given: dict = {}
    exec(first.source, given)
    assert given["task"] == "regression"
    # Whatever the task: its name stands nowhere else.
    assert not [cell for cell in others if "regression" in cell.source]


@JUPYTER
def test_the_notebook_of_the_studies_shows_tables_and_figures(results, monkeypatch, publish) -> None:
    monkeypatch.setenv("RESULTS", str(results))
    notebook = publish.executed("studies", task="shakespeare", samplers=["tpe"])
    shown = displayed(notebook)
    (heading,) = (text for text in markdown(shown) if text.startswith("# Shown: "))
    assert heading == (
        "# Shown: shakespeare_small, a preset, smaller than the paper's shakespeare, of which no search is "
        "on record"
    )
    table, times = (text for text in markdown(shown) if "| ADAM |" in text)
    assert "the shakespeare_small task" in table
    assert "| SGD_RMS | tpe | 1 |" in table
    assert times.startswith("Time to a validation perplexity")
    assert sum("image/png" in data for data in shown) == 4  # scatter, curves, histograms, learning rate
    (parameters,) = (cell.source for cell in notebook.cells if "parameters" in cell.metadata.get("tags", []))
    assert re.search("^task = 'shakespeare'  #.*\nprotocol", parameters)


@JUPYTER
@pytest.mark.exhaustive  # tests/cli/test_landscapes.py runs it on small records
def test_the_notebook_of_the_landscapes_shows_what_is_published(monkeypatch, publish) -> None:
    # As README writes it: from the root, not from where the kernel happens to run.
    monkeypatch.setenv("RESULTS", "results/published")
    shown = displayed(publish.executed("landscapes"))
    assert sum("image/png" in data for data in shown) >= 9
    assert any("supported" in text for text in markdown(shown))


def test_a_parameter_that_a_notebook_lacks_is_refused(publish) -> None:
    with pytest.raises(ValueError, match=r"studies.ipynb has no parameter 'tsak'"):
        publish.executed("studies", tsak="mnist")


@pytest.fixture
def repository(tmp_path, monkeypatch) -> Path:
    """A repository whose only results are those in git, without ``RESULTS``, from its notebooks' folder."""
    (tmp_path / "pyproject.toml").touch()
    for name in ("notebooks", "results"):
        (tmp_path / name).mkdir()
    (tmp_path / "results" / "published").symlink_to(ROOT / "results" / "published")
    monkeypatch.delenv("RESULTS", raising=False)
    monkeypatch.chdir(tmp_path / "notebooks")
    return tmp_path


@pytest.mark.parametrize("given", [None, "results/published"])
def test_in_a_fresh_clone_there_is_what_is_published(repository, monkeypatch, given) -> None:
    if given:
        monkeypatch.setenv("RESULTS", given)
    published = repository / "results" / "published"
    assert runs.locate("regression") == ("regression", published, "regression")
    for task in ("mnist", "cifar10", "shakespeare"):
        found = runs.locate(task)
        assert (found.task, found.results) == (f"{task}_small", published)
        assert found.title.startswith(f"{task}_small, a preset")
    assert runs.locate("mnist_small").title == "mnist_small"
    assert runs.locate_landscapes() == published


def test_a_task_is_looked_for_everywhere_before_its_preset(tmp_path, monkeypatch) -> None:
    (tmp_path / "pyproject.toml").touch()
    monkeypatch.delenv("RESULTS", raising=False)
    monkeypatch.chdir(tmp_path)
    own, published = tmp_path / "results", tmp_path / "results" / "published"
    # Neither repeats of one setting nor single trials are a search.
    for sampler in ("fixed", "single"):
        synthetic.write_study(own, "sgd", trials=3, epochs=2, task="mnist", sampler=sampler)
    with pytest.raises(FileNotFoundError, match="no records of mnist or mnist_small"):
        runs.locate("mnist")
    for results, task in (
        (published, "mnist_small"),
        (own, "mnist_small"),
        (published, "mnist"),
        (own, "mnist"),
    ):
        synthetic.write_study(results, "sgd", trials=3, epochs=2, task=task)
        assert runs.locate("mnist")[:2] == (task, results)
    with pytest.raises(FileNotFoundError, match="'make landscapes' makes them"):
        runs.locate_landscapes()


def test_executed_copies_are_published_and_small() -> None:
    published = ROOT / "results" / "published"
    pages = {path.stem: path.read_text() for path in (published / "notebooks").glob("*.html")}
    searched = {
        task for task in records.tasks(results=published) if records.searches(task, results=published)
    }
    assert set(pages) == {"landscapes", *searched}
    for page in pages.values():
        assert len(page) < 1.5e6
        assert not re.findall(r'<(?:script|img|link)[^>]*(?:src|href)="http', page)
        assert not re.search(r"[\"' ]/(home|tmp|work)/", page)
