"""Executes the notebooks and keeps them as HTML: python notebooks/publish.py --results results/published.

``studies.ipynb`` for each task with a search on record there, ``landscapes.ipynb`` where that is on record;
into ``<results>/notebooks``. Needs the extra ``notebook``, for nbconvert.
"""

import argparse
import base64
import io
import os
import re
from pathlib import Path
from typing import Any

import nbclient
import nbformat

from induced_metric import records

NOTEBOOKS = Path(__file__).parent
# Fifteen figures of a dozen panels are to be read, and to be loaded: a third of the bytes at so few colours.
_DPI = 88
_COLOURS = 128
# The widest table is wider than a prompt's column leaves room for.
_STYLE = ".container {width: 1300px !important} .output_subarea {max-width: none !important}"


def executed(name: str, **parameters: Any) -> nbformat.NotebookNode:
    """A notebook with its outputs.

    Args:
        name: of a notebook in this directory.
        **parameters: what the cell tagged ``parameters`` is to assign instead.

    Raises:
        ValueError: if that assigns no such name.
    """
    notebook = nbformat.read(NOTEBOOKS / f"{name}.ipynb", 4)
    for key, value in parameters.items():
        # In its place, so that a reader sees what was shown.
        line = re.compile(rf"^{key} = .*?(?=  #|$)", re.MULTILINE)
        (cell,) = (cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", []))
        cell.source, found = line.subn(f"{key} = {value!r}", cell.source)
        if not found:
            raise ValueError(f"{name}.ipynb has no parameter {key!r}")
    sizes = f"%matplotlib inline\n%config InlineBackend.print_figure_kwargs = {{'dpi': {_DPI}}}"
    notebook.cells.insert(0, nbformat.v4.new_code_cell(sizes))
    resources = {"metadata": {"path": str(NOTEBOOKS)}}
    nbclient.NotebookClient(notebook, timeout=600, kernel_name="python3", resources=resources).execute()
    del notebook.cells[0]
    return notebook


def lighten(notebook: nbformat.NotebookNode) -> None:
    """Reduces the figures of an executed notebook to ``_COLOURS`` colours."""
    from PIL import Image

    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if encoded := output.get("data", {}).get("image/png"):
                figure = Image.open(io.BytesIO(base64.b64decode(encoded))).convert("RGB")
                small = io.BytesIO()
                figure.quantize(_COLOURS, dither=Image.Dither.NONE).save(small, "png", optimize=True)
                output.data["image/png"] = base64.b64encode(small.getvalue()).decode()


def html(notebook: nbformat.NotebookNode, title: str) -> str:
    """A notebook as one page, which needs no network."""
    from nbconvert import HTMLExporter

    exporter = HTMLExporter(
        template_name="classic",
        exclude_output_prompt=True,
        exclude_input_prompt=True,
        exclude_anchor_links=True,
    )
    lighten(notebook)
    page, _ = exporter.from_notebook_node(notebook, {"metadata": {"name": title}})
    # What is fetched is for widgets and formulas, of which there are none.
    page = re.sub(r'<script src="[^"]*">\s*</script>', "", page)
    return page.replace("</head>", f"<style>{_STYLE}</style></head>", 1)


def main() -> None:
    """Executes and writes all that ``--results`` has records of."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--results", type=Path, default=Path("results"), help="default: results")
    results = parser.parse_args().results.resolve()
    os.environ["RESULTS"] = str(results)
    (results / "notebooks").mkdir(parents=True, exist_ok=True)
    searched = [task for task in records.tasks(results=results) if records.searches(task, results=results)]
    pages: dict[str, tuple[str, dict[str, str]]] = {}
    for task in searched:
        paper = task.removesuffix("_small")
        # Asked for the paper's task, the notebook says of a preset what it stands for.
        pages[task] = ("studies", {"task": task if paper in searched else paper})
    if any((results / "landscapes").glob("*.parquet")):
        pages["landscapes"] = ("landscapes", {})
    for title, (name, parameters) in pages.items():
        path = results / "notebooks" / f"{title}.html"
        path.write_text(html(executed(name, **parameters), title), encoding="utf-8")
        print(f"wrote {path}")


if __name__ == "__main__":
    main()
