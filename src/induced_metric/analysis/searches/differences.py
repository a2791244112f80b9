"""Differences between the mean of the best runs and that of a baseline, with intervals; random search only.

In a random search, trial k of every optimiser has the same seed and the same uniform draws (common random
numbers), so the luck of the draws is common to all. The bootstrap therefore resamples trial numbers, the same
for all optimisers, and the difference of two means is known far better than either mean.
"""

import functools
from collections.abc import Mapping

import numpy as np
import pandas as pd

from induced_metric.analysis import draws, runs, style
from induced_metric.analysis.rendering import Table, fixed
from induced_metric.analysis.statistics import CONFIDENCE
from induced_metric.records import Records

RESAMPLES = 10_000


def to_baseline(
    trials: pd.DataFrame,
    baseline: str,
    n: int,
    *,
    level: float = CONFIDENCE,
    spread: bool = False,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> pd.DataFrame:
    """Mean of the best ``n`` values of each optimiser minus the baseline's, over the trial numbers all share.

    A trial that failed, diverged or was pruned counts as worse than any other. It is resampled like the
    others but is never among the best ``n``. Where fewer than ``n`` trials of an optimiser or of the baseline
    end otherwise, both means are over that number, so that diverging is no advantage.

    Args:
        trials: the trials of one random search, one row per trial.
        baseline: the optimiser that the others are compared with.
        n: how many of the best values a mean is over.
        level: the confidence level of each interval.
        spread: compare the standard deviations of the best values instead of their means.
        resamples: the number of bootstrap resamples.
        seed: the seed of the bootstrap.

    Returns:
        One row per optimiser except the baseline: ``trials``, ``n``, how many values the means are over,
        ``difference``, and ``low`` and ``high``, the ends of the percentile bootstrap interval.

    Raises:
        ValueError: as ``draws.paired``.
    """
    sign = 1 if (trials["direction"] == "minimize").all() else -1
    table = draws.paired(trials, baseline, (sign * trials["value"]).where(runs.eligible(trials), np.inf))
    costs = table.to_numpy().T  # shape=(optimisers, trials)
    size = costs.shape[1]
    weights = np.random.default_rng(seed).multinomial(size, np.full(size, 1 / size), resamples)
    # The first row is the measured sample: every trial once.
    weights = np.concatenate([np.ones((1, size), int), weights])
    by_name = dict(zip(table.columns, costs, strict=True))
    ended = {name: int(np.isfinite(row).sum()) for name, row in by_name.items()}

    @functools.cache
    def means(name: str, number: int) -> np.ndarray:
        mean, deviation = _best(by_name[name], weights, number)
        return deviation if spread else sign * mean

    ends = [(1 - level) / 2, (1 + level) / 2]
    rows = {}
    for name in trials["optimizer"].unique():
        if name != baseline:
            number = min(n, ended[name], ended[baseline])
            measured, *resampled = means(name, number) - means(baseline, number)
            low, high = np.quantile(resampled, ends)
            rows[name] = {"trials": size, "n": number, "difference": measured, "low": low, "high": high}
    return (
        pd.DataFrame.from_dict(rows, orient="index")
        .rename_axis("optimizer")
        .astype({"trials": int, "n": int})
    )


def _best(costs: np.ndarray, weights: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation of the ``n`` lowest finite costs, for each row of how often each trial was drawn."""
    order = np.argsort(costs, kind="stable")
    finite = order[np.isfinite(costs[order])]
    drawn = weights[:, finite].cumsum(axis=1).clip(max=n)
    taken = np.diff(drawn, axis=1, prepend=0)
    with np.errstate(invalid="ignore"):  # a mean of none is NaN
        mean = (taken @ costs[finite]) / taken.sum(axis=1)
        square = (taken @ costs[finite] ** 2) / taken.sum(axis=1)
        return mean, np.sqrt(np.maximum(square - mean**2, 0))


def differences_table(
    task: str,
    ours: Mapping[str, Records],
    *,
    n: int,
    baseline: str | None = None,
) -> Table | None:
    """``to_baseline`` for every sampler whose trials are independent; None where there is none.

    Args:
        task: name of the task.
        ours: our records, by sampler.
        n: how many of the best values a mean is over.
        baseline: the optimiser that the others are compared with; by default the first in published order.
    """
    parts = []
    for sampler, records in ours.items():
        trials = records.trials
        names = trials["optimizer"].drop_duplicates()
        if len(names) < 2 or not draws.independent(trials) or not draws.in_common(trials):
            continue
        default = names.iloc[style.ranks(names).argmin()]
        part = to_baseline(trials, baseline or default, n).reset_index()
        parts.append(part.assign(source=sampler, baseline=baseline or default))
    if not parts:
        return None
    table = style.in_order(pd.concat(parts, ignore_index=True))
    notes = [
        f"{CONFIDENCE:.0%} bootstrap intervals ({RESAMPLES:,} resamples), which resample trial numbers, the "
        "same for all optimisers. The intervals are not corrected for the number of rows.",
        "Only samplers whose trials do not depend on each other are shown. A trial that diverged or failed "
        "counts as worse than any other.",
    ]
    subject = "Mean {metric} of the n best runs"
    return as_table(task, ours, table, subject=subject, trials="Trials", ends="interval", notes=notes)


def as_table(
    task: str, ours: Mapping[str, Records], table: pd.DataFrame,
    *, subject: str, trials: str, ends: str, notes: list[str],
) -> Table:  # fmt: skip
    """Differences to a baseline with their intervals or bands, in bold where these exclude 0.

    Args:
        task: name of the task.
        ours: our records, by sampler.
        table: columns ``optimizer``, ``source``, ``baseline``, ``n``, ``trials``, ``difference``, ``low`` and
            ``high``.
        subject: what is compared, with a placeholder ``{metric}``.
        trials: the heading of the column ``trials``.
        ends: what ``low`` and ``high`` are the ends of, such as ``interval`` or ``band``.
        notes: the notes below the table.
    """
    objective, direction = runs.objective(ours)
    metric = style.words(objective)
    against = " or ".join(dict.fromkeys(table["baseline"].map(style.label)))
    low, high = (fixed(table[end], 4, signed=True) for end in ("low", "high"))
    cells = {
        "Optimiser": table["optimizer"].map(style.label),
        "Source": table["source"],
        "n": table["n"].astype(str),
        trials: table["trials"].astype(str),
        "Difference": fixed(table["difference"], 4, signed=True),
        f"95% {ends}": "[" + low + ", " + high + "]",
    }
    significant = (table["low"] > 0) | (table["high"] < 0)
    title = (
        f"{subject.format(metric=metric)} on the {task} task, minus that of {against}: "
        f"{'below' if direction == 'minimize' else 'above'} 0 is better. Bold: 0 is outside the {ends}."
    )
    return Table(
        table, pd.DataFrame(cells), pd.DataFrame({"Difference": significant}), title, notes, metric=metric
    )
