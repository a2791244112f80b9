r"""The error of a mean over studies and seeds: what the luck of the search adds to that of the seed.

A search is repeated in S independent studies, and the winner of each is trained from the same N fresh seeds.
What optimizer A reaches from seed j with what its study i found is

.. math:: A_{ij} = \mu_A + a_i + b_j + e_{ij},

the effect :math:`a_i` of what study i found, :math:`b_j` of seed j, and what the two do together. The cells
of a study share :math:`a_i`: to take S·N of them as that many independent ones understates the error, the
more so the more seeds there are.

Two optimizers share the seeds, so they are compared seed by seed. Their studies are searches of their own,
which share nothing but a number: every study of the one is compared with every study of the other, and what
is said does not depend on which search bears which number.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

FEW = 5
"""Studies from which on the degrees of freedom are Satterthwaite's: of fewer the spread is too uncertain."""


class Estimate(NamedTuple):
    """A mean with its error.

    Attributes:
        mean: over all cells.
        error: standard error of the mean.
        freedom: degrees of freedom of the error.
        of_studies: the part of the squared error that only more studies make smaller.
    """

    mean: float
    error: float
    freedom: float
    of_studies: float

    def interval(self, level: float) -> tuple[float, float]:
        r"""Student's interval, :math:`\bar D \pm t_{(1 + \text{level})/2}\, s`."""
        reach = float(stats.t.isf((1 - level) / 2, self.freedom)) * self.error
        return self.mean - reach, self.mean + reach

    def p_value(self) -> float:
        """Of a mean of 0, two-sided."""
        if self.error == 0:
            return float(self.mean == 0)
        return float(2 * stats.t.sf(abs(self.mean) / self.error, self.freedom))


def estimate(cells: np.ndarray) -> Estimate:
    r"""The mean of the cells of one optimizer.

    Its squared error is that of the studies and that of the seeds, each by the variance of its means, less
    what is left of the cells (R), which both of them hold:

    .. math:: s^2 = V_a + V_b - \min(V_a, V_b, V_e), \quad
        V_a = \frac{\operatorname{var}_i \bar A_{i\cdot}}{S}, \quad
        V_b = \frac{\operatorname{var}_j \bar A_{\cdot j}}{N}, \quad
        V_e = \frac{\sum R_{ij}^2}{S N (S - 1)(N - 1)}.

    To this tends the variance under a hierarchical bootstrap, of studies, then seeds, whose effects have the
    variances that the analysis of variance estimates (Carpenter, Goldstein and Rasbash, Applied Statistics
    52, 2003; Davison and Hinkley, Bootstrap Methods, 1997, section 3.8); drawing the cells of drawn studies
    as they are would count what is left of them up to three times (Owen, Annals of Applied Statistics 1,
    2007). The degrees of freedom are Satterthwaite's, or S - 1 where the studies are fewer than ``FEW``.

    Args:
        cells: shape=(studies, seeds); with a single study the error is that of the seeds alone.

    Raises:
        ValueError: if there are fewer than two seeds.
    """
    return _estimate([cells], cells.mean(axis=0))


def contrast(pairs: np.ndarray) -> Estimate:
    r"""The mean of what two optimizers are to each other, such as their difference, over all their studies.

    As ``estimate``, with a part of the studies of either, as in Welch's test:
    :math:`s^2 = V_a + V_{a'} + V_b - \min(V_a + V_{a'}, V_b, V_e + V_{e'})`. Of differences, V_b is that of
    the differences on the same seed, so what a seed does to both is in none of them.

    Args:
        pairs: of every study of the one and every study of the other, by seed; shape=(studies of the one,
            studies of the other, seeds).

    Raises:
        ValueError: if there are fewer than two seeds.
    """
    return _estimate([pairs.mean(axis=1), pairs.mean(axis=0)], pairs.mean(axis=(0, 1)))


def _estimate(tables: Sequence[np.ndarray], by_seed: np.ndarray) -> Estimate:
    """From a table for each optimizer, shape=(studies, seeds), and the mean of each seed."""
    seeds = len(by_seed)
    if seeds < 2:
        raise ValueError(f"an error needs at least 2 seeds, got {seeds}")
    of_seeds = float(by_seed.var(ddof=1)) / seeds
    lucky = [table for table in tables if len(table) > 1]
    of_each = [float(table.mean(axis=1).var(ddof=1)) / len(table) for table in lucky]
    shared = min(sum(of_each), of_seeds, sum(map(_of_rest, lucky)))
    squared = sum(of_each) + of_seeds - shared
    if lucky and min(map(len, lucky)) < FEW:
        freedom = min(map(len, lucky)) - 1.0
    elif squared == 0:
        freedom = seeds - 1.0
    else:
        squares = [part**2 / (len(table) - 1) for part, table in zip(of_each, lucky, strict=True)]
        freedom = squared**2 / (sum(squares) + of_seeds**2 / (seeds - 1))
    return Estimate(float(by_seed.mean()), float(np.sqrt(squared)), freedom, sum(of_each) - shared)


def _of_rest(table: np.ndarray) -> float:
    """The squared error that a mean has by what a study and a seed do together."""
    studies, seeds = table.shape
    rest = table - table.mean(axis=1, keepdims=True) - table.mean(axis=0) + table.mean()
    return float((rest**2).sum()) / (studies * seeds * (studies - 1) * (seeds - 1))
