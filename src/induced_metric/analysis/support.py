"""What a trial is worth at the best and at the worst, so that one that diverged has a value.

A trial that failed or diverged is worth ``Support.worst``, and so is any that is worse than that: to diverge
gains nothing, and no expectation is infinite.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from induced_metric.analysis import runs


class Support(NamedTuple):
    """The ends between which all values of an objective are counted."""

    best: float
    worst: float


def support(trials: pd.DataFrame, worst: float | None = None) -> Support:
    """The best value that there can be, and the one that a trial counts as which learnt nothing.

    Args:
        trials: of all optimizers that are compared, which share it.
        worst: named beforehand; by default 0 for an accuracy, else the median over the optimizers of the
            worst finite value of each, which is near that of an untrained model.

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
        return Support(0.0 if positive else -np.inf, float(values.max().median() if worst is None else worst))
    best = 1.0 if share else np.inf
    if worst is None:
        worst = 0.0 if share else float(values.min().median())
    return Support(best, worst)


def counted(trials: pd.DataFrame, bounds: Support) -> pd.Series:
    """The value of each trial within the support; the worst for one that is not eligible."""
    value = trials["value"].where(runs.eligible(trials), bounds.worst)
    return value.clip(min(bounds), max(bounds))
