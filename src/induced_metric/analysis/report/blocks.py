"""The blocks that a section of the report is made of, as data; ``markup`` turns them into HTML."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import plotly.graph_objects as go

from induced_metric.analysis.rendering import Table

ANY = "*"
"""The option of a choice that shows everything."""


@dataclass(frozen=True)
class Choice:
    """A menu beside a chart: a trace is shown if its ``meta`` has the chosen option, or no such key at all.

    Attributes:
        name: the key in ``meta``.
        label: what is chosen.
        options: the label of each option, by its value; the first is chosen at the start.
        layouts: what each option changes in the layout of the chart.
    """

    name: str
    label: str
    options: Mapping[str, str]
    layouts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Chart:
    """A plotly figure with choices.

    Attributes:
        name: the end of its anchor.
        title: what it shows.
        figure: all traces; a trace's ``meta`` says for which options it is shown.
        choices: the menus, in the order of the page.
        notes: what a reader must know in addition.
    """

    name: str
    title: str
    figure: go.Figure
    choices: Sequence[Choice] = ()
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Ranking:
    """The order of the optimisers after k trials, for every k; a slider chooses k.

    Attributes:
        name: the end of its anchor.
        title: what it shows.
        chart: the name of the chart of the curves, in which the chosen k is marked.
        figure: one trace per optimiser, with one point.
        frames: by source: ``label``; ``budgets``, every k; ``start``, the index of the k shown first;
            ``names``; for each name ``best``, ``low`` and ``high``, one number per k, the last two empty
            where no interval is known; and ``orders``, for each k the indices in ``names``, best first.
        digits: the number of significant digits in the table.
        notes: what a reader must know in addition.
    """

    name: str
    title: str
    chart: str
    figure: go.Figure
    frames: Mapping[str, Mapping[str, Any]]
    digits: int
    notes: Sequence[str] = ()


def table_anchor(name: str) -> str:
    """The anchor of the table whose files have this name."""
    return f"table-{name}"


@dataclass(frozen=True)
class Shown:
    """A table as the report shows it.

    Attributes:
        name: the name of its files, and the end of its anchor.
        table: what is shown.
        files: paths of the files that have the same table, relative to the page, by their kind.
        folded: whether it is closed until the reader opens it.
    """

    name: str
    table: Table
    files: Mapping[str, str] = field(default_factory=dict)
    folded: bool = False

    @property
    def anchor(self) -> str:
        """The anchor for links to it."""
        return table_anchor(self.name)


@dataclass(frozen=True)
class Text:
    """Finished HTML: a paragraph, a list, a matrix."""

    html: str


Block: TypeAlias = Chart | Ranking | Shown | Text


@dataclass(frozen=True)
class Section:
    """A heading with blocks below it.

    Attributes:
        part: the name of the part that it belongs to, with which all anchors in it begin.
        name: the end of its anchor.
        title: the heading.
        blocks: what stands below the heading.
    """

    part: str
    name: str
    title: str
    blocks: Sequence[Block]

    @property
    def anchor(self) -> str:
        """The anchor for links to it."""
        return f"{self.part}-section-{self.name}"
