"""The scale on which values are averaged and compared: losses by their logarithm, accuracies as they are.

A loss spans orders of magnitude, so one bad training in a hundred can decide its arithmetic mean. With the
logarithm, a factor counts the same at every level, the mean is geometric, and a difference is a ratio.
"""

import math
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from induced_metric.analysis.rendering import fixed


class Scale(NamedTuple):
    """The scale for the values of one objective.

    Attributes:
        logarithmic: whether means and differences are those of the logarithm.
    """

    logarithmic: bool

    def to(self, values: ArrayLike) -> np.ndarray:
        """Values on this scale."""
        return np.log(values) if self.logarithmic else np.asarray(values, dtype=float)

    def back(self, values: ArrayLike) -> np.ndarray:
        """The inverse of ``to``."""
        return np.exp(values) if self.logarithmic else np.asarray(values, dtype=float)

    def mean(self, values: ArrayLike) -> float:
        """The mean of values on this scale, in their own unit; NaN where there are none."""
        array = np.asarray(values, dtype=float)
        return float(self.back(self.to(array).mean())) if array.size else float("nan")

    @property
    def mean_words(self) -> str:
        """What ``mean`` is called."""
        return "geometric mean" if self.logarithmic else "mean"

    @property
    def difference_words(self) -> str:
        """What a difference on this scale is called, as ``shown`` shows it."""
        return "ratio" if self.logarithmic else "difference"

    def shown(self, differences: "pd.Series[float]") -> "pd.Series[str]":
        """Differences on this scale as text: ratios, or differences with their sign."""
        return fixed(differences.map(math.exp), 3) if self.logarithmic else fixed(differences, 4, signed=True)


def scale_of(values: ArrayLike, *, minimize: bool) -> Scale:
    """The scale for all values that are compared: logarithmic if they are minimised and all positive."""
    array = np.asarray(values, dtype=float)
    return Scale(minimize and bool(array.size) and bool(np.nanmin(array) > 0))
