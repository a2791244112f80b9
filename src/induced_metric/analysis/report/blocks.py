"""What a section of the report is made of, as data; ``markup`` turns it into HTML."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import plotly.graph_objects as go

from induced_metric.analysis.rendering import Table

ANY = "*"
"""The option of a choice that shows everything."""


@dataclass(frozen=True)
class Choice:
    """A selection beside a chart; a trace is shown where its ``meta`` has the option, or not the choice.

    Attributes:
        name: the key in ``meta``.
        label: what is chosen.
        options: label of each option, by its value; the first is chosen at the start.
        layouts: what an option changes in the layout of the chart.
    """

    name: str
    label: str
    options: Mapping[str, str]
    layouts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Chart:
    """A plotly figure with choices.

    Attributes:
        name: ends its anchor.
        title: what it shows.
        figure: all traces; a trace's ``meta`` says for which options it is shown.
        choices: in the order of the page.
        notes: what a reader must know besides.
    """

    name: str
    title: str
    figure: go.Figure
    choices: Sequence[Choice] = ()
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Ranking:
    """The order of the optimizers after k trials, for every k: a slider chooses among them.

    Attributes:
        name: ends its anchor.
        title: what it shows.
        chart: the name of the chart of the curves, in which the chosen k is marked.
        figure: a trace an optimizer, with one point.
        frames: by source: ``label``, ``budgets`` (every k), ``start`` (the place of the k shown first),
            ``names``, and for each of these names ``best``, ``low`` and ``high``, a number for each k, the
            last two empty where no interval is known; ``orders``, for each k the places in ``names``, best
            first.
        digits: significant ones, of the table.
        notes: what a reader must know besides.
    """

    name: str
    title: str
    chart: str
    figure: go.Figure
    frames: Mapping[str, Mapping[str, Any]]
    digits: int
    notes: Sequence[str] = ()


def table_anchor(name: str) -> str:
    """Where a link to the table with files of this name leads."""
    return f"table-{name}"


@dataclass(frozen=True)
class Shown:
    """A table in its place.

    Attributes:
        name: of its files; ends its anchor.
        table: what is shown.
        files: paths of the same table elsewhere, relative to the page, by their kind.
        folded: whether it opens when asked.
    """

    name: str
    table: Table
    files: Mapping[str, str] = field(default_factory=dict)
    folded: bool = False

    @property
    def anchor(self) -> str:
        """Where a link to it leads."""
        return table_anchor(self.name)


@dataclass(frozen=True)
class Text:
    """HTML that is ready: a paragraph, a list, a matrix."""

    html: str


Block: TypeAlias = Chart | Ranking | Shown | Text


@dataclass(frozen=True)
class Section:
    """A heading with blocks below it.

    Attributes:
        part: whose section it is: the beginning of all anchors in it.
        name: ends its anchor.
        title: the heading.
        blocks: what stands below it.
    """

    part: str
    name: str
    title: str
    blocks: Sequence[Block]

    @property
    def anchor(self) -> str:
        """Where a link to it leads."""
        return f"{self.part}-section-{self.name}"
