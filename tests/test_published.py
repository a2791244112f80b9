"""The committed tables and figures are those that today's code makes of the committed records."""

from pathlib import Path

import pytest
from matplotlib.testing.compare import compare_images

from induced_metric import records
from induced_metric.analysis import making, style

pytestmark = [pytest.mark.slow, pytest.mark.exhaustive]

PUBLISHED = Path(__file__).parents[1] / "results" / "published"
COMPARED = sorted(
    {
        (key.protocol, key.task)
        for key in records.recorded(results=PUBLISHED)
        if key.protocol in ("paper", "fair")
    }
)
# Root mean square over the pixels, of 255. Figures from before there was a palette differ by up to 2.4,
# figures of older definitions by 17 and more.
TOLERANCE = 5


def committed(kind: str, suffix: str, protocol: str, task: str) -> set[str]:
    """The names of the files that are of one task alone."""
    names = {path.name.removesuffix(suffix) for path in (PUBLISHED / kind).glob(f"*{suffix}")}
    return {name for name in names if f"{name}-".startswith(f"{protocol}-{task}-")}


@pytest.mark.parametrize(("protocol", "task"), COMPARED)
def test_the_tables_are_those_of_the_records(protocol: str, task: str, tmp_path: Path) -> None:
    made = set()
    for stem, table in making.make("tables", task, protocol=protocol, results=PUBLISHED):
        made.add(stem.name)
        for path in table.write(tmp_path / stem.name):
            if path.suffix != ".csv":  # whose last digits another processor may round otherwise
                text = (PUBLISHED / "tables" / path.name).read_text(encoding="utf-8")
                assert path.read_text(encoding="utf-8") == text, path.name
    assert committed("tables", ".md", protocol, task) <= made


@pytest.mark.parametrize(("protocol", "task"), COMPARED)
def test_the_figures_are_those_of_the_records(protocol: str, task: str, tmp_path: Path) -> None:
    made = set()
    for stem, figure in making.make("figures", task, protocol=protocol, results=PUBLISHED):
        style.save(figure, tmp_path / stem.name)
        made.add(stem.name)
        expected, found = (str(place / f"{stem.name}.png") for place in (PUBLISHED / "figures", tmp_path))
        assert compare_images(expected, found, TOLERANCE) is None, stem.name
    assert committed("figures", ".png", protocol, task) <= made
