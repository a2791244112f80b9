r"""What tuning costs: the best value that k trials find in the median search, for every k.

The median, because a wide range of learning rates contains losses of any size: the mean over searches is then
decided by the few that found nothing, and by what a diverged trial counts as.

The trials of random search are independent, so everything is computed from the sample of all n values,
without drawing subsets. In a search that learns, such as TPE, trial k depends on those before it, so its
curve is the running best of whole studies, of which the median is taken; nothing within a study is resampled.

A trial that failed or diverged counts as the worst value of the support (``support``), so diverging is never
an advantage.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import pandas as pd

from induced_metric.analysis import draws
from induced_metric.analysis.statistics import CONFIDENCE, best_of
from induced_metric.analysis.support import Support, counted
from induced_metric.analysis.tuning import bands

RESAMPLES = 1000
SHARE = 0.2
"""The largest k for the bootstrap of differences (``paired``), as a share of the trials."""


def median_best(values: np.ndarray, budgets: Sequence[int], *, minimize: bool) -> np.ndarray:
    r"""The median of the best of k over all subsets of k of the n values, for every k up to n.

    It is the first :math:`y_{(i)}`, with :math:`y_{(1)}` the best, such that at least half of the subsets
    contain one of the i best values:

    .. math:: 1 - \binom{n-i}{k} \binom{n}{k}^{-1} \ge 1/2

    Dodge et al. (Show Your Work, 2019) take the mean and draw with replacement; for the median see Lourie,
    Cho and He (arXiv:2311.09480).

    Args:
        values: the values of n independent trials.
        budgets: the numbers k.
        minimize: whether a low value is good.

    Returns:
        shape=(budgets,).
    """
    ordered = np.sort(values) if minimize else np.sort(values)[::-1]
    return np.asarray(ordered[_needed(len(values), budgets) - 1])


def _needed(number: int, budgets: Sequence[int]) -> np.ndarray:
    """The least i such that half of the subsets of k ranks contain one of the i best; shape=(budgets,)."""
    found = best_of(number, budgets).cumsum(axis=1)
    # A probability of exactly one half must not depend on how it is rounded.
    return np.asarray((found >= 0.5 - 1e-9).argmax(axis=1) + 1)


def median_band(
    values: np.ndarray, budgets: Sequence[int], bounds: Support, *, level: float = CONFIDENCE
) -> tuple[np.ndarray, np.ndarray]:
    r"""Bounds for the median best of k trials, for all k at once with probability ``level``.

    The least of k values has the distribution function :math:`1 - (1 - F(y))^k`, whose median is the quantile
    of F at :math:`q_k = 1 - 2^{-1/k}`. So a band for the distribution function (``bands.band``) gives a band
    for the median best (Lourie, Cho and He, arXiv:2311.09480), whatever the distribution is. Where a bound
    lies beyond the observed values, it is the end of the support.

    Args:
        values: the values of n independent trials, within the support.
        budgets: the numbers k.
        bounds: the support; where ``best`` exceeds ``worst``, high values are good.
        level: the confidence level of the whole band.

    Returns:
        The lower and the upper bounds, shape=(budgets,) each.
    """
    sign = 1 if bounds.best <= bounds.worst else -1
    points = np.concatenate([[sign * bounds.best], np.sort(sign * values), [sign * bounds.worst]])
    band = bands.band(len(values), level)
    quantile = 1 - 0.5 ** (1 / np.asarray(budgets))
    # The larger distribution function has the lower quantiles.
    upper, lower = (
        sign * points[(np.append(side, 1.0) >= quantile[:, None]).argmax(axis=1)]
        for side in (band.upper, band.lower)
    )
    return (upper, lower) if sign == 1 else (lower, upper)


def budgets_up_to(number: int) -> list[int]:
    """Numbers of trials to draw a curve at: all up to 10, then about 24 per decade, and ``number`` itself."""
    spaced = np.geomspace(1, number, 1 + int(24 * np.log10(number))) if number > 1 else np.ones(1)
    return sorted({*range(1, min(number, 10) + 1), *(round(float(k)) for k in spaced)})


def of_random(trials: pd.DataFrame, bounds: Support, *, budgets: Sequence[int] | None = None) -> pd.DataFrame:
    """The curve of each optimiser from the trials of random search, with its band.

    Returns:
        ``optimizer``, ``trials`` (k), ``best`` (``median_best``), ``low`` and ``high`` (``median_band``),
        and ``n``, the number of trials it is computed from. Each band holds for its optimiser alone.

    Raises:
        ValueError: if trials depend on each other.
    """
    if not draws.independent(trials):
        raise ValueError(
            "curves of subsets need trials that do not depend on each other: random search, unpruned"
        )
    parts = []
    for name, group in trials.groupby("optimizer", sort=False):
        values = counted(group, bounds).to_numpy()
        usable = [k for k in budgets or budgets_up_to(len(values)) if k <= len(values)]
        low, high = median_band(values, usable, bounds)
        best = median_best(values, usable, minimize=bounds.best <= bounds.worst)
        columns = {"trials": usable, "best": best, "low": low, "high": high, "n": len(values)}
        parts.append(pd.DataFrame({"optimizer": name, **columns}))
    return pd.concat(parts, ignore_index=True)


def of_studies(studies: Mapping[str, pd.DataFrame], bounds: Support) -> pd.DataFrame:
    r"""The median over independent studies of their running best, for each optimiser by itself.

    .. math:: \operatorname{median}_s \min_{j \le k} y_{sj}

    Args:
        studies: the trials of all optimisers, by study; they were proposed in the order of their numbers.
        bounds: the support.

    Returns:
        ``optimizer``, ``trials`` (k), ``best``, ``low`` and ``high``, the least and the greatest of the n
        studies (the observed range, not a confidence interval), and ``n``. A curve ends with its shortest
        study.
    """
    accumulate: Literal["cummin", "cummax"] = "cummin" if bounds.best <= bounds.worst else "cummax"
    parts = []
    for study, trials in studies.items():
        ordered = trials.assign(value=counted(trials, bounds), study=study).sort_values("trial")
        grouped = ordered.groupby("optimizer", sort=False)
        parts.append(
            ordered.assign(best=grouped["value"].transform(accumulate), trials=grouped.cumcount() + 1)
        )
    best_so_far = pd.concat(parts).groupby(["optimizer", "trials"], sort=False)["best"]
    table = best_so_far.agg(best="median", low="min", high="max", n="size").reset_index()
    complete = table["n"] == table.groupby("optimizer")["n"].transform("max")
    return table[complete].reset_index(drop=True)


def paired(
    trials: pd.DataFrame,
    baseline: str,
    bounds: Support,
    budgets: Sequence[int],
    *,
    level: float = CONFIDENCE,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> pd.DataFrame:
    r"""Each optimiser's curve minus the baseline's, where trial k of all has the same seed and draws.

    The luck of the draws is common to all (common random numbers), so the bootstrap resamples trial
    numbers, the same for all. The band is :math:`D_k \pm c\, s_k` with :math:`s_k` the standard deviation of
    the resampled difference and :math:`c` the quantile of :math:`\max_k |D^*_k - \bar D^*_k| / s_k`. It holds
    for all budgets at once (Montiel Olea and Plagborg-Moller, Journal of Applied Econometrics 34, 2019).

    Args:
        trials: the trials of random search.
        baseline: the optimiser that the others are compared with.
        bounds: the support.
        budgets: the numbers k; those above ``SHARE`` of the trials in common are left out.
        level: the confidence level of each optimiser's whole band.
        resamples: the number of bootstrap resamples.
        seed: the seed of the bootstrap.

    Returns:
        ``optimizer``, ``trials`` (k), ``difference``, ``low``, ``high``, ``n``.

    Raises:
        ValueError: as ``draws.paired``.
    """
    table = draws.paired(trials, baseline, counted(trials, bounds))
    size = len(table)
    usable = [k for k in budgets if k <= max(1, SHARE * size)]
    minimize = bounds.best <= bounds.worst
    weights = np.random.default_rng(seed).multinomial(size, np.full(size, 1 / size), resamples)
    curves = {name: _resampled(table[name].to_numpy(), weights, usable, minimize=minimize) for name in table}
    point = {name: median_best(table[name].to_numpy(), usable, minimize=minimize) for name in table}
    parts = []
    for name in trials["optimizer"].unique():
        if name == baseline:
            continue
        difference, drawn = point[name] - point[baseline], curves[name] - curves[baseline]
        spread = drawn.std(axis=0)
        # A resample repeats values, which shifts all resampled curves alike: centre them on their own mean.
        with np.errstate(invalid="ignore"):
            furthest = np.nan_to_num(np.abs(drawn - drawn.mean(axis=0)) / spread).max(axis=1)
        half_width = np.quantile(furthest, level) * spread
        ends = {"difference": difference, "low": difference - half_width, "high": difference + half_width}
        parts.append(pd.DataFrame({"optimizer": name, "trials": usable, **ends, "n": size}))
    return pd.concat(parts, ignore_index=True)


def _resampled(
    values: np.ndarray, weights: np.ndarray, budgets: Sequence[int], *, minimize: bool
) -> np.ndarray:
    """``median_best`` of each resample; ``weights`` says how often each value is in it.

    Returns:
        shape=(resamples, budgets).
    """
    order = np.argsort(values if minimize else -values, kind="stable")
    seen = weights[:, order].cumsum(axis=1)
    places = [(seen >= needed).argmax(axis=1) for needed in _needed(len(values), budgets)]
    return np.asarray(values[order][np.stack(places, axis=1)])
