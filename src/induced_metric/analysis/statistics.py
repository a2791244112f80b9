"""Numbers of the tables: the published columns, the counts behind them, paired comparisons."""

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
    """The published columns, one row an optimizer, over its best ``n`` complete trials.

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


def paired(trials: pd.DataFrame, baseline: str) -> pd.DataFrame:
    """Each optimizer against ``baseline`` over the trials that both completed: trial k has the same seed.

    A search gives trial k of two optimizers other hyperparameters, so this compares whole searches, as they
    were run, with the spread of the seeds taken out; it does not compare tuned optimizers.

    Returns:
        ``pairs``; ``wins``, the share of pairs in which the optimizer is better; ``median_gain``, by how much
        (positive is better); ``p``, of the two-sided Wilcoxon signed-rank test, NaN without a difference.

    Raises:
        ValueError: if the baseline has no trial, or a pair's seeds differ.
    """
    from scipy import stats

    names = trials["optimizer"].unique().tolist()
    if baseline not in names:
        raise ValueError(f"baseline must be one of {', '.join(names)}, got {baseline!r}")
    complete = trials[(trials["state"] == "complete") & ~trials["diverged"]]
    reference = complete[complete["optimizer"] == baseline]
    rows = {}
    for name in names:
        if name == baseline:
            continue
        pairs = complete[complete["optimizer"] == name].merge(
            reference, on="trial", suffixes=("", "_baseline")
        )
        if (pairs["seed"] != pairs["seed_baseline"]).any():
            raise ValueError(f"trials of {name} and {baseline} with the same number have different seeds")
        gain = pairs["value_baseline"] - pairs["value"]
        gain = gain.where(pairs["direction"] == "minimize", -gain)
        p = stats.wilcoxon(gain).pvalue if (gain != 0).any() else float("nan")
        rows[name] = {"pairs": len(gain), "wins": (gain > 0).mean(), "median_gain": gain.median(), "p": p}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("optimizer")
