"""The paper's claims, each with its verdicts and links to the records that these rest on."""

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd

from induced_metric.analysis import paper_claims, runs
from induced_metric.analysis.claims import VERDICTS
from induced_metric.analysis.report.blocks import Block, Section, Text
from induced_metric.analysis.report.markup import scrolled

_COLOURS = {"supported": "better", "contradicted": "worse"}


def section(results: Path, load: runs.Reader) -> Section:
    """Every claim, folded, with how often what was run supports it, contradicts it or leaves it open."""
    table = paper_claims.decide_all(results, load)
    notes = paper_claims.claims_table(table).notes
    blocks: list[Block] = [
        Text(_claim(str(number), str(text), rows, results))
        for (number, text), rows in table.groupby(["claim", "text"], sort=False)
    ]
    items = "".join(f"<li>{escape(note)}</li>" for note in notes)
    blocks.append(Text(f'<ul class="notes">{items}</ul>'))
    return Section("claims", "all", "Claim by claim, and what each verdict rests on", blocks)


def _claim(number: str, text: str, own: pd.DataFrame, results: Path) -> str:
    quoted = own["group"] == paper_claims.PUBLISHED
    badges = " ".join(
        _badge(verdict, f"{count} {verdict}") for verdict, count in _counted(own.loc[~quoted, "verdict"])
    )
    if quoted.any():
        numbers = ", ".join(f"{count} {verdict}" for verdict, count in _counted(own.loc[quoted, "verdict"]))
        badges += f' <span class="small">by the paper\'s numbers: {numbers}</span>'
    columns = [
        (name, "") for name in ("Verdict", "Source", "Deciding effect", "n", "Method", "Rests on (sha256)")
    ]
    rows = (_row(row, results) for row in own.to_dict("records"))
    return (
        f'<details id="claim-{escape(number)}"><summary>{escape(number)}. {escape(text)} {badges}</summary>'
        f"{scrolled(f'Verdicts on claim {number}', columns, rows)}</details>"
    )


def _counted(verdicts: Iterable[str]) -> list[tuple[str, int]]:
    counts = Counter(verdicts)
    return [(verdict, counts[verdict]) for verdict in VERDICTS.values() if counts[verdict]]


def _badge(verdict: str, text: str) -> str:
    return f'<span class="badge {_COLOURS.get(verdict, "equivalent")}">{escape(text)}</span>'


def _row(row: Mapping[Hashable, Any], results: Path) -> str:
    source = " ".join(filter(None, (str(row[name]) for name in ("task", "protocol", "source"))))
    decided = str(row["of"])
    if pd.notna(row["effect"]):
        ends = f" [{row['low']:+.4f}, {row['high']:+.4f}]" if pd.notna(row["low"]) else ""
        decided = f"{decided} {row['effect']:+.4f}{ends}"
    verdict = str(row["verdict"])
    cells = [
        f'<th scope="row">{_badge(verdict, verdict)}</th>',
        *(f"<td>{escape(text)}</td>" for text in (source, decided, str(row["n"]), str(row["method"]))),
        f'<td class="small">{" ".join(_source(each, results) for each in str(row["records"]).split())}</td>',
    ]
    return f"<tr>{''.join(cells)}</tr>"


def _source(named: str, results: Path) -> str:
    """A study, a file or a test, with a link if the results directory has it."""
    name, _, digest = named.partition("@")
    label = f"{escape(name)}{f' <code>{escape(digest)}</code>' if digest else ''}"
    for path in (Path("records", name, "trials.parquet"), Path("records", name), Path(name)):
        if (results / path).exists():
            return f'<a href="{quote(path.as_posix())}">{label}</a>'
    return f"<span>{label}</span>"
