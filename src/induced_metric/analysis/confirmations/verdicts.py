r"""Which optimizer is better once tuned: better, worse, equivalent or undecided, pair by pair.

The evidence are confirmations: the winner of each study of an optimizer trained again from fresh seeds, the
same seeds for all. Two optimizers are compared by the differences of every winner of the one and every winner
of the other on the same seed (``hierarchy.contrast``).

* *equivalent*: the interval of the difference lies within the margin, which is stated beforehand;
* *better*, *worse*: otherwise, if a difference of 0 is rejected;
* *undecided*: neither.

Over the m pairs of a table the chance of any false *better* or *worse* is at most 1 - level by Holm's rule
(Scandinavian Journal of Statistics 6, 1979): the i-th smallest p-value is multiplied by m - i + 1. The
intervals are simultaneous by Bonferroni, 1 - (1 - level)/m each, so the same holds for any false
*equivalent*.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from induced_metric.analysis import style
from induced_metric.analysis.confirmations import hierarchy
from induced_metric.analysis.confirmations.hierarchy import Estimate
from induced_metric.analysis.statistics import CONFIDENCE

BASELINE = "adamw"
POWER = 0.8
MARGIN = 0.2
"""Of the standard deviation over seeds: the margin where none is given, Cohen's small effect."""


class Cells(NamedTuple):
    """What two optimizers have on the same studies and seeds; shape=(studies, seeds) each."""

    one: np.ndarray
    other: np.ndarray


def grids(confirmed: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The values of each optimizer, a row a study and a column a seed.

    Args:
        confirmed: ``optimizer``, ``study``, ``seed`` and ``value``, one row a training.

    Raises:
        ValueError: if an optimizer was trained twice from a seed of a study.
    """
    twice = confirmed.duplicated(["optimizer", "study", "seed"])
    if twice.any():
        name = confirmed.loc[twice, "optimizer"].iloc[0]
        raise ValueError(f"{name} was trained more than once from the same seed of a study")
    wide = confirmed.pivot_table(index=["optimizer", "study"], columns="seed", values="value", sort=False)
    return {str(name): own.droplevel("optimizer") for name, own in wide.groupby("optimizer", sort=False)}


def cells(table: Mapping[str, pd.DataFrame], one: str, other: str) -> Cells:
    """The values of two optimizers on the studies that both have, and the seeds that all of these have.

    Raises:
        ValueError: if they share no study, or fewer than two seeds.
    """
    studies = table[one].index.intersection(table[other].index)
    both = np.stack([table[name].loc[studies].to_numpy() for name in (one, other)])
    both = both[:, :, ~np.isnan(both).any(axis=(0, 1))]
    if not len(studies) or both.shape[2] < 2:
        raise ValueError(
            f"{one} and {other} share {both.shape[2]} seeds of {len(studies)} studies: confirmations are "
            "paired, so every winner is trained from the same seeds"
        )
    return Cells(*both)


def default_margin(confirmed: pd.DataFrame) -> float:
    """``MARGIN`` of the median over the optimizers of the standard deviation over the seeds of a study."""
    spread = confirmed.groupby(["optimizer", "study"])["value"].std()
    return float(MARGIN * spread.groupby("optimizer").mean().median())


def baseline(names: Iterable[str]) -> str:
    """With which all others are compared: ``BASELINE``, or the first where this is not there."""
    every = style.ordered(names)
    return BASELINE if BASELINE in every else every[0]


def families(names: Iterable[str]) -> list[list[tuple[str, str]]]:
    """The pairs that are judged, in three families, each corrected for its own number.

    The first: all pairs of the paper's optimizers, or of all where none is the paper's. The second: each
    other against the ``baseline``; so one more candidate costs the others little. The third: each other
    against what it extends or changes, by its name: ``lion`` of ``lion_metric``, and of ``sgd_log_rms`` both
    ``sgd`` and ``sgd_rms``, whose form with the logarithm it is.

    Args:
        names: the optimizers.
    """
    every = style.ordered(names)
    first = [name for name in every if style.is_published(name)] or every
    against = baseline(every)
    others = [name for name in every if name not in first]
    extended = [
        (other, name)
        for other in others
        for name in every
        if name != against and (other.startswith(f"{name}_") or other.replace("_log_", "_") == name != other)
    ]
    return [list(combinations(first, 2)), [(other, against) for other in others], extended]


def compare(
    confirmed: pd.DataFrame,
    *,
    minimize: bool,
    pairs: Sequence[tuple[str, str]] | None = None,
    margin: float | None = None,
    level: float = CONFIDENCE,
) -> pd.DataFrame:
    r"""The verdict on each pair of optimizers, in the published order.

    Args:
        confirmed: ``optimizer``, ``study``, ``seed`` and ``value``, one row a training, all finite.
        minimize: whether a low value is good.
        pairs: those to judge, an optimizer and the other; all by default. Fewer need less correction.
        margin: differences below it do not matter; ``default_margin`` if None.
        level: of all verdicts together.

    Returns:
        ``optimizer`` and ``other``; ``difference``, the mean of the first minus that of the other, with
        ``low`` and ``high``, its simultaneous interval, and ``p``, Holm's; ``superiority``, the share of
        pairs of their studies, and of seeds, on which the first is better, ties half, with the ends of its
        own interval ``superiority_low`` and ``superiority_high``; ``verdict``, on the first; ``more_seeds``
        and ``more_studies``, about how many it would take to decide (``needed``), missing where decided;
        ``detectable``, the difference that this many would find with the probability ``POWER``; ``studies``,
        ``seeds``, ``margin``.

    Raises:
        ValueError: if the margin is negative, or two optimizers share no seeds.
    """
    table = grids(confirmed)
    pairs = list(combinations(style.ordered(table), 2) if pairs is None else pairs)
    margin = default_margin(confirmed) if margin is None else margin
    if not margin >= 0:
        raise ValueError(f"the margin must be >= 0, got {margin}")
    own_level = 1 - (1 - level) / max(len(pairs), 1)
    rows = []
    for one, other in pairs:
        both = cells(table, one, other)
        differences = both.one[:, None] - both.other[None]
        found = hierarchy.contrast(differences)
        gains = -differences if minimize else differences
        superior = hierarchy.contrast((1 + np.sign(gains)) / 2)
        ends = found.interval(own_level), np.clip(superior.interval(level), 0, 1)
        rows.append(
            {
                "optimizer": one,
                "other": other,
                "difference": found.mean,
                "low": ends[0][0],
                "high": ends[0][1],
                "p": found.p_value(),
                "superiority": superior.mean,
                "superiority_low": ends[1][0],
                "superiority_high": ends[1][1],
                "detectable": found.error * _reach(found, own_level),
                **needed(found, margin, own_level, both.one.shape),
                "studies": both.one.shape[0],
                "seeds": both.one.shape[1],
                "margin": margin,
            }
        )
    return (
        judged(pd.DataFrame(rows), minimize=minimize, margin=margin, level=level) if rows else pd.DataFrame()
    )


def judged(table: pd.DataFrame, *, minimize: bool, margin: float, level: float) -> pd.DataFrame:
    """The table with its verdicts, one on each row, and with Holm's ``p`` over all rows.

    Args:
        table: ``difference``, ``low``, ``high``, ``p``, ``more_seeds`` and ``more_studies``.
        minimize: whether a low value is good.
        margin: differences below it do not matter.
        level: of all verdicts together.
    """
    p = holm(table["p"].to_numpy())
    differs = p <= 1 - level
    lower = (table["difference"] < 0) == minimize
    within = (table["low"] > -margin) & (table["high"] < margin)
    verdict = np.select(
        [within, differs & lower, differs & ~lower], ["equivalent", "better", "worse"], "undecided"
    )
    more = {
        name: table[name].mask(verdict != "undecided").astype("Int64")
        for name in ("more_seeds", "more_studies")
    }
    return table.assign(p=p, verdict=verdict, **more)


def holm(p: np.ndarray) -> np.ndarray:
    r"""Holm's adjusted p-values: :math:`\max_{j \le i} \min(1, (m - j + 1) p_{(j)})`."""
    order = np.argsort(p, kind="stable")
    adjusted = np.empty(len(p))
    adjusted[order] = np.maximum.accumulate(np.minimum(1, np.arange(len(p), 0, -1) * p[order]))
    return adjusted


def needed(found: Estimate, margin: float, level: float, shape: tuple[int, ...]) -> dict[str, float]:
    r"""About how many more seeds, or studies, decide a pair with the probability ``POWER``.

    If the difference is what was found, it takes an error of :math:`h / (t_{(1+\text{level})/2} +
    z_\text{POWER})` to tell it from 0, with :math:`h = |\bar D|`, or to tell that it lies within the margin,
    with :math:`h = \text{margin} - |\bar D|`; the easier of the two is planned for. More seeds shrink all of
    the squared error but its part ``of_studies``; where that alone is too large, more studies are needed,
    with as many seeds each.

    Args:
        found: the difference.
        margin: below which it does not matter.
        level: of the pair's interval.
        shape: studies and seeds that there are.

    Returns:
        ``more_seeds`` and ``more_studies``, of which one is NaN.
    """
    studies, seeds = shape
    goal = (max(abs(found.mean), margin - abs(found.mean)) / _reach(found, level)) ** 2
    of_seeds = max(found.error**2 - found.of_studies, 0.0)
    if goal > found.of_studies:
        more = of_seeds * seeds / (goal - found.of_studies) - seeds
        return {"more_seeds": np.ceil(max(more, 1.0)), "more_studies": np.nan}
    if goal == 0:  # no difference was found, and none is small enough
        return {"more_seeds": np.nan, "more_studies": np.nan}
    return {
        "more_seeds": np.nan,
        "more_studies": np.ceil(max(studies * found.error**2 / goal - studies, 1.0)),
    }


def _reach(found: Estimate, level: float) -> float:
    """How many standard errors a difference must be to be found with the probability ``POWER``."""
    return float(stats.t.isf((1 - level) / 2, found.freedom) + stats.norm.ppf(POWER))
