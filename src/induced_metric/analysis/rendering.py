"""A table in every format: for the terminal, Markdown, LaTeX, CSV and, automatically, in a notebook."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pandas as pd

if TYPE_CHECKING:
    import rich.table

MISSING = "–"


@dataclass(frozen=True)
class Table:
    """A table's content and presentation; its first columns hold words, the others numbers.

    Attributes:
        data: the numbers, in full precision.
        cells: the text of each cell, one row per row of ``data``, with the headers as columns.
        bold: which cells are bold; columns without bold cells are left out.
        title: what the table is.
        notes: what else a reader must know.
        metric: the name of the metric, which the headers in the terminal omit because the title has it.
        words: how many of the first columns hold words; those after the second hold sentences.
    """

    data: pd.DataFrame
    cells: pd.DataFrame
    bold: pd.DataFrame
    title: str
    notes: list[str]
    metric: str = ""
    words: int = 2

    def _emphasised(self, form: str, escape: Callable[[str], str] = str) -> pd.DataFrame:
        text = self.cells.map(escape)
        for name in self.bold:
            text[name] = text[name].mask(self.bold[name], text[name].map(form.format))
        return text

    def markdown(self) -> str:
        """The cells in GitHub's Markdown."""
        return markdown(self._emphasised("**{}**"), numbers=self.cells.shape[1] - self.words) + "\n"

    def _repr_markdown_(self) -> str:
        return f"{self.title}\n\n{self.markdown()}\n" + "".join(f"- {note}\n" for note in self.notes)

    def latex(self) -> str:
        r"""The table in LaTeX; needs ``\usepackage{booktabs}``."""
        text = self._emphasised(r"\textbf{{{}}}", _escaped)
        columns = "l" * min(self.words, 2) + r"p{0.35\linewidth}" * (self.words - 2)
        columns += "r" * (len(text.columns) - self.words)
        lines = [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{_escaped(self.title)}}}",
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            " & ".join(map(_escaped, text.columns)) + r" \\",
        ]
        above = None
        for first, *cells in text.to_numpy().tolist():
            if first != above:
                lines.append(r"\midrule")
            # Show a name only once, on the first of its rows.
            lines.append(" & ".join(["" if first == above else first, *cells]) + r" \\")
            above = first
        lines += [r"\bottomrule", r"\end{tabular}"]
        lines += [rf"\par\footnotesize {_escaped(note)}" for note in self.notes]
        return "\n".join([*lines, r"\end{table}", ""])

    def terminal(self) -> "rich.table.Table":
        """The cells for ``rich.print``; fits into 80 columns for the paper's optimisers."""
        from rich import box
        from rich.markup import escape
        from rich.table import Table as View

        text = self._emphasised("[bold]{}[/bold]", escape)
        view = View(box=box.SIMPLE, padding=0, pad_edge=False, show_edge=False)
        for place, name in enumerate(text.columns):
            header = name.replace(f" {self.metric}", "") if self.metric else name
            # Headers wrap between words, cells only where the terminal is too narrow, and then lose nothing.
            width = max(len(word) for word in [*header.split(), *self.cells[name]])
            justify: Literal["left", "right"] = "left" if place < self.words else "right"
            sentence = 2 <= place < self.words
            view.add_column(
                escape(header), justify=justify, width=None if sentence else width, overflow="fold"
            )
        first = text.iloc[:, 0]
        last = (first != first.shift(-1)).tolist()
        above = None
        for (name, *cells), ends in zip(text.to_numpy().tolist(), last, strict=True):
            view.add_row("" if name == above else name, *cells, end_section=ends)
            above = name
        return view

    def write(self, stem: Path) -> list[Path]:
        """Writes ``<stem>.md``, ``.csv`` (full precision) and ``.tex``; returns their paths."""
        stem.parent.mkdir(parents=True, exist_ok=True)
        contents = {
            ".md": self._repr_markdown_(),
            ".csv": self.data.to_csv(index=False),
            ".tex": self.latex(),
        }
        # Not with_suffix: the name of a sampler or a task may hold a dot.
        paths = {suffix: stem.with_name(stem.name + suffix) for suffix in contents}
        for suffix, content in contents.items():
            paths[suffix].write_text(content, encoding="utf-8")
        return list(paths.values())


def markdown(table: pd.DataFrame, *, numbers: int = 0) -> str:
    """A DataFrame in GitHub's Markdown, without its index and without a trailing newline.

    Args:
        table: text, or numbers, which are shown with three digits; a NaN cell is empty.
        numbers: how many of the last columns are right-aligned.
    """
    rule = ["---"] * (table.shape[1] - numbers) + ["---:"] * numbers
    cells = [[_cell(value) for value in row] for row in table.itertuples(index=False)]
    rows = [[str(column) for column in table], rule, *cells]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _cell(value: object) -> str:
    if isinstance(value, float):
        return "" if pd.isna(value) else f"{value:.3g}"
    return str(value)


def leads(cost: pd.Series, source: pd.Series) -> pd.Series:
    """Which rows have the lowest cost within their source."""
    return cost == cost.groupby(source).transform("min")


def fixed(values: pd.Series, digits: int, *, signed: bool = False) -> pd.Series:
    """Numbers as text with ``digits`` decimal places; a dash for NaN, ``diverged`` for an infinite one."""
    sign = "+" if signed else "-"

    def cell(value: float) -> str:
        if pd.isna(value):
            return MISSING
        return f"{value:{sign}.{digits}f}" if math.isfinite(value) else "diverged"

    return values.map(cell)


def seconds(values: pd.Series) -> pd.Series:
    """Seconds as text, as in the paper: to the hundredth below 100, else whole."""
    return fixed(values, 2).where(~(values >= 100), fixed(values, 0))


def _escaped(text: str) -> str:
    return re.sub(r"([_%&#$])", r"\\\1", text).replace("<", "$<$").replace(">", "$>$")
