"""Blocks as HTML."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from typing import Any

from induced_metric.analysis import style
from induced_metric.analysis.rendering import MISSING, Table
from induced_metric.analysis.report.blocks import (
    Block,
    Chart,
    Choice,
    Ranking,
    Section,
    Shown,
    Text,
    table_anchor,
)
from induced_metric.analysis.reports import FAIRNESS

_REFERENCE = re.compile(rf"\b\w+-\w+-{FAIRNESS}\b")


def section(found: Section) -> str:
    """A heading, level 3, and what is below it."""
    blocks = "\n".join(block(found.part, each) for each in found.blocks)
    return f'<section id="{escape(found.anchor)}">\n<h3>{escape(found.title)}</h3>\n{blocks}\n</section>'


def block(part: str, made: Block) -> str:
    """A block of the part with this name, with which the anchors of its charts begin."""
    if isinstance(made, Chart):
        return chart(f"{part}-chart-{made.name}", made)
    if isinstance(made, Ranking):
        return ranking(f"{part}-chart-{made.name}", f"{part}-chart-{made.chart}", made)
    if isinstance(made, Shown):
        return shown(made)
    return made.html


def text(sentence: str, kind: str = "") -> Text:
    """A paragraph of plain text."""
    return Text(f"<p{_class(kind)}>{escape(sentence)}</p>")


def notes(sentences: Iterable[str]) -> str:
    """A list of notes; the name of a table of the fairness linter becomes a link to that table."""
    items = "".join(f"<li>{_REFERENCE.sub(_linked, escape(sentence))}</li>" for sentence in sentences)
    return f'<ul class="notes">{items}</ul>' if items else ""


def _linked(found: re.Match[str]) -> str:
    return f'<a href="#{table_anchor(found[0])}">{found[0]}</a>'


def shown(found: Shown) -> str:
    """A table with its title, its notes, and links to its files."""
    links = " · ".join(f'<a href="{escape(path)}">{escape(kind)}</a>' for kind, path in found.files.items())
    files = f'<p class="note">The same table as {links}.</p>' if links else ""
    name = escape(found.anchor)
    body = table(found.table) + notes(found.table.notes) + files
    title = escape(found.table.title)
    if found.folded:
        return f'<details id="{name}"><summary>{title}</summary>{body}</details>'
    return f'<div id="{name}"><p class="title"><strong>{title}</strong></p>{body}</div>'


def table(made: Table) -> str:
    """The cells of a table; on a narrow screen those of a table with sentences stand below each other."""
    names = [escape(str(name)) for name in made.cells.columns]
    kinds = [_kind(place, made.words) for place in range(len(names))]
    rows = []
    above = None
    bold = {escape(str(name)): made.bold[name].to_numpy() for name in made.bold}
    for number, cells in enumerate(made.cells.to_numpy().tolist()):
        first, *others = (escape(str(cell)) for cell in cells)
        line = [f'<th scope="row">{first}</th>']
        for name, kind, cell in zip(names[1:], kinds[1:], others, strict=True):
            text = f"<strong>{cell}</strong>" if name in bold and bold[name][number] else cell
            line.append(f'<td class="{kind}" data-name="{name}">{text}</td>')
        rows.append(f"<tr{' class=first' if first != above else ''}>{''.join(line)}</tr>")
        above = first
    columns = zip(made.cells.columns, kinds, strict=True)
    return scrolled(made.title, columns, rows, "sentences" if made.words > 2 else "numbers")


def scrolled(label: str, columns: Iterable[tuple[str, str]], rows: Iterable[str], kind: str = "") -> str:
    """A table that scrolls by itself where it is wider than the page.

    Args:
        label: what it is called where it cannot be seen.
        columns: the heading and the class of each column; a class may be empty.
        rows: HTML.
        kind: its class.
    """
    head = "".join(f'<th scope="col"{_class(each)}>{escape(str(name))}</th>' for name, each in columns)
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(label)}"><table{_class(kind)}>'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _class(kind: str) -> str:
    return f' class="{kind}"' if kind else ""


def _kind(place: int, words: int) -> str:
    if place >= words:
        return "number"
    return "word" if words == 2 else "sentence" if place >= 2 else "several"


def chart(name: str, made: Chart) -> str:
    """A chart with its choices, and its traces as data for the script."""
    figure = made.figure.to_plotly_json()
    data = {
        **json.loads(made.figure.to_json()),
        "choices": {choice.name: choice.layouts for choice in made.choices if choice.layouts},
    }
    controls = "".join(map(_select, made.choices))
    return (
        f'<div class="chart" id="{escape(name)}"><h4>{escape(made.title)}</h4>'
        f'<div class="choices">{controls}</div>{_plot(made.title, figure["layout"]["height"])}'
        f'<p class="status" role="status"></p>{notes(made.notes)}{_json(data)}</div>'
    )


def ranking(name: str, curves: str, made: Ranking) -> str:
    """A slider over the number of trials, and the ranking at the chosen number as a chart and as a table."""
    source, frame = next(iter(made.frames.items()))
    options = {key: str(value["label"]) for key, value in made.frames.items()}
    last, place = len(frame["budgets"]) - 1, frame["start"]
    k = frame["budgets"][place]
    controls = (
        _select(Choice("source", "Search", options))
        + f'<label class="slider">Trials of each optimiser <input type="range" min="0" max="{last}" step="1" '
        f'value="{place}" aria-valuetext="{k} trials"></label>'
        f'<label>or exactly <input type="number" min="1" max="{frame["budgets"][-1]}" value="{k}"></label>'
    )
    data = {**json.loads(made.figure.to_json()), "frames": made.frames, "digits": made.digits}
    columns = {"Rank": "word", "Optimiser": "word", "Best": "number", "Band or range": "number"}
    leader = style.label(frame["names"][frame["orders"][place][0]])
    return (
        f'<div class="ranking" id="{escape(name)}" data-chart="{escape(curves)}">'
        f"<h4>{escape(made.title)}</h4>"
        f'<div class="choices">{controls}</div>'
        f'<p class="status" role="status">'
        f"After {k} trial{'s' * (k > 1)}: {escape(leader)} leads ({escape(options[source])}).</p>"
        f"{_plot(made.title, made.figure.layout.height)}"
        f"{scrolled(made.title, columns.items(), _ranks(frame, place, made.digits))}"
        f"{notes(made.notes)}{_json(data)}</div>"
    )


def _ranks(frame: Mapping[str, Any], place: int, digits: int) -> Iterator[str]:
    """The rows of the table, the same as the script writes."""
    for rank, index in enumerate(frame["orders"][place], start=1):
        ends = [f"{frame[end][index][place]:#.{digits}g}" for end in ("low", "high") if frame[end]]
        yield (
            f'<tr><td>{rank}</td><th scope="row">{escape(style.label(frame["names"][index]))}</th>'
            f'<td class="number">{frame["best"][index][place]:#.{digits}g}</td>'
            f'<td class="number">{" to ".join(ends) or MISSING}</td></tr>'
        )


def _select(choice: Choice) -> str:
    options = "".join(
        f'<option value="{escape(value)}">{escape(label)}</option>' for value, label in choice.options.items()
    )
    select = f'<select data-choice="{escape(choice.name)}">{options}</select>'
    return f"<label>{escape(choice.label)} {select}</label>"


def _plot(title: str, height: int) -> str:
    return (
        f'<div class="plot" role="img" aria-label="{escape(title)}" style="min-height:{height}px">'
        '<p class="wait">The chart is drawn when it comes into view.</p></div>'
    )


def _json(data: Mapping[str, Any]) -> str:
    written = json.dumps(data, separators=(",", ":"), allow_nan=False)
    # A tag inside a script element would end it.
    return f'<script type="application/json">{written.replace("<", chr(92) + "u003c")}</script>'


def contents(parts: Sequence[tuple[str, str, Sequence[Section]]]) -> str:
    """Links to all parts and sections."""
    rows = "".join(
        f'<li><a href="#{escape(name)}"><strong>{escape(title)}</strong></a><ul>'
        + "".join(f'<li><a href="#{escape(each.anchor)}">{escape(each.title)}</a></li>' for each in sections)
        + "</ul></li>"
        for name, title, sections in parts
    )
    return f"<ul>{rows}</ul>"
