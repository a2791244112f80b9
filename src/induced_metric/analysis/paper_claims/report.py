"""The verdicts as a table, and in short for the first screen of the README."""

import os
import re
from pathlib import Path

import pandas as pd

from induced_metric.analysis.claims import VERDICTS
from induced_metric.analysis.paper_claims.deciding import (
    CONFIRMATION,
    ELSEWHERE,
    PUBLISHED,
    SEARCH,
    SEEDS,
)
from induced_metric.analysis.rendering import MISSING, Table, fixed, markdown
from induced_metric.errors import UserError

BEGIN, END = "<!-- claims: made by `make claims` -->", "<!-- claims end -->"
_COLUMNS = {
    PUBLISHED: "The paper's numbers",
    SEARCH: "The paper's searches, repeated",
    SEEDS: "The paper's best settings, fresh seeds",
    CONFIRMATION: "Winners under `fair`, fresh seeds",
}
_SHOWN = dict.fromkeys([SEARCH, ELSEWHERE], SEARCH) | {
    name: name for name in (PUBLISHED, SEEDS, CONFIRMATION)
}
"""The column of each group: what tests and benchmarks show stands in that of the search."""
_PAPER, _LANDSCAPES = "paper", "landscapes"
_MAIN = ("published start", "tuned")
"""The arms of the functions of two variables on the first screen; the whole table has the others, too."""


def claims_table(table: pd.DataFrame) -> Table:
    """``decide_all``, ready to be shown or written."""
    source = table[["protocol", "source"]].apply(lambda row: " ".join(filter(None, row)), axis=1)
    numbers = table["effect"].notna()
    cells = {
        "Claim": table["claim"],
        "Text": table["text"].mask(table["claim"].duplicated(), ""),
        "Task": table["task"],
        "Source": source,
        "Verdict": table["verdict"],
        "Method": table["method"],
        "Effect of": table["of"],
        "Effect": fixed(table["effect"], 4, signed=True).where(numbers, ""),
        "Interval": ("[" + _end(table["low"]) + ", " + _end(table["high"]) + "]").where(
            table["low"].notna(), ""
        ),
        "n": table["n"],
    }
    title = (
        "The paper's claims, judged from the records. Each row shows the comparison that decides the claim, "
        "with its interval."
    )
    notes = [
        "A claim is supported if all its comparisons hold, contradicted if at least one fails, and otherwise "
        "unresolved. The intervals decide, over fresh seeds the p-values; a comparison without a valid "
        "interval is unresolved. Intervals hold with 95% for all comparisons of a row together (Bonferroni). "
        "Those over fresh seeds hold for all pairs of optimisers together, and are a little wider than the "
        "p-values imply, which are Holm's.",
        "The paper's numbers contradict any order that they do not show. The best 50 runs come from one "
        "search, so Welch's interval is about these runs, not about another search. Single runs have no "
        "interval.",
        "A single study of a search that learns has no interval, because its trials depend on each other. "
        "Several studies (STUDIES=5) have one.",
        "Effects are differences in the metric of the task, for claim 10c in seconds. For losses over fresh "
        "seeds they are differences of logarithms, where 0.1 is about a tenth. For claims 1 to 7 the column "
        "`of` of the CSV file lists intervals instead. A preset or another size of a task counts as "
        "separate evidence.",
        "The column `records` of the CSV file says what each row rests on: studies, each with the first "
        "digits of `sha256sum trials.parquet`; files; or tests.",
    ]
    # The intervals of claims 1-7 would be longer than the table is wide.
    long = table["task"] == _LANDSCAPES
    cells["Effect of"] = cells["Effect of"].mask(long, "")
    return Table(table, pd.DataFrame(cells), pd.DataFrame(index=table.index), title, notes, words=7)


def lines(table: pd.DataFrame) -> list[str]:
    """The same for the terminal: each claim, and below it one line per source."""
    output = []
    for (claim, text), rows in table.groupby(["claim", "text"], sort=False):
        output.append(f"{claim}. {text}")
        for row in rows.to_dict("records"):
            source = " ".join(filter(None, (row["task"], row["protocol"], row["source"])))
            parts = [row["n"], row["method"]]
            if row["effect"] == row["effect"]:
                ends = f" [{row['low']:+.4f}, {row['high']:+.4f}]" if row["low"] == row["low"] else ""
                parts.insert(0, f"{row['of']} {row['effect']:+.4f}{ends}")
            output.append(f"  {row['verdict']}: {'; '.join(filter(None, [source, *parts]))}")
    return output


def first_screen(table: pd.DataFrame, results: Path, root: Path) -> str:
    """A Markdown table: a row per claim, a column per kind of evidence, and a link from each verdict to it.

    Args:
        table: ``decide_all`` of ``results``.
        results: the results directory, which has the tables of ``claims_table``.
        root: the directory that the links of the document are relative to.
    """
    home = os.path.relpath(results, root)
    table = table[(table["task"] != _LANDSCAPES) | table["source"].isin(["", *_MAIN])]
    # Searches under other protocols are left out: they measure what tuning costs there.
    table = table[(table["group"] != SEARCH) | table["protocol"].isin(["", _PAPER])]
    rows = []
    for number, claim_rows in table.groupby(table["claim"].str.extract(r"(\d+)", expand=False), sort=False):
        rows.append({"Claim": f"{number}. {_text(claim_rows)}"} | {
            heading: _cell(claim_rows[claim_rows["group"].map(_SHOWN.get) == group], home, root)
            for group, heading in _COLUMNS.items()
        })  # fmt: skip
    return markdown(pd.DataFrame(rows))


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
    """The verdicts of a group, counted where several sources differ, with a link to what they rest on."""
    if found.empty:
        return MISSING
    parts: dict[str, list[str]] = {}
    for claim, claim_rows in found.groupby("claim", sort=False):
        counts = claim_rows["verdict"].value_counts()
        words = [f"{counts[name]} {name}" for name in VERDICTS.values() if name in counts]
        text = str(counts.index[0]) if len(counts) == 1 else ", ".join(words)
        letter = str(claim).lstrip("0123456789")
        parts.setdefault(text, []).append(f"({letter})" if letter else "")
    text = "; ".join(f"{' '.join(letters)} {text}".strip() for text, letters in parts.items())
    target = _target(found, home)
    return f"[{text}]({target})" if (root / target).exists() else text


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
    if row["task"] == _LANDSCAPES:
        return f"{home}/{_LANDSCAPES}/README.md"
    tasks = rests_on["task"].unique()
    return f"{home}/records/{row['protocol']}" + (f"/{tasks[0]}" if len(tasks) == 1 else "")


def _end(values: pd.Series) -> "pd.Series[str]":
    return fixed(values, 4, signed=True)
