r"""Simultaneous confidence bands for a distribution function, from independent draws of it.

With :math:`n` draws in order, :math:`y_{(1)} \le \dots \le y_{(n)}`, a band is two rows of numbers: between
:math:`y_{(i)}` and :math:`y_{(i+1)}` the distribution function lies between ``lower[i]`` and ``upper[i]``.
This holds for all :math:`i` from 0 to :math:`n` at once with probability ``level``, whatever the
distribution is; with a higher probability where it has atoms.
"""

import functools
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.special import gammaln
from scipy.stats import beta


class Band(NamedTuple):
    """The bounds of a distribution function between the draws; shape=(n + 1,) each."""

    lower: np.ndarray
    upper: np.ndarray


def band(number: int, level: float) -> Band:
    r"""The band from ``number`` draws, which is narrow at the ends, where the best of many draws lies.

    The :math:`i`-th of :math:`n` uniform
    draws is distributed as :math:`\mathrm{Beta}(i, n+1-i)`; the central intervals of these distributions are
    widened until all hold at once with probability ``level`` (Learned-Miller and DeStefano, IEEE Transactions
    on Information Theory 54, 2008; for tuning curves Lourie, Cho and He, arXiv:2311.09480). The amount of
    widening is computed, not simulated (``crossing``).

    Args:
        number: the number of draws, n.
        level: the probability with which the whole band holds, between 0 and 1.

    Raises:
        ValueError: if there is no draw, or the level is not between 0 and 1.
    """
    if number < 1 or not 0 < level < 1:
        raise ValueError(f"a band needs draws and a level between 0 and 1, got {number} and {level}")
    low, high = _central(number, _pointwise(number, level))
    return Band(np.concatenate([[0.0], low]), np.concatenate([high, [1.0]]))


@functools.cache
def _pointwise(number: int, level: float) -> float:
    """The probability to leave out of each central interval so that all hold at once with ``level``."""

    def excess(log_outside: float) -> float:
        return crossing(*_central(number, float(np.exp(log_outside)))) - level

    # The bracket of the root: Bonferroni leaves out too little, a single draw's interval too much.
    bracket = np.log([(1 - level) / number / 2, min(2 * (1 - level), 1 - 1e-9)])
    return float(np.exp(brentq(excess, *bracket, xtol=1e-10)))


def _central(number: int, outside: float) -> tuple[np.ndarray, np.ndarray]:
    rank = np.arange(1, number + 1)
    order_statistic = beta(rank, number + 1 - rank)
    return order_statistic.ppf(outside / 2), order_statistic.isf(outside / 2)


def crossing(low: np.ndarray, high: np.ndarray) -> float:
    r"""Probability that all of :math:`n` ordered uniform draws lie within their bounds.

    .. math:: P(l_i \le U_{(i)} \le u_i \text{ for all } i)

    The number of draws below :math:`t` is a Poisson process of rate :math:`n`, conditioned on ending at
    :math:`n`. Its distribution is propagated from bound to bound: the count must be at most :math:`i-1` at
    :math:`l_i` and at least :math:`i` at :math:`u_i` (Moscovich and Nadler, Statistics and Probability
    Letters 123, 2017).

    Args:
        low: the lower bounds of the ordered draws, ascending, shape=(n,).
        high: the upper bounds of the ordered draws, ascending, shape=(n,).
    """
    number = len(low)
    log_factorial = gammaln(np.arange(number + 2) + 1.0)
    times = np.concatenate([low, high])
    is_high = np.repeat([False, True], number)
    lowest, mass, now, allowed = 0, np.ones(1), 0.0, 0  # mass: the probabilities of lowest, lowest + 1, ...
    for index in np.lexsort((is_high, times)):
        time = times[index]
        # Before l_i the count is at most i - 1, so larger counts need not be propagated.
        mass = _advanced(mass, number * (time - now), allowed - lowest + 1, log_factorial)
        now = time
        if is_high[index]:
            least_count = index - number + 1
            mass, lowest = mass[max(least_count - lowest, 0) :], max(lowest, least_count)
        else:
            allowed += 1
        if not mass.size:
            return 0.0
    final_mass = _advanced(mass, number * (1 - now), number - lowest + 1, log_factorial)[number - lowest]
    return float(final_mass / np.exp(number * np.log(number) - number - log_factorial[number]))


def _advanced(mass: np.ndarray, mean: float, size: int, log_factorial: np.ndarray) -> np.ndarray:
    """The distribution of a count after adding a Poisson number of mean ``mean``, cut to ``size`` entries."""
    if mean <= 0:
        return mass[:size]
    steps = np.arange(size)
    poisson = np.exp(steps * np.log(mean) - mean - log_factorial[:size])
    return np.asarray(np.convolve(mass, poisson)[:size])
