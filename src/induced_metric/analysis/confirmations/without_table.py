"""``without`` as a table: what a hyperparameter is worth to the winners of each optimizer."""

import math
from collections.abc import Mapping

import pandas as pd

from induced_metric.analysis import runs, style
from induced_metric.analysis.confirmations import confirmed, without
from induced_metric.analysis.confirmations.confirmed_tables import errors_note, lost_note, p_values
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
        f"What {name} is worth to the winners of each study: their {metric} with the {task} task, trained "
        f"again from fresh seeds, {'by' if scale.logarithmic else 'minus'} that of the same winners from the "
        f"same seeds with {name} = 0{', as a ratio of geometric means' * scale.logarithmic}; {side}, {name} "
        "makes them better."
    )
    return Table(table, pd.DataFrame(cells), pd.DataFrame(bold), title, _notes(table, ours, searches),
                 metric=metric)  # fmt: skip


def _notes(table: pd.DataFrame, ours: Mapping[str, Records], searches: Mapping[str, Records]) -> list[str]:
    name = table["hyperparameter"].iloc[0]
    number = f"{len(table)} optimiser{'s' * (len(table) > 1)}"
    margin = f"{table['margin'].iloc[0]:.3g}"
    if confirmed.stated_margin(ours) is None:
        of = " of the logarithm" * bool(table["logarithmic"].iloc[0])
        margin += f" (a fifth of the median standard deviation{of} over seeds)"
    notes = [
        f"Verdict on {name}: better or worse, p below {1 - CONFIDENCE:.2g} after Holm over {number}. "
        f"Equivalent: the interval lies within the margin of {margin}, so the winners are worth the same "
        f"without {name}. n: studies × seeds, each winner against itself on the same seed.",
        f"Intervals hold for {number} at once with {CONFIDENCE:.0%} (Bonferroni). {errors_note(table)}",
        f"P(better): the share of winners and seeds on which the winner beat itself without {name}, ties "
        f"half. Changed: so many winners are told from themselves without {name} by their own seeds "
        f"({CONFIDENCE:.0%} each).",
        f"All else is as found, the learning rate too. Where a winner depends on {name}, the rest suits it "
        f"and may suit nothing without: that {name} makes such a winner better does not say that it beats an "
        f"optimiser without {name} that is tuned as well. Where nothing changes, it is not {name} that makes "
        "the winner good.",
    ]
    lost = table[(table["lost"] > 0) | (table["lost_without"] > 0)]
    if len(lost):
        named = ", ".join(
            f"{style.label(str(row.optimizer))} {row.lost} with and {row.lost_without} without"
            for row in lost.itertuples()
        )
        notes.append(lost_note(without.collect(ours, searches), named))
    return notes


def _shown(scale: Scale, differences: "pd.Series[float]") -> "pd.Series[str]":
    """Like ``Scale.shown``, but in a short form for ratios: those to diverged trainings can have any size."""
    return differences.map(lambda x: _short(math.exp(x))) if scale.logarithmic else scale.shown(differences)


def _short(value: float) -> str:
    return f"{value:.4f}" if 1e-3 <= abs(value) < 1e3 else f"{value:.1e}"


def _span(least: float, most: float) -> str:
    ends = dict.fromkeys(f"{end:.1g}" for end in (least, most))
    return " to ".join(ends)
