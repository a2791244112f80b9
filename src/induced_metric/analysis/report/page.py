"""The page: every part of a results directory, the landscapes, and plotly.js, in one file."""

import base64
import functools
import gzip
from collections.abc import Callable, Sequence
from html import escape
from importlib import resources
from pathlib import Path

from plotly.offline import get_plotlyjs

from induced_metric import records
from induced_metric.analysis.report import assemble, claims, landscapes, markup, matrix, part
from induced_metric.analysis.report.blocks import Section
from induced_metric.records import published

_PROTOCOLS = ("fair", "paper")
"""The protocols that come first on the page; any others follow by name."""
TITLE = "Optimisers compared: what can be concluded"


def write(results: Path, say: Callable[[str], None] = lambda _: None) -> Path:
    """Writes ``<results>/report.html`` and returns its path.

    Args:
        results: the results directory.
        say: is told the name of each part before it is made, which takes up to a minute.

    Raises:
        FileNotFoundError: if there are no records; the message says where.
    """
    pairs = {(key.protocol, key.task) for key in records.begun(results=results)}
    ordered = sorted(pairs, key=_place)
    # Each record is read only once, however many tables and charts use it.
    load = functools.cache(records.load)
    recorded = [part.read(protocol, task, results, load) for protocol, task in ordered
                if records.samplers(task, protocol=protocol, results=results)]  # fmt: skip
    functions = landscapes.section(results)
    if not recorded and functions is None:
        raise FileNotFoundError(f"no records under {results}; 'make sweep' or 'make fair' makes them")
    parts: list[tuple[str, str, list[Section]]] = []
    summary: list[str] = []
    shown_tables: set[str] = set()
    for each in recorded:
        say(f"{each.task}, protocol {each.protocol}")
        made = assemble.tables(each, shown_tables)
        parts.append((each.name, f"{each.task}, protocol {each.protocol}", assemble.sections(each, made)))
        summary.append(_summary(each, made))
    say("the paper's claims")
    parts.append(("claims", "The paper's claims", [claims.section(results, load)]))
    if functions is not None:
        parts.append(("functions", "Functions of two variables", [functions]))
    path = results / "report.html"
    path.write_text(_filled(parts, summary), encoding="utf-8")
    return path


def _place(pair: tuple[str, str]) -> tuple[int, int, str, str]:
    """The place of a protocol and a task on the page: the protocols, then the tasks in the paper's order."""
    protocol, task = pair
    rank = _PROTOCOLS.index(protocol) if protocol in _PROTOCOLS else len(_PROTOCOLS)
    return rank, published.number(task.partition("_")[0]) or 99, protocol, task


def _summary(each: part.Part, made: assemble.Tables) -> str:
    where = f'<a href="#{escape(each.name)}">{escape(each.task)}, protocol {escape(each.protocol)}</a>'
    verdicts = [matrix.sentence(comparison.table.data) for comparison in assemble.compared(made)]
    message = " ".join(verdicts) or assemble.NO_VERDICT
    return f"<li>{where}: {escape(message)}</li>"


def _filled(parts: Sequence[tuple[str, str, Sequence[Section]]], summary: Sequence[str]) -> str:
    body = [
        f'<section id="{escape(name)}">\n<h2>{escape(title)}</h2>\n'
        + "\n".join(map(markup.section, sections))
        + "\n</section>"
        for name, title, sections in parts
    ]
    header = (
        "<p>This page is made from the records of trials alone. Each verdict names its method, its n and the "
        "records it rests on. “Undecided” is a verdict, too; its table says what a decision would take.</p>"
        f"<ul>{''.join(summary)}</ul>"
    )
    footer = (
        "Charts are drawn by plotly.js (MIT licence), which is part of this file. Values in charts have "
        "seven digits, those in tables as many as are shown; the linked CSV files have all digits."
    )
    values = {
        "TITLE": TITLE,
        "HEADER": header,
        "CONTENTS": markup.contents(parts),
        "BODY": "\n".join(body),
        "FOOTER": footer,
        "PLOTLY": _packed(get_plotlyjs()),
    }
    page = resources.files(__package__).joinpath("page.html").read_text(encoding="utf-8")
    for name, value in values.items():
        page = page.replace(f"<!--{name}-->", value)
    return page


def _packed(script: str) -> str:
    """A script, compressed to a third of its size: the same bytes for the same script."""
    return base64.b64encode(gzip.compress(script.encode(), mtime=0)).decode()
