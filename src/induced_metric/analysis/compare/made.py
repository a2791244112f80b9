"""The tables, the figures and the page of a comparison."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from matplotlib.figure import Figure

from induced_metric.analysis import fairness, runs, style
from induced_metric.analysis.compare import page, ranges
from induced_metric.analysis.compare.evidence import Evidence
from induced_metric.analysis.confirmations import confirmed_tables
from induced_metric.analysis.confirmations.confirmed_figure import confirmed_figure
from induced_metric.analysis.rendering import Table
from induced_metric.analysis.tuning import tuning_curves

_SAID = {
    "better": "better than",
    "worse": "worse than",
    "equivalent": "equivalent to",
    "undecided": "undecided against",
}


class Made(NamedTuple):
    """The results of a comparison.

    Attributes:
        title: what is compared.
        answer: the verdicts in a sentence for each candidate.
        tables: the tables, by the ends of their file names; verdicts first.
        figures: the figures, likewise: the winners' values and the tuning curves.
    """

    title: str
    answer: str
    tables: dict[str, Table]
    figures: dict[str, Figure]

    def write(self, results: Path, name: str) -> Iterator[Path]:
        """Writes ``<results>/tables/<name>-<table>`` and so on; yields the paths, the page's last."""
        for table, made in self.tables.items():
            yield from made.write(results / "tables" / f"{name}-{table}")
        (results / "figures").mkdir(parents=True, exist_ok=True)
        for figure, drawn in self.figures.items():
            yield from style.save(drawn, results / "figures" / f"{name}-{figure}")
        path = results / f"{name}.html"
        path.write_text(page.page(self.title, self.answer, self.tables, self.figures), encoding="utf-8")
        yield path


def make(evidence: Evidence) -> Made:
    """Makes the tables and the figures of a comparison."""
    task, searches, confirmations = evidence.task, evidence.searches, evidence.confirmations
    verdicts = confirmed_tables.verdicts_table(task, confirmations, searches, pairs=evidence.pairs)
    assert verdicts is not None, "there is a pair"
    findings = fairness.findings(
        comparison
        for comparison in fairness.comparisons(task, searches, confirmations, n=runs.best_count(searches))
        if comparison.source != fairness.PUBLISHED
    )
    linted = fairness.fairness_table(task, findings)
    tables = {
        "verdicts": verdicts,
        "confirmed": confirmed_tables.confirmed_table(task, confirmations, searches),
        "ranges": ranges.ranges_table(task, searches, evidence.candidates),
        **({} if linted is None else {"fairness": linted}),
    }
    tables["verdicts"].notes.extend(evidence.remarks)
    named = ", ".join(map(style.label, evidence.candidates))
    title = f"{named} against tuned baselines: {task}, protocol {evidence.protocol}"
    figures = {
        "values": confirmed_figure(task, confirmations, searches, lettered=False),
        "tuning": tuning_curves.tuning_figure(searches),
    }
    return Made(title, answer(verdicts.data), tables, figures)


def answer(verdicts: pd.DataFrame) -> str:
    """A sentence for each candidate, such as *LION: worse than ADAMW; undecided against MUON, SGD.*

    Args:
        verdicts: the pairs of candidate and baseline, as returned by ``verdicts.compare``.
    """
    sentences = []
    for name, own in verdicts.groupby("optimizer", sort=False):
        others = {verdict: rows["other"].map(style.label) for verdict, rows in own.groupby("verdict")}
        parts = [
            f"{words} {', '.join(others[verdict])}" for verdict, words in _SAID.items() if verdict in others
        ]
        sentences.append(f"{style.label(str(name))}: {'; '.join(parts)}.")
    return " ".join(sentences)
