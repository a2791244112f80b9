"""The verdicts in short, for the first screen of the README: a table for each kind of claim."""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pandas as pd

from induced_metric.analysis.claims import VERDICTS
from induced_metric.analysis.landscapes.claims import TOLERANCES
from induced_metric.analysis.paper_claims.deciding import (
    CONFIRMATION,
    ELSEWHERE,
    LANDSCAPES,
    PUBLISHED,
    SEARCH,
    SEEDS,
)
from induced_metric.analysis.rendering import MISSING, markdown
from induced_metric.errors import UserError

BEGIN, END = "<!-- claims: made by `make claims` -->", "<!-- claims end -->"
_PAPER, _FAIR = "paper", "fair"
_STRICT = TOLERANCES["paper_text"]
"""Ends the sources of claims 1-7 that judge by the tolerance of the paper's text, not of its notebook."""
_NETWORKS = {
    PUBLISHED: "The paper's numbers",
    f"{SEARCH} {_PAPER}": "The paper's searches, repeated",
    f"{SEEDS} {_PAPER}": "The paper's best settings, fresh seeds",
    f"{SEARCH} {_FAIR}": "Searches under `fair`",
    f"{CONFIRMATION} {_FAIR}": "Winners under `fair`, fresh seeds",
}
_FUNCTIONS = {
    "published start": "The paper's grid, its best run from one start",
    "tuned": "Random starts, tuned to each function",
    "shared": "Random starts, one setting for all functions",
}
_UPDATE = {ELSEWHERE: "Verdict"}


def first_screen(table: pd.DataFrame, results: Path, root: Path) -> str:
    """Markdown tables: a row per claim, a column per kind of evidence, and a link from each verdict to it.

    Args:
        table: ``decide_all`` of ``results``.
        results: the results directory, which has the tables of ``claims_table``.
        root: the directory that the links of the document are relative to.
    """
    home = os.path.relpath(results, root)
    update, functions = table["group"] == ELSEWHERE, table["task"] == LANDSCAPES
    # Ours stand in the column of their rules, so those with one deviation from the paper's are left out; what
    # has not been run stands in the paper's.
    by_rules = table["group"] + " " + table["protocol"].replace("", _PAPER)
    by_group = by_rules.where(table["group"].isin([SEARCH, SEEDS, CONFIRMATION]), table["group"])
    by_source = table["source"].str.removesuffix(_STRICT).replace("", "published start")
    table = table.assign(column=by_group.mask(functions, by_source))
    parts = [
        ("Networks", table[~update & ~functions], _NETWORKS),
        ("Functions of two variables", table[functions], _FUNCTIONS),
        ("The update itself", table[update], _UPDATE),
    ]
    return "\n\n".join(
        f"*{title}*\n\n{markdown(pd.DataFrame(_rows(rows, headings, home, root)))}"
        for title, rows, headings in parts
    )


def put_into(document: Path, block: str) -> None:
    """Replaces what is between the markers of a document with the block.

    Raises:
        UserError: if the document has no such markers.
    """
    text = document.read_text(encoding="utf-8")
    if BEGIN not in text or END not in text:
        raise UserError(f"{document} must have the lines {BEGIN} and {END}, between which the claims stand")
    between = re.compile(f"{re.escape(BEGIN)}.*{re.escape(END)}", re.DOTALL)
    document.write_text(between.sub(lambda _: f"{BEGIN}\n{block}\n{END}", text), encoding="utf-8")


def _rows(
    table: pd.DataFrame, headings: Mapping[str, str], home: str, root: Path
) -> Iterator[dict[str, str]]:
    """A row per claim, with its parts (8a, 8b) in one."""
    for number, own in table.groupby(table["claim"].str.extract(r"(\d+)", expand=False), sort=False):
        yield {"Claim": f"{number}. {_text(own)}"} | {
            heading: _cell(own[own["column"] == name], home, root) for name, heading in headings.items()
        }


def _text(own: pd.DataFrame) -> str:
    """The text of a claim: its parts by their letters, after the beginning (up to a colon) that all share."""
    texts = own.drop_duplicates("claim").set_index("claim")["text"]
    if len(texts) == 1:
        return str(texts.iloc[0])
    begins = {text.partition(": ")[0] for text in texts}
    common = f"{begins.pop()}: " if len(begins) == 1 else ""
    return common + "; ".join(
        f"({str(claim)[-1]}) {text.removeprefix(common)}" for claim, text in texts.items()
    )


def _cell(found: pd.DataFrame, home: str, root: Path) -> str:
    """The verdicts of a group, with a link to what they rest on."""
    if found.empty:
        return MISSING
    parts: dict[str, list[str]] = {}
    for claim, claim_rows in found.groupby("claim", sort=False):
        letter = str(claim).lstrip("0123456789")
        parts.setdefault(_verdict(claim_rows), []).append(f"({letter})" if letter else "")
    text = "; ".join(f"{' '.join(letters)} {text}".strip() for text, letters in parts.items())
    target = _target(found, home)
    return f"[{text}]({target})" if (root / target).exists() else text


def _verdict(rows: pd.DataFrame) -> str:
    """The verdict; if sources differ, each with its number, and if tolerances do, each with its own."""
    counts = rows["verdict"].value_counts()
    if len(counts) == 1:
        return str(counts.index[0])
    strict = rows["source"].str.endswith(_STRICT)
    if strict.any():
        strictly = rows[strict].assign(source="")
        return f"{_verdict(rows[~strict])}, at 1e-10 {_verdict(strictly)}"
    return ", ".join(f"{counts[name]} {name}" for name in VERDICTS.values() if name in counts)


def _target(found: pd.DataFrame, home: str) -> str:
    """The path of the evidence that verdicts rest on; a path that does not exist if they rest on nothing."""
    rests_on = found[found["records"] != ""]
    if rests_on.empty:
        return MISSING
    row = rests_on.iloc[0]
    if row["group"] == PUBLISHED:
        return f"src/induced_metric/records/paper/{str(row['records']).partition('@')[0]}"
    if row["group"] == ELSEWHERE:
        return str(row["records"]).split()[0].partition("::")[0]
    if row["task"] == LANDSCAPES:
        return f"{home}/{LANDSCAPES}/README.md"
    tasks = rests_on["task"].unique()
    return f"{home}/records/{row['protocol']}" + (f"/{tasks[0]}" if len(tasks) == 1 else "")
