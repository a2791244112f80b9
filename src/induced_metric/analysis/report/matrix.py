"""The verdicts on all pairs as a matrix, and in a sentence."""

from collections import Counter
from html import escape

import pandas as pd

from induced_metric.analysis import style
from induced_metric.analysis.confirmations.scale import Scale
from induced_metric.analysis.report.blocks import table_anchor
from induced_metric.analysis.report.markup import scrolled

_OPPOSITE = {"better": "worse", "worse": "better"}
_SIGNS = {"better": "▲", "worse": "▼", "equivalent": "≈", "undecided": "?"}


def matrix(table: pd.DataFrame, name: str) -> str:
    """``confirmed.compare`` as an HTML table: the row's optimiser against the column's.

    Args:
        table: one row per pair.
        name: the name of the files of the table that has all numbers.
    """
    names = style.ordered({*table["optimizer"], *table["other"]})
    scale = Scale(bool(table["logarithmic"].iloc[0]))
    cells: dict[tuple[str, str], str] = {}
    for row in table.to_dict("records"):
        one, other, verdict = (str(row[key]) for key in ("optimizer", "other", "verdict"))
        for pair, sign, word in (
            ((one, other), 1, verdict),
            ((other, one), -1, _OPPOSITE.get(verdict, verdict)),
        ):
            numbers = [*sorted([sign * row["low"], sign * row["high"]]), sign * row["difference"]]
            low, high, value = scale.shown(pd.Series(numbers))
            cells[pair] = (
                f'<td class="verdict {word}" title="[{low}, {high}]">'
                f'<span aria-hidden="true">{_SIGNS[word]}</span> '
                f"{word}<small>{value}</small></td>"
            )
    columns = [("row against column", ""), *((style.label(other), "") for other in names)]
    rows = (
        f'<tr><th scope="row">{escape(style.label(one))}</th>'
        + "".join(cells.get((one, other), '<td class="self">–</td>') for other in names)
        + "</tr>"
        for one in names
    )
    return (
        f"{scrolled('Matrix of verdicts', columns, rows)}"
        f'<p class="note">Each cell has the verdict on the row against the column, and the '
        f"{scale.difference_words} of their {scale.mean_words}s. "
        f'<a href="#{escape(table_anchor(name))}">All numbers</a>: intervals, n, and what it '
        "would take to decide.</p>"
    )


def sentence(table: pd.DataFrame) -> str:
    """How many pairs have each verdict, and how many others each optimiser is better than."""
    counts = Counter(table["verdict"].astype(str))
    remaining = ", ".join(f"{counts[word]} {word}" for word in ("equivalent", "undecided") if counts[word])
    wins: Counter[str] = Counter()
    for row in table.itertuples():
        if row.verdict in _OPPOSITE:
            wins[str(row.optimizer if row.verdict == "better" else row.other)] += 1
    led = "; ".join(
        f"{style.label(name)} is better than {number} other{'s' * (number > 1)}"
        for name, number in wins.most_common()
    )
    of_pairs = f"{len(table)} pair{'s' * (len(table) > 1)}"
    return (
        f"{of_pairs}: {led or 'no optimiser is better than another'}{f'; {remaining}' if remaining else ''}."
    )
