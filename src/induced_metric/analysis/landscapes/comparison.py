"""The best runs of the grid and its counts of converged runs, both also compared with the published ones."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from induced_metric.records.published import PAPER

PAIR = ["function", "optimizer"]
KEY = [*PAIR, "tolerance"]
PUBLISHED_DIGITS = 3
"""Significant digits of the published final values."""

_NOT_HYPERPARAMETERS = {
    *KEY,
    "configuration",
    "duplicate",
    "converged",
    "iterations",
    "final_value",
    "diverged",
}


def hyperparameters(runs: pd.DataFrame) -> list[str]:
    """The columns of ``runs`` that are hyperparameters; NaN where an optimiser does not have one."""
    return [str(column) for column in runs if column not in _NOT_HYPERPARAMETERS]


def best(runs: pd.DataFrame) -> pd.DataFrame:
    """The best run of each function, optimiser and tolerance, by the published rule.

    That is the converged run with the fewest iterations or, where none converged, the run with the lowest
    final value; one that is not finite comes last. Ties go to the first in grid order.
    """
    ranked = runs.assign(
        _missed=~runs["converged"],
        # Among converged runs the iterations decide, among the others the final value.
        _score=runs["iterations"].astype(float).where(runs["converged"], runs["final_value"]),
    )
    ranked = ranked.sort_values([*KEY, "_missed", "_score", "configuration"], kind="stable")
    winners = ranked.drop_duplicates(KEY).drop(columns=["_missed", "_score"])
    return winners.sort_index().reset_index(drop=True)


def best_table(runs: pd.DataFrame) -> pd.DataFrame:
    """``best.csv``: the best runs with their hyperparameters."""
    columns = [*KEY, "converged", "iterations", "final_value", *hyperparameters(runs)]
    return best(runs)[columns]


def counts(runs: pd.DataFrame) -> pd.DataFrame:
    """``counts.csv``: converged runs of each function, optimiser and tolerance, duplicates included.

    ``distinct_converged`` and ``distinct_configurations`` leave the duplicates out.
    """
    marked = runs.assign(
        distinct=~runs["duplicate"], distinct_converged=runs["converged"] & ~runs["duplicate"]
    )
    grouped = marked.groupby(KEY, sort=False)
    return grouped.agg(
        converged=("converged", "sum"),
        configurations=("converged", "size"),
        distinct_converged=("distinct_converged", "sum"),
        distinct_configurations=("distinct", "sum"),
    ).reset_index()


def best_nudged(nudged: pd.DataFrame) -> pd.DataFrame:
    """The best runs of each repeat of the grid from nudged starts: ``KEY``, ``nudge`` and how they ended."""
    repeats = []
    for nudge, repeat in nudged.groupby("nudge"):
        converged = repeat["iterations"] > 0
        repeats.append(best(repeat.assign(converged=converged)).assign(nudge=nudge))
    return pd.concat(repeats, ignore_index=True)


def compare(runs: pd.DataFrame, nudged: pd.DataFrame) -> pd.DataFrame:
    """The published best runs beside ours, one row per function and optimiser, each difference explained.

    ``least`` and ``most`` are the ends of the iterations of the best run (of its final value, where none
    converges) over our run and the repeats from starts that differ by rounding errors.
    """
    published = pd.read_csv(PAPER / "landscapes.csv")
    published["converged"] = published["converged"].astype(bool)
    best_runs = best(runs[runs["tolerance"] == "notebook"])
    repeats = best_nudged(nudged[nudged["tolerance"] == "notebook"])
    table = best_runs[[*PAIR, "converged", "iterations", "final_value"]].merge(
        published[[*PAIR, "converged", "iterations", "final_value"]], on=PAIR, suffixes=("", "_published")
    )
    all_runs = pd.concat([best_runs, repeats])
    spread = all_runs.assign(
        converged_share=all_runs["converged"].astype(float),
        measure=all_runs["iterations"].where(all_runs["converged"], all_runs["final_value"]).astype(float),
    )
    spread = spread.groupby(PAIR).agg(
        converged_share=("converged_share", "mean"), least=("measure", "min"), most=("measure", "max")
    )
    table = table.merge(spread.reset_index(), on=PAIR)
    table["explanation"] = [_explain(row) for row in table.to_dict("records")]
    return table


def compare_counts(runs: pd.DataFrame, nudged: pd.DataFrame) -> pd.DataFrame:
    """The published counts of converged runs beside ours: by optimiser, by function, and in total.

    ``least`` and ``most`` are the ends of the counts over our run and the repeats from nudged starts;
    ``distinct`` counts each configuration that the grid holds twice only once.
    """
    published = pd.read_csv(PAPER / "landscape_counts.csv")
    total = published[published["by"] == "function"][["converged", "configurations"]].sum()
    published.loc[len(published)] = ["all", "all", total["converged"], total["configurations"]]
    runs = runs[runs["tolerance"] == "notebook"].assign(all="all")
    repeats = nudged[nudged["tolerance"] == "notebook"].assign(all="all")
    repeats = repeats.assign(converged=repeats["iterations"] > 0)
    rows = []
    for row in published.to_dict("records"):
        matching = runs[runs[row["by"]] == row["name"]]
        if len(matching) != row["configurations"]:
            raise ValueError(
                f"{row['name']}: {row['configurations']} configurations published, {len(matching)} recorded"
            )
        nudged_counts = repeats[repeats[row["by"]] == row["name"]].groupby("nudge")["converged"].sum()
        numbers = [int(matching["converged"].sum()), *nudged_counts.astype(int)]
        rows.append(
            {
                **row,
                "ours": numbers[0],
                "least": min(numbers),
                "most": max(numbers),
                "distinct": int((matching["converged"] & ~matching["duplicate"]).sum()),
                "explanation": _explain_count(row["converged"], numbers),
            }
        )
    return pd.DataFrame(rows).rename(columns={"converged": "published"})


def _explain_count(published: int, numbers: list[int]) -> str:
    if numbers[0] == published:
        return "reproduced"
    if min(numbers) <= published <= max(numbers):
        return "chaotic: rounding alone changes the count, and its range includes the published one"
    if min(numbers) < max(numbers):
        away = min(abs(published - number) for number in numbers)
        return (
            f"chaotic: the published count is {away} outside the range of our {len(numbers)} runs of the grid"
        )
    return "not explained by rounding: another version of the code or of its libraries"


def _explain(row: Mapping[Any, Any]) -> str:
    same_end = row["converged"] == row["converged_published"]
    same_iterations = row["iterations"] == row["iterations_published"] or not row["converged"]
    if same_end and same_iterations and _digits(row["final_value"]) == _digits(row["final_value_published"]):
        return "reproduced"
    share, least, most = row["converged_share"], row["least"], row["most"]
    if 0 < share < 1:
        return "chaotic: whether any run converges depends on rounding"
    if most > least:
        measured = "iterations_published" if share == 1 else "final_value_published"
        inside = least <= row[measured] <= most
        where = "within" if inside else "outside"
        return f"chaotic: rounding alone changes our best run, and the published one lies {where} its range"
    return "not explained by rounding: another version of the code or of its libraries"


def _digits(value: float) -> str:
    return f"{value:.{PUBLISHED_DIGITS - 1}e}"
