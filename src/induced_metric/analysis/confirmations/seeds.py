"""The effect of the seed alone: the published best setting of each optimiser, trained from many seeds."""

import numpy as np
import pandas as pd

from induced_metric.analysis import runs, style
from induced_metric.analysis.rendering import Table, fixed
from induced_metric.records import Records

QUANTILES = {"low": 0.05, "lower": 0.25, "median": 0.5, "upper": 0.75, "high": 0.95}


def summary(records: Records) -> pd.DataFrame:
    """The spread of the values over the seeds, one row per optimiser.

    A trial that diverged or failed counts with the worst possible value, an infinite one, which cannot be
    mistaken for a measured one.

    Returns:
        ``n``, how many of them ``diverged`` (or failed), the 5, 25, 50, 75 and 95% quantiles ``low``,
        ``lower``, ``median``, ``upper`` and ``high``, ``best``, ``worst`` and ``direction``.
    """
    trials = records.trials
    rows = {}
    for name, group in trials.groupby("optimizer", sort=False):
        direction = group["direction"].iloc[0]
        finished = (group["state"] == "complete") & ~group["diverged"]
        worst_possible = np.inf if direction == "minimize" else -np.inf
        values = group["value"].where(finished, worst_possible).sort_values().to_numpy()
        best, worst = (values[0], values[-1]) if direction == "minimize" else (values[-1], values[0])
        rows[name] = {
            "n": len(values),
            "diverged": int((~finished).sum()),
            **{key: _quantile(values, share) for key, share in QUANTILES.items()},
            "best": best,
            "worst": worst,
            "direction": direction,
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("optimizer")


def seeds_table(task: str, records: Records) -> Table:
    """``summary`` beside the best published run (``runs.quoted``), ready to be shown or written."""
    table = summary(records).reset_index()
    objective, _ = runs.objective({"": records})
    quoted = runs.quoted(task, {"": records})["best_metric"]
    table = style.in_order(table.assign(published=table["optimizer"].map(quoted), objective=objective))
    headers = [f"{share:.0%}" if key != "median" else "Median" for key, share in QUANTILES.items()]
    cells = {
        "Optimiser": table["optimizer"].map(style.label),
        "n": table["n"].astype(str),
        "Best": fixed(table["best"], 4),
        **{header: fixed(table[key], 4) for header, key in zip(headers, QUANTILES, strict=True)},
        "Worst": fixed(table["worst"], 4),
        "Published best": fixed(table["published"], 4),
    }
    metric = style.words(objective)
    title = (
        f"The effect of the seed alone: best {metric} of a run on the {task} task at the published best "
        "hyperparameters of each optimiser. Quantiles over n seeds, and the best run of the published search."
    )
    notes = []
    lost = table[table["diverged"] > 0]
    if not lost.empty:
        counts = ", ".join(f"{row.optimizer} {row.diverged}" for row in lost.itertuples())
        notes.append(f"Diverged or failed, counted as worse than any other: {counts}.")
    if table["published"].notna().any():
        notes.append(
            "The published best is the best of a search, chosen by this metric; our seeds are not chosen."
        )
    no_bold = pd.DataFrame(index=table.index)
    return Table(table, pd.DataFrame(cells), no_bold, title, notes, metric=metric)


def _quantile(values: np.ndarray, share: float) -> float:
    """The quantile of sorted values; where it lies between two of them, their mean."""
    # numpy interpolates with the difference of two values, which can be NaN where values are infinite.
    rank = round(share * len(values), 9)
    return float((values[int(np.ceil(rank)) - 1] + values[int(np.floor(rank))]) / 2)
