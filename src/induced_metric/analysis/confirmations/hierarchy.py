r"""The standard error of a mean over studies and seeds: what the luck of the search adds to that of the seed.

A search is repeated in S independent studies, and the winner of each is trained from the same N fresh seeds.
The value that optimiser A reaches from seed j with the setting that its study i found is

.. math:: A_{ij} = \mu_A + a_i + b_j + e_{ij},

with the effect :math:`a_i` of the setting that study i found, the effect :math:`b_j` of seed j, and their
interaction :math:`e_{ij}`. All cells of a study share :math:`a_i`, so treating the S·N cells as independent
understates the error, the more so the more seeds there are.

Two optimisers share the seeds, so they are compared seed by seed. Their studies are separate searches, which
have only a number in common. So every study of the one is compared with every study of the other, and the
result does not depend on how the searches are numbered.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

FEW = 5
"""The fewest studies for Satterthwaite's degrees of freedom: with fewer, the spread is too uncertain."""


class Estimate(NamedTuple):
    """A mean with its standard error.

    Attributes:
        mean: the mean over all cells.
        error: the standard error of the mean.
        freedom: the degrees of freedom of the error.
        of_studies: the part of the squared error that only more studies can reduce.
        of_seeds: the part that only more seeds can reduce.
    """

    mean: float
    error: float
    freedom: float
    of_studies: float
    of_seeds: float

    def interval(self, level: float) -> tuple[float, float]:
        r"""Student's interval, :math:`\bar D \pm t_{(1 + \text{level})/2}\, s`."""
        half_width = float(stats.t.isf((1 - level) / 2, self.freedom)) * self.error
        return self.mean - half_width, self.mean + half_width

    def p_value(self) -> float:
        """Two-sided p-value of the hypothesis that the mean is 0."""
        if self.error == 0:
            return float(self.mean == 0)
        return float(2 * stats.t.sf(abs(self.mean) / self.error, self.freedom))


def estimate(cells: np.ndarray) -> Estimate:
    r"""The mean of the cells of one optimiser.

    Its squared error is the sum of that of the studies and that of the seeds, each from the variance of its
    means, minus the part from the residuals R of the cells, which both of them contain:

    .. math:: s^2 = V_a + V_b - \min(V_a, V_b, V_e), \quad
        V_a = \frac{\operatorname{var}_i \bar A_{i\cdot}}{S}, \quad
        V_b = \frac{\operatorname{var}_j \bar A_{\cdot j}}{N}, \quad
        V_e = \frac{\sum R_{ij}^2}{S N (S - 1)(N - 1)}.

    This is the limit of the variance under a hierarchical bootstrap that draws studies, then seeds, with
    effects whose variances are those the analysis of variance estimates (Carpenter, Goldstein and Rasbash,
    Applied Statistics 52, 2003; Davison and Hinkley, Bootstrap Methods, 1997, section 3.8). Resampling the
    cells themselves would count their residuals up to three times (Owen, Annals of Applied Statistics 1,
    2007). The degrees of freedom are Satterthwaite's, or S - 1 if there are fewer than ``FEW`` studies.

    Args:
        cells: shape=(studies, seeds); with a single study the error is that of the seeds alone.

    Raises:
        ValueError: if there are fewer than two seeds.
    """
    return _estimate([cells], cells.mean(axis=0))


def contrast(pairs: np.ndarray) -> Estimate:
    r"""The mean of a comparison of two optimisers, such as their difference, over all their studies.

    As in ``estimate``, but with a term for the studies of each optimiser, as in Welch's test:
    :math:`s^2 = V_a + V_{a'} + V_b - \min(V_a + V_{a'}, V_b, V_e + V_{e'})`. For differences, V_b is the
    variance of the differences on the same seed, so an effect of the seed on both optimisers cancels.

    Args:
        pairs: the comparison of every study of the one with every study of the other, by seed;
            shape=(studies of the one, studies of the other, seeds).

    Raises:
        ValueError: if there are fewer than two seeds.
    """
    return _estimate([pairs.mean(axis=1), pairs.mean(axis=0)], pairs.mean(axis=(0, 1)))


def _estimate(tables: Sequence[np.ndarray], by_seed: np.ndarray) -> Estimate:
    """The estimate from a table for each optimiser, shape=(studies, seeds), and the mean of each seed."""
    seeds = len(by_seed)
    if seeds < 2:
        raise ValueError(f"a standard error needs at least 2 seeds, got {seeds}")
    of_seeds = float(by_seed.var(ddof=1)) / seeds
    repeated = [table for table in tables if len(table) > 1]
    of_each = [float(table.mean(axis=1).var(ddof=1)) / len(table) for table in repeated]
    shared = min(sum(of_each), of_seeds, sum(map(_of_rest, repeated)))
    variance = sum(of_each) + of_seeds - shared
    if repeated and min(map(len, repeated)) < FEW:
        freedom = min(map(len, repeated)) - 1.0
    elif variance == 0:
        freedom = seeds - 1.0
    else:
        squares = [part**2 / (len(table) - 1) for part, table in zip(of_each, repeated, strict=True)]
        freedom = variance**2 / (sum(squares) + of_seeds**2 / (seeds - 1))
    return Estimate(
        mean=float(by_seed.mean()),
        error=float(np.sqrt(variance)),
        freedom=freedom,
        of_studies=sum(of_each) - shared,
        of_seeds=of_seeds - shared,
    )


def _of_rest(table: np.ndarray) -> float:
    """The part of a mean's squared error that is due to the interaction of study and seed."""
    studies, seeds = table.shape
    residuals = table - table.mean(axis=1, keepdims=True) - table.mean(axis=0) + table.mean()
    return float((residuals**2).sum()) / (studies * seeds * (studies - 1) * (seeds - 1))
