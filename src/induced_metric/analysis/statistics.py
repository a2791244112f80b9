"""Numbers of the tables: the published columns and the counts behind them."""

import pandas as pd

from induced_metric.analysis.runs import top
from induced_metric.records import Records

OUTCOMES = ["complete", "pruned", "failed", "diverged"]


def counts(trials: pd.DataFrame) -> pd.DataFrame:
    """How many trials of each optimizer are of each of ``OUTCOMES``; a diverged one is that and no other."""
    outcome = trials["state"].mask(trials["diverged"], "diverged")
    table = pd.crosstab(trials["optimizer"], outcome)
    table = table.reindex(trials["optimizer"].unique())
    return table.reindex(columns=OUTCOMES, fill_value=0).rename_axis(columns=None)


def summary(records: Records, n: int) -> pd.DataFrame:
    """The published columns, one row an optimizer, over its best ``n`` eligible trials (``runs.eligible``).

    Returns:
        ``metric_mean``, ``metric_std``, ``epoch_mean`` and ``epoch_std`` (population standard deviations,
        as published), ``best_metric`` with its ``best_epoch`` and ``best_seconds`` (device seconds up to the
        end of that epoch), ``n`` (fewer than asked for if a study is short), the ``direction`` and the
        columns of ``counts``.
    """
    best = top(records.trials, n)
    grouped = best.groupby("optimizer", sort=False)
    values, epochs, first = grouped["value"], grouped["best_epoch"], grouped.first()
    table = pd.DataFrame(
        {
            "direction": records.trials.groupby("optimizer", sort=False)["direction"].first(),
            "metric_mean": values.mean(),
            "metric_std": values.std(ddof=0),
            "epoch_mean": epochs.mean(),
            "epoch_std": epochs.std(ddof=0),
            "best_metric": first["value"],
            "best_epoch": first["best_epoch"],
            "best_seconds": _seconds_to_best(best.groupby("optimizer", sort=False).head(1), records.curves),
            "n": values.size(),
        },
        index=pd.Index(records.trials["optimizer"].unique(), name="optimizer"),
    )
    return table.fillna({"n": 0}).astype({"n": int}).join(counts(records.trials))


def _seconds_to_best(best: pd.DataFrame, curves: pd.DataFrame) -> pd.Series:
    epochs = curves.merge(best[["optimizer", "trial", "best_epoch"]], on=["optimizer", "trial"])
    return epochs[epochs["epoch"] <= epochs["best_epoch"]].groupby("optimizer")["seconds"].sum()
