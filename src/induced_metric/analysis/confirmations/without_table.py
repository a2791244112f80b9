"""``without`` as a table: what a hyperparameter is worth to the winners of each optimiser."""

import math
from collections.abc import Mapping

import pandas as pd

from induced_metric.analysis import runs, style
from induced_metric.analysis.confirmations import confirmed, without
from induced_metric.analysis.confirmations.confirmed_tables import errors_note, lost_note, margin_of, p_values
from induced_metric.analysis.confirmations.scale import Scale
from induced_metric.analysis.rendering import Table, fixed
from induced_metric.analysis.statistics import CONFIDENCE
from induced_metric.records import Records


def without_table(task: str, ours: Mapping[str, Records], searches: Mapping[str, Records]) -> Table | None:
    """``without.compare``, ready to be shown or written; None where no winner was trained both ways."""
    table = without.compare(ours, searches)
    if table.empty:
        return None
    objective, direction = runs.objective(ours)
    metric, name = style.words(objective), str(table["hyperparameter"].iloc[0])
    scale = Scale(bool(table["logarithmic"].iloc[0]))
    cells = {
        "Optimiser": table["optimizer"].map(style.label),
        "Verdict": table["verdict"],
        f"{name} found": [_span(*ends) for ends in zip(table["least"], table["most"], strict=True)],
        "With": table["mean"].map(_short),
        "Without": table["mean_without"].map(_short),
        scale.difference_words.capitalize(): _shown(scale, table["difference"]),
        "95% interval": "[" + _shown(scale, table["low"]) + ", " + _shown(scale, table["high"]) + "]",
        "p": p_values(table["p"]),
        "P(better)": fixed(table["superiority"], 2),
        "n": table["studies"].astype(str) + "×" + table["seeds"].astype(str),
        "Changed": table["changed"].astype(str) + " of " + table["studies"].astype(str),
    }
    bold = {"Verdict": table["verdict"].isin(["better", "worse"])}
    side = "below 1" if scale.logarithmic else f"{'below' if direction == 'minimize' else 'above'} 0"
    title = (
        f"What {name} is worth to the winners of each study: their {metric} on the {task} task, trained "
        f"again from fresh seeds, {'divided by' if scale.logarithmic else 'minus'} that of the same winners "
        f"from the same seeds with {name} = 0{', as a ratio of geometric means' * scale.logarithmic}; "
        f"{side}, {name} makes them better."
    )
    return Table(table, pd.DataFrame(cells), pd.DataFrame(bold), title, _notes(table, ours, searches),
                 metric=metric)  # fmt: skip


def _notes(table: pd.DataFrame, ours: Mapping[str, Records], searches: Mapping[str, Records]) -> list[str]:
    name = table["hyperparameter"].iloc[0]
    count = f"{len(table)} optimiser{'s' * (len(table) > 1)}"
    margin = margin_of(table, stated=confirmed.stated_margin(ours) is not None)
    notes = [
        f"Verdict on {name}. Equivalent: the interval lies within the margin of {margin}, so the winners are "
        f"worth the same without {name}. Better or worse: otherwise, if p is at most {1 - CONFIDENCE:.2g} "
        f"after Holm over {count}. n: studies × seeds; each winner is compared with itself, seed by seed.",
        f"Intervals hold for {count} at once with {CONFIDENCE:.0%} confidence (Bonferroni). "
        f"{errors_note(table)}",
        f"P(better): the share of winners and seeds on which the winner beats itself without {name}; a tie "
        f"counts half. Changed: how many winners differ significantly from themselves without {name}, over "
        f"their own seeds ({CONFIDENCE:.0%} each).",
        "All other hyperparameters, including the learning rate, are those that the search found. Where a "
        f"winner depends on {name}, they are tuned to it and may suit nothing without it: that {name} makes "
        f"such a winner better does not show that it beats an equally tuned optimiser without {name}. Where "
        f"nothing changes, {name} is not what makes the winner good.",
    ]
    lost = table[(table["lost"] > 0) | (table["lost_without"] > 0)]
    if len(lost):
        counts = ", ".join(
            f"{style.label(str(row.optimizer))} {row.lost} with and {row.lost_without} without"
            for row in lost.itertuples()
        )
        notes.append(lost_note(without.collect(ours, searches), runs.objective(ours)[0], counts))
    return notes


def _shown(scale: Scale, differences: "pd.Series[float]") -> "pd.Series[str]":
    """Like ``Scale.shown``, but in a short form for ratios: those to diverged trainings can have any size."""
    return differences.map(lambda x: _short(math.exp(x))) if scale.logarithmic else scale.shown(differences)


def _short(value: float) -> str:
    return f"{value:.4f}" if 1e-3 <= abs(value) < 1e3 else f"{value:.1e}"


def _span(least: float, most: float) -> str:
    ends = dict.fromkeys(f"{end:.1g}" for end in (least, most))
    return " to ".join(ends)
