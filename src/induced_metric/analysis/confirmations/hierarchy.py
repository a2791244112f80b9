r"""The error of a mean over studies and seeds: what the luck of the search adds to that of the seed.

A search is repeated in S independent studies, and the winner of each is trained from the same N fresh seeds.
A number of each of these trainings, such as the difference of two optimizers, is

.. math:: D_{ij} = \mu + a_i + b_j + e_{ij},

the effect :math:`a_i` of what study i found, :math:`b_j` of seed j, and what the two do together. The cells
of a study share :math:`a_i`: to take S·N of them as that many independent ones understates the error, the
more so the more seeds there are.
"""

import functools
from typing import NamedTuple

import numpy as np
from scipy import stats

RESAMPLES = 2000
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


def estimate(cells: np.ndarray, *, resamples: int = RESAMPLES, seed: int = 0) -> Estimate:
    r"""The mean of the cells, and its standard error by a hierarchical bootstrap.

    A resample draws studies, seeds, and what is left of the cells, each with replacement; their effects are
    scaled so that each level has the variance that the analysis of variance estimates (reflated residuals:
    Carpenter, Goldstein and Rasbash, Applied Statistics 52, 2003; Davison and Hinkley, Bootstrap Methods,
    1997, section 3.8). Drawing the cells of drawn studies as they are would count what is left of a cell up
    to three times (Owen, Annals of Applied Statistics 1, 2007). With the mean squares M of studies, seeds and
    the rest, the variance of the resampled means tends to

    .. math:: (M_a + M_b - \min(M_a, M_b, M_e)) / (S N),

    with Satterthwaite's degrees of freedom, or S - 1 where the studies are fewer than ``FEW``.

    Args:
        cells: shape=(studies, seeds); with a single study the error is that of the seeds alone.
        resamples: how many the bootstrap draws.
        seed: of the bootstrap; the draws are the same for all cells of one shape.

    Raises:
        ValueError: if there are fewer than two seeds.
    """
    studies, seeds = cells.shape
    if seeds < 2:
        raise ValueError(f"an error needs at least 2 seeds, got {seeds}")
    size = studies * seeds
    mean = float(cells.mean())
    a, b = cells.mean(axis=1) - mean, cells.mean(axis=0) - mean
    rest = cells - mean - a[:, None] - b
    square_b = studies * (b @ b) / (seeds - 1)
    if studies == 1:
        square_a, shared, freedom = 0.0, 0.0, seeds - 1.0
    else:
        square_a = seeds * (a @ a) / (studies - 1)
        shared = min(square_a, square_b, float((rest**2).sum()) / ((studies - 1) * (seeds - 1)))
        freedom = studies - 1.0
        if studies >= FEW and square_a + square_b > 0:
            squares = square_a**2 / (studies - 1) + square_b**2 / (seeds - 1)
            freedom = (square_a + square_b - shared) ** 2 / squares
    drawn_studies, drawn_seeds, drawn_cells = _draws(studies, seeds, resamples, seed)
    of_studies = drawn_studies @ _scaled(a, (square_a - shared) / seeds)
    of_seeds = drawn_seeds @ _scaled(b, (square_b - shared) / studies)
    of_rest = drawn_cells @ _scaled(rest.ravel(), shared)
    error = float(np.std(of_studies + of_seeds + of_rest))
    return Estimate(mean, error, freedom, (square_a - shared) / size)


def _scaled(effects: np.ndarray, variance: float) -> np.ndarray:
    """Effects whose mean square is the variance."""
    power = float(np.mean(effects**2))
    return effects * np.sqrt(max(variance, 0.0) / power) if power > 0 else effects


@functools.lru_cache(maxsize=8)
def _draws(studies: int, seeds: int, resamples: int, seed: int) -> tuple[np.ndarray, ...]:
    """The share of each study, seed and cell in a resample; shape=(resamples, their number) each."""
    generator = np.random.default_rng(seed)
    numbers = (studies, seeds, studies * seeds)
    return tuple(generator.multinomial(n, np.full(n, 1 / n), resamples) / n for n in numbers)
