"""One static page of a comparison: it needs no network and no script."""

import io
from collections.abc import Mapping
from html import escape
from importlib import resources

import matplotlib
from matplotlib.figure import Figure

from induced_metric.analysis import style
from induced_metric.analysis.rendering import Table
from induced_metric.analysis.report import markup

HEADINGS = {
    "verdicts": "Verdicts",
    "confirmed": "What each optimiser is worth once tuned",
    "values": "The winners' values",
    "tuning": "What tuning costs",
    "ranges": "Where the best settings lie",
    "fairness": "Fairness linter",
}


def page(title: str, answer: str, tables: Mapping[str, Table], figures: Mapping[str, Figure]) -> str:
    """The page.

    Args:
        title: what is compared.
        answer: the verdicts in words.
        tables: by the keys of ``HEADINGS``.
        figures: likewise; not every key must have a table or a figure.
    """
    sections = {name: _table(table) for name, table in tables.items()}
    sections |= {name: f'<div class="figure">{_svg(figure)}</div>' for name, figure in figures.items()}
    body = "\n".join(
        f'<section id="{name}"><h2>{escape(heading)}</h2>{sections[name]}</section>'
        for name, heading in HEADINGS.items()
        if name in sections
    )
    text = resources.files(__package__).joinpath("page.html").read_text(encoding="utf-8")
    for name, content in (("TITLE", escape(title)), ("ANSWER", escape(answer)), ("BODY", body)):
        text = text.replace(f"<!--{name}-->", content)
    return text


def _table(table: Table) -> str:
    return f"<p>{escape(table.title)}</p>{markup.table(table)}{markup.notes(table.notes)}"


def _svg(figure: Figure) -> str:
    """The figure as an SVG element: the same bytes for the same figure."""
    written = io.StringIO()
    with style.style(), matplotlib.rc_context({"svg.hashsalt": __name__, "svg.fonttype": "none"}):
        figure.savefig(written, format="svg", metadata={"Date": None})
    return written.getvalue()[written.getvalue().index("<svg") :]
