"""The verdicts as a table."""

import pandas as pd

from induced_metric.analysis.paper_claims.deciding import LANDSCAPES
from induced_metric.analysis.rendering import Table, fixed


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
        "unresolved. The intervals decide, over fresh seeds the p-values (of equality the intervals); a "
        "comparison without a valid interval is unresolved. Intervals hold with 95% for all comparisons of a "
        "row together (Bonferroni). Those over fresh seeds hold for all pairs of optimisers together, and "
        "are a little wider than the p-values imply, which are Holm's. Those of claims 1 to 7 hold each by "
        "itself; for seconds they add the quartiles of the measured cost, and those of the published start "
        "say what rounding does.",
        "The paper's numbers contradict any order that they do not show. The best 50 runs come from one "
        "search, so Welch's interval, and for claim 9b that of F, is about these runs, not about another "
        "search. Single runs have no interval.",
        "A single study of a search that learns has no interval, because its trials depend on each other. "
        "Several studies (STUDIES=5) have one.",
        "Effects are differences in the metric of the task, for claim 10c in seconds or, over fresh "
        "seeds, shares of seeds. For losses over fresh "
        "seeds they are differences of logarithms, where 0.1 is about a tenth. For claims 1 to 7 the column "
        "`of` of the CSV file lists intervals instead. A preset or another size of a task counts as "
        "separate evidence.",
        "The column `records` of the CSV file says what each row rests on: studies, each with the first "
        "digits of `sha256sum trials.parquet`; files; or tests.",
    ]
    # The intervals of claims 1-7 would be longer than the table is wide.
    long = table["task"] == LANDSCAPES
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


def _end(values: pd.Series) -> "pd.Series[str]":
    return fixed(values, 4, signed=True)
