"""Tables 1-4: the published numbers and ours, row by row beneath each other."""

import json
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from induced_metric.analysis import published, runs, statistics
from induced_metric.analysis.rendering import MISSING, Table, fixed, leads, seconds
from induced_metric.records import Records

PUBLISHED = "published"
HARDWARE = "Seconds of different sources are of different hardware."


def compare(
    task: str, ours: Mapping[str, Records], *, n: int, paper: str | Path = "results/paper"
) -> pd.DataFrame:
    """The numbers of a task's table, one row for each optimizer and source.

    Args:
        task: name of the task; one that is not in the paper has no published rows.
        ours: our records, by sampler.
        n: how many of the best trials to summarise.
        paper: the directory of the published numbers.

    Returns:
        ``optimizer`` (in the published order, then ours by name), ``source`` (``published``, then the
        samplers), the columns of ``statistics.summary``, and ``objective``.
    """
    sources = [published.summary(task, paper).assign(source=PUBLISHED)]
    objective, _ = runs.objective(ours)
    for sampler, records in ours.items():
        sources.append(statistics.summary(records, n).assign(source=sampler))
    table = pd.concat([source.reset_index() for source in sources if not source.empty], ignore_index=True)
    rank = runs.ranks(table["optimizer"], published.optimizers(paper))
    # Stable: within an optimizer the sources stay in their order.
    table = table.iloc[rank.argsort(kind="stable")].assign(objective=objective)
    # Nullable: the paper does not say how many of its trials were pruned or diverged.
    table = table.astype(dict.fromkeys(["best_epoch", *statistics.OUTCOMES], "Int64"))
    first = ["optimizer", "source", "n"]
    return table[[*first, *(name for name in table.columns if name not in first)]].reset_index(drop=True)


def caption(task: str, table: pd.DataFrame, *, paper: str | Path = "results/paper") -> str:
    """What the table is, in a sentence or two."""
    number = published.number(task, paper)
    return (
        f"Summary statistics for the n best runs with the {task} task"
        f"{f' (Table {number} of the paper)' if number else ''}: the best {_name(table)} of a run, the epoch "
        "(from 0) where it was reached, and the best run with its epoch and the seconds up to it. Sources: "
        "published, or the sampler of ours. Standard deviations are of the population. Bold: best of its "
        "source."
    )


def remarks(table: pd.DataFrame, ours: Mapping[str, Records]) -> list[str]:
    """What a reader of the table must know besides: trials left out, devices of the seconds."""
    lines = []
    for sampler, records in ours.items():
        counts = statistics.counts(records.trials)
        left_out = "; ".join(
            f"{kind}: {', '.join(f'{name} {count}' for name, count in column[column > 0].items())}"
            for kind, column in counts.drop(columns="complete").items()
            if column.any()
        )
        total = counts.sum(axis=1)
        trials = f"{total.min()}" if total.min() == total.max() else f"{total.min()} to {total.max()}"
        lines.append(
            f"{sampler}: {trials} trials an optimiser, on {_devices(records.trials)};"
            f" left out: {left_out or 'none'}."
        )
    rows = table[table["source"] != PUBLISHED]
    short = rows[rows["n"] < rows["n"].max()]
    if not short.empty:
        lines.append(
            "Rows of ours over fewer runs than the others: "
            + ", ".join(f"{row.optimizer} ({row.source}) {row.n}" for row in short.itertuples())
            + "."
        )
    if (table["source"] == PUBLISHED).any():
        lines.append(HARDWARE)
    return lines


def best_runs(
    task: str, ours: Mapping[str, Records], *, n: int, paper: str | Path = "results/paper"
) -> Table:
    """``compare`` in the published columns, ready to be shown or written."""
    table = compare(task, ours, n=n, paper=paper)
    metric = f"{'Min' if (table['direction'] == 'minimize').all() else 'Max'} {_name(table)}"
    mean, best = f"{metric} mean", f"Best {metric.lower()}"
    cells = {
        "Optimiser": table["optimizer"].str.upper(),
        "Source": table["source"],
        "n": table["n"].astype(str),
        mean: fixed(table["metric_mean"], 6),
        "Std": fixed(table["metric_std"], 6),
        "Epoch mean": fixed(table["epoch_mean"], 1),
        "Epoch std": fixed(table["epoch_std"], 1),
        best: fixed(table["best_metric"], 6),
        "(epoch: s)": _at(table),
    }
    sign = table["direction"].map({"minimize": 1, "maximize": -1})
    bold = {
        mean: leads(sign * table["metric_mean"], table["source"]),
        best: leads(sign * table["best_metric"], table["source"]),
    }
    return Table(
        table,
        pd.DataFrame(cells),
        pd.DataFrame(bold),
        caption(task, table, paper=paper),
        remarks(table, ours),
        metric=_name(table),
    )


def _name(table: pd.DataFrame) -> str:
    return runs.words(str(table["objective"].iloc[0]))


def _at(table: pd.DataFrame) -> pd.Series:
    text = "(" + fixed(table["best_epoch"], 0) + ": " + seconds(table["best_seconds"]) + ")"
    return text.mask(table["best_metric"].isna(), MISSING)


def _devices(trials: pd.DataFrame) -> str:
    named = {json.loads(text).get("device") for text in trials["provenance"].unique()}
    return ", ".join(sorted(str(name) for name in named - {None})) or "an unrecorded device"
