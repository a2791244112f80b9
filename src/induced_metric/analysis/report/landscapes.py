"""The functions of two variables: links to their own page, and the verdicts on the paper's claims."""

from html import escape
from pathlib import Path

import pandas as pd

from induced_metric.analysis.report.blocks import Section, Text
from induced_metric.analysis.report.markup import scrolled

_PAGE = "landscapes/landscapes.html"


def section(results: Path) -> Section | None:
    """The verdicts, and links to what the results directory has of the landscapes; None if it has nothing."""
    blocks = []
    verdicts = results / "landscapes" / "verdicts.csv"
    if verdicts.exists():
        blocks.append(Text(_table(pd.read_csv(verdicts))))
    if (results / _PAGE).exists():
        blocks.append(
            Text(
                f'<p><a href="{_PAGE}">The page of the landscapes</a>: the paths of all optimisers on each '
                f"function.</p><details><summary>Show that page here</summary>"
                f'<iframe data-src="{_PAGE}" title="Functions of two variables"></iframe></details>'
            )
        )
    if (results / "landscapes" / "README.md").exists():
        blocks.append(Text('<p><a href="landscapes/README.md">All tables, and what each means.</a></p>'))
    return Section("functions", "page", "The paper's Section 3.1", blocks) if blocks else None


def _table(table: pd.DataFrame) -> str:
    columns = [(str(name).replace("_", " "), "") for name in table]
    rows = (
        "<tr>" + "".join(f"<td>{'' if pd.isna(cell) else escape(str(cell))}</td>" for cell in row) + "</tr>"
        for row in table.to_numpy().tolist()
    )
    return scrolled("Verdicts on the claims", columns, rows)
