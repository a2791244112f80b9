"""Tables 1-4: for each optimiser, our rows below the published one."""

import json
from collections.abc import Mapping

import pandas as pd

from induced_metric.analysis import draws, runs, statistics, style
from induced_metric.analysis.rendering import MISSING, Table, fixed, leads, seconds
from induced_metric.records import Records, published

PUBLISHED = "published"
SECONDS = (
    "Seconds are device seconds, including evaluation but not compilation, under whatever load the machine "
    "had; different sources ran on different hardware. Rank by epochs, not by seconds."
)


def compare(task: str, ours: Mapping[str, Records], *, n: int) -> pd.DataFrame:
    """The numbers of a task's table, one row for each optimiser and source.

    Args:
        task: name of the task; there are no published rows for a task that is not in the paper, or if ours
            follow other rules (``runs.as_published``).
        ours: our records, by sampler.
        n: how many of the best trials to summarise.

    Returns:
        ``optimizer`` (in the published order, then ours by name), ``source`` (``published``, then the
        samplers), the columns of ``statistics.summary``, and ``objective``.
    """
    sources = [runs.quoted(task, ours).assign(source=PUBLISHED)]
    objective, _ = runs.objective(ours)
    for sampler, records in ours.items():
        sources.append(statistics.summary(records, n).assign(source=sampler))
    table = pd.concat([source.reset_index() for source in sources if not source.empty], ignore_index=True)
    table = style.in_order(table).assign(objective=objective)
    # Nullable: the paper does not say how many of its trials were pruned or diverged.
    table = table.astype(dict.fromkeys(["best_epoch", *statistics.OUTCOMES], "Int64"))
    first = ["optimizer", "source", "n"]
    return table[[*first, *(name for name in table.columns if name not in first)]]


def caption(task: str, table: pd.DataFrame) -> str:
    """What the table shows, in a sentence or two."""
    quoted = (table["source"] == PUBLISHED).any()
    where = f" (Table {published.number(task)} of the paper)" if quoted else ""
    return (
        f"Summary statistics for the n best runs on the {task} task{where}: the best {_name(table)} of a "
        "run, the epoch (from 0) in which it was reached, and the best run with its epoch and the seconds up "
        f"to the end of it. Sources: {'published, or ' if quoted else ''}the sampler of our search. Standard "
        "deviations are population standard deviations. Bold: the best value of each source."
    )


def remarks(table: pd.DataFrame, ours: Mapping[str, Records]) -> list[str]:
    """What else a reader of the table must know: trials left out, how they were drawn, seconds."""
    lines = [_trials(sampler, records.trials) for sampler, records in ours.items()]
    lines += draws.warnings(ours)
    for sampler, records in ours.items():
        if draws.shared_draws(records.trials):
            lines.append(
                f"{sampler}: trial k of every optimiser has the same seed and the same random draws, so they "
                "share their luck: compare optimisers by the difference of their means, not by the spread of "
                "each."
            )
    rows = table[table["source"] != PUBLISHED]
    short = rows[rows["n"] < rows["n"].max()]
    if not short.empty:
        lines.append(
            "Our rows with fewer runs than the others: "
            + ", ".join(f"{row.optimizer} ({row.source}) {row.n}" for row in short.itertuples())
            + "."
        )
    return [*lines, SECONDS]


def best_runs_table(task: str, ours: Mapping[str, Records], *, n: int) -> Table:
    """``compare`` with the columns of the paper, ready to be shown or written."""
    table = compare(task, ours, n=n)
    metric = f"{'Min' if (table['direction'] == 'minimize').all() else 'Max'} {_name(table)}"
    mean, best = f"{metric} mean", f"Best {metric.lower()}"
    cells = {
        "Optimiser": table["optimizer"].map(style.label),
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
        caption(task, table),
        remarks(table, ours),
        metric=_name(table),
    )


def _name(table: pd.DataFrame) -> str:
    return style.words(str(table["objective"].iloc[0]))


def _at(table: pd.DataFrame) -> pd.Series:
    text = "(" + fixed(table["best_epoch"], 0) + ": " + seconds(table["best_seconds"]) + ")"
    return text.mask(table["best_metric"].isna(), MISSING)


def _trials(sampler: str, trials: pd.DataFrame) -> str:
    """How many trials there are, and how those that are not complete ended."""
    counts = statistics.counts(trials).drop(columns="complete")
    ranked = runs.eligible(trials) & (trials["state"] == "pruned")
    stopped = trials[ranked].groupby("optimizer").size().reindex(counts.index, fill_value=0)
    counts["pruned"] -= stopped
    total = trials.groupby("optimizer").size()
    among = (
        f" stopped early, and ranked by the best of the epochs they ran: {_named(stopped)};"
        if ranked.any()
        else ""
    )
    left_out = "; ".join(f"{kind}: {_named(column)}" for kind, column in counts.items() if column.any())
    number, where = style.span(total), _devices(trials)
    return f"{sampler}: {number} trials per optimiser, on {where};{among} left out: {left_out or 'none'}."


def _named(counts: pd.Series) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts[counts > 0].items())


def _devices(trials: pd.DataFrame) -> str:
    named = {json.loads(text).get("device") for text in trials["provenance"].unique()}
    return ", ".join(sorted(str(name) for name in named - {None})) or "an unrecorded device"
