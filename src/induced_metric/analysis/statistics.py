"""The numbers in the tables: the columns of the paper, the counts behind them, and intervals."""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.special import gammaln
from scipy.stats import binomtest, permutation_test, quantile_test, rankdata, spearmanr

from induced_metric.analysis.runs import top
from induced_metric.records import Records

OUTCOMES = ["complete", "pruned", "failed", "diverged"]
CONFIDENCE = 0.95


def counts(trials: pd.DataFrame) -> pd.DataFrame:
    """How many trials of each optimiser ended in each of ``OUTCOMES``; a diverged one counts only as that."""
    outcome = trials["state"].mask(trials["diverged"], "diverged")
    table = pd.crosstab(trials["optimizer"], outcome)
    table = table.reindex(trials["optimizer"].unique())
    return table.reindex(columns=OUTCOMES, fill_value=0).rename_axis(columns=None)


def summary(records: Records, n: int) -> pd.DataFrame:
    """The columns of the paper for the best ``n`` eligible trials of each optimiser (``runs.eligible``).

    Returns:
        One row per optimiser: ``metric_mean``, ``metric_std``, ``epoch_mean`` and ``epoch_std`` (population
        standard deviations, as in the paper), ``best_metric`` with its ``best_epoch`` and ``best_seconds``
        (device seconds up to the end of that epoch), ``n`` (fewer than asked for if a study is short), the
        ``direction`` and the columns of ``counts``.
    """
    best = top(records.trials, n)
    grouped = best.groupby("optimizer", sort=False)
    values, epochs, winners = grouped["value"], grouped["best_epoch"], grouped.first()
    table = pd.DataFrame(
        {
            "direction": records.trials.groupby("optimizer", sort=False)["direction"].first(),
            "metric_mean": values.mean(),
            "metric_std": values.std(ddof=0),
            "epoch_mean": epochs.mean(),
            "epoch_std": epochs.std(ddof=0),
            "best_metric": winners["value"],
            "best_epoch": winners["best_epoch"],
            "best_seconds": _seconds_to_best(best.groupby("optimizer", sort=False).head(1), records.curves),
            "n": values.size(),
        },
        index=pd.Index(records.trials["optimizer"].unique(), name="optimizer"),
    )
    return table.fillna({"n": 0}).astype({"n": int}).join(counts(records.trials))


def _seconds_to_best(best: pd.DataFrame, curves: pd.DataFrame) -> pd.Series:
    epochs = curves.merge(best[["optimizer", "trial", "best_epoch"]], on=["optimizer", "trial"])
    return epochs[epochs["epoch"] <= epochs["best_epoch"]].groupby("optimizer")["seconds"].sum()


def share_interval(successes: int, number: int) -> tuple[float, float]:
    """Wilson's interval for a probability, from ``successes`` among ``number`` trials."""
    interval = binomtest(successes, number).proportion_ci(CONFIDENCE, method="wilson")
    return float(interval.low), float(interval.high)


def median_interval(values: np.ndarray) -> tuple[float, float]:
    """The interval for a median, whose ends are two of the values; NaN where there are too few values."""
    interval = quantile_test(values, q=0, p=0.5).confidence_interval(CONFIDENCE)
    return float(interval.low), float(interval.high)


def rank_correlation(one: ArrayLike, other: ArrayLike) -> tuple[float, float]:
    """Spearman's rank correlation, and the p-value of the hypothesis that the orders have nothing in common.

    The p-value is that of permutations: of all of up to seven values, of 9,999 at random where there are
    more. The usual one, from Student's t, is too low for so few.
    """
    ranks = rankdata(other)
    centred = ranks - ranks.mean()

    def agreement(drawn: np.ndarray, axis: int) -> np.ndarray:
        return np.asarray((drawn * centred).sum(axis=axis))  # the correlation, but for constants

    drawn = permutation_test(
        (rankdata(one),),
        agreement,
        permutation_type="pairings",
        vectorized=True,
        rng=np.random.default_rng(0),
    )
    return float(spearmanr(one, other).statistic), float(drawn.pvalue)


def best_of(number: int, budget: int | ArrayLike) -> np.ndarray:
    """Probability that each rank, from 0, is the best of ``budget`` ranks drawn without replacement.

    Rank k of n is the best of b with probability C(n - k - 1, b - 1) / C(n, b).

    Args:
        number: how many ranks there are to draw from, n.
        budget: how many are drawn, b, from 1 to n; one number or several.

    Returns:
        shape=(shape of budget, number); each row sums to 1.

    Raises:
        ValueError: if a budget is not from 1 to ``number``.
    """
    drawn = np.asarray(budget)[..., None]
    if drawn.size and not 1 <= drawn.min() <= drawn.max() <= number:
        raise ValueError(f"budget must be from 1 to {number}, the number of ranks, got {budget!r}")
    worse = number - np.arange(number) - 1
    with np.errstate(invalid="ignore"):  # for ranks that cannot be the best
        log_probability = _log_choose(worse, drawn - 1) - _log_choose(number, drawn)
    return np.asarray(np.exp(np.where(worse >= drawn - 1, log_probability, -np.inf)))


def _log_choose(n: np.ndarray | int, k: np.ndarray) -> np.ndarray:
    n = np.asarray(n)
    return np.asarray(gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1))
