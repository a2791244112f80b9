"""The best and the worst value that a trial can count as, so that a diverged trial has a value too.

A trial that failed or diverged counts as ``Support.worst``, and so does any trial with a worse value.
Diverging is therefore never an advantage, and no expectation is infinite.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from induced_metric.analysis import runs


class Support(NamedTuple):
    """The ends of the range within which all values of an objective are counted."""

    best: float
    worst: float


def rule(objective: str) -> str:
    """How ``support`` finds the worst value of an objective, as the end of a sentence."""
    if objective.endswith("perplexity"):
        return "the least over the optimisers of their worst finite values"
    if objective.endswith("accuracy"):
        return "the worst that an accuracy can be"
    return "the median over the optimisers of their worst finite values"


def support(trials: pd.DataFrame, worst: float | None = None) -> Support:
    """The best possible value, and the value that a trial which learnt nothing counts as.

    Args:
        trials: the trials of all optimisers that are compared; they share one support.
        worst: the worst value, if stated beforehand; by default 0 for an accuracy, else the median over the
            optimisers of each one's worst finite value: about that of an untrained model, or far beyond it
            where large learning rates are searched. Of a perplexity, the exponential of a loss,
            it is the least of these: most of them are the largest float there.

    Raises:
        ValueError: if no trial has a finite value.
    """
    objective, direction = trials["objective"].iloc[0], trials["direction"].iloc[0]
    finished = trials[runs.eligible(trials) & np.isfinite(trials["value"])]
    if finished.empty:
        raise ValueError("there is no complete trial")
    share = objective.endswith("accuracy")
    values = finished.groupby("optimizer")["value"]
    if direction == "minimize":
        positive = finished["value"].min() >= 0
        if worst is None:
            of_each = values.max()
            worst = float(of_each.min() if objective.endswith("perplexity") else of_each.median())
        return Support(0.0 if positive else -np.inf, worst)
    best = 1.0 if share else np.inf
    if worst is None:
        worst = 0.0 if share else float(values.min().median())
    return Support(best, worst)


def counted(trials: pd.DataFrame, bounds: Support) -> pd.Series:
    """The value of each trial, clipped to the support; the worst value for a trial that is not eligible."""
    value = trials["value"].where(runs.eligible(trials), bounds.worst)
    return value.clip(min(bounds), max(bounds))
