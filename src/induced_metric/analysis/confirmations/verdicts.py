r"""Which optimiser is better once tuned: better, worse, equivalent or undecided, pair by pair.

The evidence is the confirmations: the winner of each study of an optimiser, trained again from fresh seeds,
which are the same for all. Two optimisers are compared by the differences between every winner of the one and
every winner of the other on the same seed (``hierarchy.contrast``).

* *equivalent*: the interval of the difference lies within the margin, which the protocol states or, where it
  does not, follows from the spread over seeds (``default_margin``);
* *better*, *worse*: otherwise, if the hypothesis of a difference of 0 is rejected;
* *undecided*: neither.

Over the m pairs of a table, the probability of any false *better* or *worse* is at most 1 - level by Holm's
rule (Scandinavian Journal of Statistics 6, 1979): the i-th smallest p-value is multiplied by m - i + 1. The
intervals are simultaneous by Bonferroni, at level 1 - (1 - level)/m each, so the same holds for any false
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
MOST = 10_000
"""The most further seeds or studies that ``needed`` looks at."""
MARGIN = 0.2
"""The default margin, in standard deviations over seeds: Cohen's small effect."""


class Cells(NamedTuple):
    """The values of two optimisers on the same studies and seeds; shape=(studies, seeds) each."""

    one: np.ndarray
    other: np.ndarray


def grids(confirmed: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The values of each optimiser, one row per study and one column per seed.

    Args:
        confirmed: ``optimizer``, ``study``, ``seed`` and ``value``, one row per training.

    Raises:
        ValueError: if an optimiser was trained twice from a seed of a study.
    """
    duplicated = confirmed.duplicated(["optimizer", "study", "seed"])
    if duplicated.any():
        name = confirmed.loc[duplicated, "optimizer"].iloc[0]
        raise ValueError(f"{name} was trained more than once from the same seed of a study")
    wide = confirmed.pivot_table(index=["optimizer", "study"], columns="seed", values="value", sort=False)
    return {str(name): grid.droplevel("optimizer") for name, grid in wide.groupby("optimizer", sort=False)}


def cells(table: Mapping[str, pd.DataFrame], one: str, other: str) -> Cells:
    """The values of two optimisers on the studies that both have, and the seeds that all of these have.

    Raises:
        ValueError: if they share no study, or fewer than two seeds.
    """
    studies = table[one].index.intersection(table[other].index)
    both = np.stack([table[name].loc[studies].to_numpy() for name in (one, other)])
    both = both[:, :, ~np.isnan(both).any(axis=(0, 1))]
    if not len(studies) or both.shape[2] < 2:
        raise ValueError(
            f"{one} and {other} share {both.shape[2]} seeds of {len(studies)} studies: confirmations are "
            "paired by seed, so every winner must be trained from the same seeds, at least 2"
        )
    return Cells(*both)


def default_margin(confirmed: pd.DataFrame) -> float:
    """``MARGIN`` times the median over optimisers of their mean standard deviation over a study's seeds."""
    spread = confirmed.groupby(["optimizer", "study"])["value"].std()
    return float(MARGIN * spread.groupby("optimizer").mean().median())


def baseline(names: Iterable[str]) -> str:
    """The optimiser that all others are compared with: ``BASELINE``, or the first where that is missing."""
    ordered = style.ordered(names)
    return BASELINE if BASELINE in ordered else ordered[0]


def families(names: Iterable[str]) -> list[list[tuple[str, str]]]:
    """The pairs that are judged, in three families, each corrected for its own number of pairs.

    1. All pairs of the paper's optimisers, or of all optimisers where none is the paper's.
    2. Each other optimiser against the ``baseline``, so that one more candidate costs the others little.
    3. Each other optimiser against those that it extends or changes, by its name: ``lion_metric`` against
       ``lion``, and ``sgd_log_rms`` against both ``sgd`` and ``sgd_rms``, of which it is the log form.

    Args:
        names: the optimisers.
    """
    ordered = style.ordered(names)
    core = [name for name in ordered if style.is_published(name)] or ordered
    against = baseline(ordered)
    others = [name for name in ordered if name not in core]
    extended = [
        (other, name)
        for other in others
        for name in ordered
        if name != against and (other.startswith(f"{name}_") or other.replace("_log_", "_") == name != other)
    ]
    return [list(combinations(core, 2)), [(other, against) for other in others], extended]


def compare(
    confirmed: pd.DataFrame,
    *,
    minimize: bool,
    pairs: Sequence[tuple[str, str]] | None = None,
    margin: float | None = None,
    level: float = CONFIDENCE,
) -> pd.DataFrame:
    r"""The verdict on each pair of optimisers, in the published order.

    Args:
        confirmed: ``optimizer``, ``study``, ``seed`` and ``value``, one row per training, all finite.
        minimize: whether a low value is good.
        pairs: the pairs to judge; all by default. Fewer pairs need less correction.
        margin: differences below it do not matter; ``default_margin`` if None.
        level: the confidence level of all verdicts of a kind, different or equivalent, together.

    Returns:
        ``optimizer`` and ``other``; ``difference``, the mean of the first minus that of the other, with its
        simultaneous interval from ``low`` to ``high`` and Holm's ``p``; ``superiority``, the share of pairs
        of their studies, and of seeds, on which the first is better (ties count half), with its own interval
        from ``superiority_low`` to ``superiority_high``, missing where nothing varies; ``verdict``, on the
        first; ``more_seeds`` and ``more_studies``, about how many more would decide (``needed``), missing
        where decided;
        ``detectable``, the difference that the present studies and seeds would find with probability
        ``POWER``; ``studies``, ``seeds``, ``margin``.

    Raises:
        ValueError: if the margin is negative, or two optimisers share no seeds.
    """
    table = grids(confirmed)
    pairs = list(combinations(style.ordered(table), 2) if pairs is None else pairs)
    margin = default_margin(confirmed) if margin is None else margin
    if not margin >= 0:
        raise ValueError(f"the margin must be >= 0, got {margin}")
    pair_level = 1 - (1 - level) / max(len(pairs), 1)
    rows = []
    for one, other in pairs:
        both = cells(table, one, other)
        differences = both.one[:, None] - both.other[None]
        contrast = hierarchy.contrast(differences)
        gains = -differences if minimize else differences
        superiority = hierarchy.contrast((1 + np.sign(gains)) / 2)
        low, high = contrast.interval(pair_level)
        # One that always wins has no interval of how often, since that would be a certainty.
        varies = superiority.error > 0
        share_low, share_high = np.clip(superiority.interval(level), 0, 1) if varies else (np.nan, np.nan)
        rows.append(
            {
                "optimizer": one,
                "other": other,
                "difference": contrast.mean,
                "low": low,
                "high": high,
                "p": contrast.p_value(),
                "superiority": superiority.mean,
                "superiority_low": share_low,
                "superiority_high": share_high,
                "detectable": contrast.error * _reach(contrast.freedom, pair_level, POWER),
                **needed(contrast, margin, pair_level, both.one.shape),
                "studies": both.one.shape[0],
                "seeds": both.one.shape[1],
                "margin": margin,
            }
        )
    return (
        judged(pd.DataFrame(rows), minimize=minimize, margin=margin, level=level) if rows else pd.DataFrame()
    )


def judged(table: pd.DataFrame, *, minimize: bool, margin: float, level: float) -> pd.DataFrame:
    """The table with a verdict on each row, and with ``p`` adjusted by Holm's rule over all rows.

    Args:
        table: ``difference``, ``low``, ``high``, ``p``, ``more_seeds`` and ``more_studies``.
        minimize: whether a low value is good.
        margin: differences below it do not matter.
        level: the confidence level of all verdicts of a kind, different or equivalent, together.
    """
    p = holm(table["p"].to_numpy())
    differs = p <= 1 - level
    lower = (table["difference"] < 0) == minimize
    within = (table["low"] >= -margin) & (table["high"] <= margin)
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
    r"""About how many more seeds, or studies, would decide a pair with probability ``POWER``.

    If the true difference is the one found, deciding takes an error of
    :math:`h / (t_{(1+\text{level})/2} + z)`: to distinguish it from 0, :math:`h = |\bar D|` and z is that of
    ``POWER``; to show that it lies within the margin, :math:`h = \text{margin} - |\bar D|` and z is that of
    (1 + ``POWER``)/2, since either end may miss. The plan is for the easier of the two. More seeds shrink all
    of the squared error except ``of_studies``. Where that part alone is too large, more studies are needed;
    from the same seeds, they shrink all except ``of_seeds``. Where that is too large, too, both must grow,
    here by the same factor. The degrees of freedom of t grow with the number of studies, or with that of
    seeds where there is one study.

    Args:
        found: the difference.
        margin: differences below it do not matter.
        level: the confidence level of the pair's interval.
        shape: the present numbers of studies and seeds.

    Returns:
        ``more_seeds`` and ``more_studies``, NaN where none are needed; both are if ``MOST`` are too few.
    """
    studies, seeds = shape
    rest = max(found.error**2 - found.of_studies - found.of_seeds, 0.0)
    more = np.arange(1.0, MOST + 1)
    none = np.zeros_like(more)
    plans = ((none, more), (more, none), (more, np.ceil(more * seeds / studies)))
    for more_studies, more_seeds in plans:
        fewer_studies, fewer_seeds = studies / (studies + more_studies), seeds / (seeds + more_seeds)
        variance = (
            found.of_studies * fewer_studies
            + found.of_seeds * fewer_seeds
            + rest * fewer_studies * fewer_seeds
        )
        present, added = (seeds, more_seeds) if studies == 1 else (studies, more_studies)
        freedom = found.freedom * (present + added - 1) / max(present - 1, 1)
        decided = np.zeros(len(more), bool)
        for size, power in ((abs(found.mean), POWER), (margin - abs(found.mean), (1 + POWER) / 2)):
            decided |= np.sqrt(variance) * _reach(freedom, level, power) < size
        if decided.any():
            first = decided.argmax()
            plan = {"more_seeds": more_seeds[first], "more_studies": more_studies[first]}
            return {name: float(number) if number else np.nan for name, number in plan.items()}
    return {"more_seeds": np.nan, "more_studies": np.nan}


def _reach(freedom: np.ndarray | float, level: float, power: float) -> np.ndarray:
    """How many standard errors a difference must be for it to be found with a probability of ``power``."""
    return np.asarray(stats.t.isf((1 - level) / 2, freedom) + stats.norm.ppf(power))
