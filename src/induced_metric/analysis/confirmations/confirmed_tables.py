"""``confirmed`` as tables: what each optimiser's winners are worth, and the verdicts."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from induced_metric.analysis import runs, style, support
from induced_metric.analysis.confirmations import confirmed, verdicts
from induced_metric.analysis.confirmations.scale import Scale
from induced_metric.analysis.rendering import MISSING, Table, fixed
from induced_metric.analysis.statistics import CONFIDENCE
from induced_metric.records import Records


def confirmed_table(task: str, ours: Mapping[str, Records], searches: Mapping[str, Records]) -> Table:
    """``confirmed.standings``, ready to be shown or written."""
    table = confirmed.standings(task, ours, searches)
    objective, _ = runs.objective(ours)
    metric = style.words(objective)
    cells = {
        "Optimiser": table["optimizer"].map(style.label),
        "From": _count(table["studies"], "study", "studies") + ", " + table["seeds"].astype(str) + " seeds",
        "Mean": fixed(table["mean"], 4),
        "95% interval": fixed(table["low"], 4) + " to " + fixed(table["high"], 4),
        "Diverged": table["lost"].astype(str),
        "Search's best": fixed(table["searched"], 4),
        "Optimism": fixed(table["optimism"], 4, signed=True),
    }
    chosen_by = style.words(runs.chosen_by(next(iter(ours.values()))))
    title = (
        f"What each optimiser is worth once tuned: {metric} of {confirmed.whose(ours)} on the {task} task, "
        f"trained again from fresh seeds. Search's best: the best {chosen_by} that the search saw. Optimism: "
        f"that, minus the mean {chosen_by} over the fresh seeds."
    )
    scale = Scale(bool(table["logarithmic"].iloc[0]))
    notes = [*_geometric(scale), errors_note(table), *_lost(table, ours, searches)]
    no_bold = pd.DataFrame(index=table.index)
    return Table(table, pd.DataFrame(cells), no_bold, title, notes, metric=metric)


def verdicts_table(
    task: str,
    ours: Mapping[str, Records],
    searches: Mapping[str, Records],
    *,
    pairs: Sequence[tuple[str, str]] | None = None,
) -> Table | None:
    """``confirmed.judged``, ready to be shown or written; None for a single optimiser."""
    table = confirmed.judged(ours, searches, pairs=pairs)
    if table is None:
        return None
    objective, direction = runs.objective(ours)
    metric = style.words(objective)
    lost = confirmed.judged_trainings(ours, searches, pairs).groupby("optimizer")["lost"].sum().reset_index()
    scale = Scale(bool(table["logarithmic"].iloc[0]))
    cells = {
        "Optimiser": table["optimizer"].map(style.label),
        "Against": table["other"].map(style.label),
        "Verdict": table["verdict"],
        scale.difference_words.capitalize(): scale.shown(table["difference"]),
        "95% interval": "[" + scale.shown(table["low"]) + ", " + scale.shown(table["high"]) + "]",
        "p": p_values(table["p"]),
        "P(better)": fixed(table["superiority"], 2),
        "n": table["studies"].astype(str) + "×" + table["seeds"].astype(str),
        "Needs about": table.apply(_needs, axis=1),
    }
    bold = {"Verdict": table["verdict"].isin(["better", "worse"])}
    title = f"Verdicts on {confirmed.whose(ours)} on the {task} task: {metric} of the optimiser " + (
        "divided by that of the other, as a ratio of geometric means; below 1 is better."
        if scale.logarithmic
        else f"minus that of the other; {'below' if direction == 'minimize' else 'above'} 0 is better."
    )
    count = f"{len(table)} pair{'s' * (len(table) > 1)}"
    margin = margin_of(table, stated=confirmed.stated_margin(ours) is not None)
    notes = [
        f"Equivalent: the interval lies within the margin of {margin}. "
        f"Better or worse: otherwise, if p is at most {1 - CONFIDENCE:.2g} after Holm over {count}. n: "
        "studies × seeds; each winner of one optimiser is compared with each winner of the other on the same "
        "seeds.",
        f"Intervals hold for {count} at once with {CONFIDENCE:.0%} confidence (Bonferroni, so they are a "
        f"little wider than Holm's p requires). {errors_note(table)}",
        "P(better): the share of pairs of winners, and of seeds, on which the optimiser beats the other; a "
        "tie counts half. Needs about: how many more seeds, studies or both would decide the pair with a "
        f"probability of {verdicts.POWER:.0%}, if the true difference is the one found.",
        *_lost(lost, ours, searches),
    ]
    return Table(table, pd.DataFrame(cells), pd.DataFrame(bold), title, notes, metric=metric)


def margin_of(table: pd.DataFrame, *, stated: bool) -> str:
    """The margin of a table of verdicts, and where it comes from."""
    of = " of the logarithm" * bool(table["logarithmic"].iloc[0])
    rule = (
        f"stated beforehand{of and ','}{of}"
        if stated
        else f"a fifth of the median standard deviation{of} over seeds"
    )
    return f"{table['margin'].iloc[0]:.3g} ({rule})"


def errors_note(table: pd.DataFrame) -> str:
    """Whether the errors of a table's means or differences are over studies and seeds, or seeds alone."""
    if (table["studies"] == 1).all():
        return "Errors are over the seeds alone: with one study, they do not include the luck of its search."
    return (
        "Errors are from an analysis of variance over studies and seeds, so they include the luck of the "
        "search."
    )


def _lost(table: pd.DataFrame, ours: Mapping[str, Records], searches: Mapping[str, Records]) -> list[str]:
    lost = table[table["lost"] > 0]
    if lost.empty:
        return []
    counts = ", ".join(f"{style.label(str(row.optimizer))} {row.lost}" for row in lost.itertuples())
    note = lost_note(confirmed.collect(ours, searches), runs.objective(ours)[0], counts)
    return [
        f"{note} A few of these can dominate a mean and its error; P(better) counts each only as one defeat."
    ]


def lost_note(found: pd.DataFrame, objective: str, named: str) -> str:
    """What lost trainings count as, and whose they are.

    Args:
        found: the trainings, as returned by ``confirmed.collect``; at least one is lost.
        objective: what they are judged by.
        named: the optimisers with their numbers of lost trainings, as text.
    """
    worst = found.loc[found["lost"], "value"].iloc[0]
    or_worse = (
        "" if objective.endswith("accuracy") else ", or the value of the worst training if that is worse"
    )
    return f"Diverged or failed: {named}. Each counts as {worst:.3g}: {support.rule(objective)}{or_worse}."


def p_values(p: "pd.Series[float]") -> "pd.Series[str]":
    """P-values as text."""
    return p.map(lambda value: "< 0.001" if value < 0.001 else f"{value:.3f}")


def _geometric(scale: Scale) -> list[str]:
    return ["Means are geometric, since losses are compared by their ratios."] if scale.logarithmic else []


def _needs(row: "pd.Series[Any]") -> str:
    if row["verdict"] != "undecided":
        return MISSING
    parts = [
        f"+{row[f'more_{what}']:,} {what}" for what in ("studies", "seeds") if pd.notna(row[f"more_{what}"])
    ]
    return " and ".join(parts) or f"over {verdicts.MOST:,}"


def _count(numbers: pd.Series, one: str, many: str) -> "pd.Series[str]":
    return numbers.map(lambda n: f"{n} {one if n == 1 else many}")
