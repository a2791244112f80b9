"""Where the best settings of an optimiser lie in the ranges that were searched."""

import json
from collections.abc import Mapping, Sequence

import pandas as pd

from induced_metric.analysis import runs, style
from induced_metric.analysis.fairness.comparison import searched
from induced_metric.analysis.fairness.spaces import EDGE, is_natural
from induced_metric.analysis.rendering import MISSING, Table
from induced_metric.records import Records
from induced_metric.space import Float


def winners(searches: Mapping[str, Records], optimizers: Sequence[str]) -> pd.DataFrame:
    """The hyperparameters of the winner of each study, one row each.

    Returns:
        ``optimizer``, ``hyperparameter``, ``study`` (the sampler), ``value``; ``low`` and ``high``, the ends
        of its range; and ``share``, the share of the range below the value in the scale of the search. These
        three are missing for what is not a range of real numbers.
    """
    rows = []
    for sampler, study in searches.items():
        best = runs.top(study.trials, 1).set_index("optimizer")
        for name in optimizers:
            if name not in best.index:
                continue
            run = best.loc[name].to_dict()
            space = searched(json.loads(str(run["config"])), study.trials[study.trials["optimizer"] == name])
            for hyperparameter, dimension in space.items():
                value, real = run[hyperparameter], isinstance(dimension, Float)
                ends = (dimension.low, dimension.high) if isinstance(dimension, Float) else (None, None)
                share = dimension.share(float(value)) if isinstance(dimension, Float) else None
                rows.append((name, hyperparameter, sampler, value, *ends, share if real else None))
    columns = ["optimizer", "hyperparameter", "study", "value", "low", "high", "share"]
    return pd.DataFrame(rows, columns=columns)


def ranges_table(task: str, searches: Mapping[str, Records], optimizers: Sequence[str]) -> Table:
    """``winners``, one row per hyperparameter, ready to be shown or written."""
    best = winners(searches, optimizers)
    by = ["optimizer", "hyperparameter"]
    rows = [
        {
            "optimizer": group["optimizer"].iloc[0],
            "hyperparameter": group["hyperparameter"].iloc[0],
            "low": group["low"].iloc[0],
            "high": group["high"].iloc[0],
            "values": ", ".join(_value(value) for value in group["value"]),
            "least_share": group["share"].astype(float).min(),
            "greatest_share": group["share"].astype(float).max(),
        }
        for _, group in best.groupby(by, sort=False)
    ]
    table = pd.DataFrame(rows)
    has_range = table["least_share"].notna()
    natural = table.apply(lambda row: is_natural(row["hyperparameter"], row["low"]), axis=1)
    at_bound = (table["greatest_share"] > 1 - EDGE) | ((table["least_share"] < EDGE) & ~natural)
    span = table["low"].map("{:g}".format) + " to " + table["high"].map("{:g}".format)
    least, greatest = table["least_share"].map(_percent), table["greatest_share"].map(_percent)
    place = (least + " to " + greatest).where(least != greatest, least)
    cells = {
        "Optimiser": table["optimizer"].map(style.label),
        "Hyperparameter": table["hyperparameter"],
        "Searched": span.where(has_range, MISSING),
        "Winners": table["values"],
        "Place in the range": place.where(has_range, MISSING),
    }
    title = (
        f"Where the winner of each study lies in the range that was searched, {task}; 0% is the lower end, "
        f"on the scale of the search. Bold: within {EDGE:.0%} of an end, unless nothing lies beyond that end "
        "(a lower end that is 0, or as good as 0)."
    )
    notes = []
    if at_bound.any():
        named = ", ".join(table.loc[at_bound, "hyperparameter"].unique())
        notes.append(f"A better setting may lie beyond the range of {named}.")
    bold = pd.DataFrame({"Place in the range": at_bound & has_range})
    return Table(table, pd.DataFrame(cells), bold, title, notes)


def _value(value: object) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:.5f}" if 0.99 < value < 1 else f"{value:.3g}"  # of a momentum, 1 - x tells them apart


def _percent(share: float) -> str:
    return f"{share:.0%}" if share == share else MISSING
