"""Which of our searches reaches the published level, optimiser by optimiser."""

from collections.abc import Mapping

import pandas as pd

from induced_metric.analysis import runs, statistics, style
from induced_metric.analysis.rendering import MISSING, Table, fixed
from induced_metric.records import Records, published


def to_published(task: str, ours: Mapping[str, Records], n: int) -> pd.DataFrame:
    """Mean of the best ``n`` runs of each sampler, and how far it is from the published mean.

    Returns:
        One row for each sampler and each optimiser of the paper: ``optimizer``, ``source``, ``mean``,
        ``published`` and ``published_std``, ``deviations`` (the difference in units of the published standard
        deviation, which is that of a run and not of a mean, since the paper has one search per optimiser),
        and ``nearest``, whether this sampler's mean is nearest to the published one.
    """
    quoted = published.summary(task)
    parts = [
        statistics.summary(records, n)["metric_mean"].rename("mean").reset_index().assign(source=sampler)
        for sampler, records in ours.items()
    ]  # the mean is NaN where no trial is complete
    table = pd.concat(parts, ignore_index=True)
    table = table[table["optimizer"].isin(quoted.index)].dropna(subset="mean")
    for column, name in (("published", "metric_mean"), ("published_std", "metric_std")):
        table[column] = table["optimizer"].map(quoted[name])
    table["deviations"] = (table["mean"] - table["published"]) / table["published_std"]
    distance = table["deviations"].abs()
    table["nearest"] = distance == distance.groupby(table["optimizer"]).transform("min")
    return style.in_order(table)


def agreement_table(task: str, ours: Mapping[str, Records], *, n: int) -> Table | None:
    """``to_published``, one column per sampler; None for one sampler, or if the paper has no such study."""
    if published.number(task) is None or len(ours) < 2 or not runs.as_published(ours):
        return None
    table = to_published(task, ours, n)
    if table.empty:
        return None
    text = fixed(table["mean"], 4) + " (" + fixed(table["deviations"], 1, signed=True) + ")"
    wide = table.assign(text=text).pivot_table(
        index="optimizer", columns="source", values="text", aggfunc="first", sort=False
    )
    nearest = table[table["nearest"]].drop_duplicates("optimizer").set_index("optimizer")
    cells = {
        "Optimiser": wide.index.map(style.label),
        "Nearest": nearest.loc[wide.index, "source"].to_numpy(),
        "Published": (fixed(nearest["published"], 4) + " ± " + fixed(nearest["published_std"], 4))
        .loc[wide.index]
        .to_numpy(),
        **{sampler: wide[sampler].fillna(MISSING).to_numpy() for sampler in wide.columns},
    }
    frame = pd.DataFrame(cells)
    bold = pd.DataFrame({sampler: frame["Nearest"] == sampler for sampler in wide.columns})
    metric = style.words(runs.objective(ours)[0])
    title = (
        f"Mean {metric} of the {n} best runs on the {task} task, by sampler, and in parentheses its "
        "difference from the published mean, in published standard deviations. Bold: the sampler whose mean "
        "is nearest to the published one."
    )
    notes = [
        "Each column has one study per optimiser. A search with another seed gives another mean; how much "
        "the published means vary in this way is not known."
    ]
    return Table(table, frame, bold, title, notes, metric=metric)
