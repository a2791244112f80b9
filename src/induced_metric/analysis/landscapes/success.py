r"""Statistics of the fair study: success, iterations to tolerance, and what tuning bought.

*Expected iterations* are those a restart strategy needs until it succeeds: all iterations spent, failures
included, divided by the number of successes (Hansen et al., COCO, 2021, call it expected running time). It is
the one number in which an optimizer that is fast but often fails can be compared with a slow, sure one.
"""

import numpy as np
import pandas as pd

from induced_metric.analysis.statistics import CONFIDENCE, best_of, median_interval, share_interval

KEY = ["function", "optimizer", "tolerance", "arm"]
RESAMPLES = 999


def label(frame: pd.DataFrame) -> pd.Series:
    """``sgd_log_metric``, or ``sgd_log_metric, f + 1`` for a run on the function raised by 1."""
    raised = frame["optimizer"] + ", f + " + frame["offset"].map("{:g}".format)
    return frame["optimizer"].where(frame["offset"] == 0, raised)


def summary(runs: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """One row a function, optimizer, tolerance and arm, each measure with ``_low`` and ``_high``.

    ``success`` is the share of starts that converged (Wilson's interval), ``iterations`` the median over
    those that did (interval of order statistics), ``expected`` the expected iterations to success
    (percentile bootstrap over starts).
    """
    runs = runs.assign(optimizer=label(runs))
    generator = np.random.default_rng(seed)
    weights: dict[int, np.ndarray] = {}
    rows = []
    for key, group in runs.groupby(KEY, sort=False):
        converged, iterations = group["converged"].to_numpy(), group["iterations"].to_numpy()
        starts = len(group)
        if starts not in weights:
            # How often each start is drawn in each resample; the same for all, since the starts are.
            weights[starts] = generator.multinomial(starts, np.full(starts, 1 / starts), RESAMPLES)
        rows.append(
            dict(zip(KEY, key, strict=True))
            | _success(int(converged.sum()), starts)
            | _median(iterations[converged])
            | _expected(converged, iterations, weights[starts])
        )
    return pd.DataFrame(rows)


def _success(converged: int, starts: int) -> dict[str, float]:
    low, high = share_interval(converged, starts)
    return {
        "starts": starts,
        "converged": converged,
        "success": converged / starts,
        "success_low": low,
        "success_high": high,
    }


def _median(iterations: np.ndarray) -> dict[str, float]:
    if not len(iterations):
        return dict.fromkeys(["iterations", "iterations_low", "iterations_high"], float("nan"))
    low, high = median_interval(iterations)
    return {"iterations": float(np.median(iterations)), "iterations_low": low, "iterations_high": high}


def _expected(converged: np.ndarray, iterations: np.ndarray, weights: np.ndarray) -> dict[str, float]:
    spent, successes = int(iterations.sum()), int(converged.sum())
    if not successes:
        # Nothing converged: only a lower bound, from the most that the success probability can be.
        _, most = share_interval(0, len(converged))
        return {
            "expected": float("inf"),
            "expected_low": spent / (most * len(converged)),
            "expected_high": float("inf"),
        }
    resampled = weights @ converged
    with np.errstate(divide="ignore"):
        ratios = np.sort((weights @ iterations) / resampled)
    tail = (1 - CONFIDENCE) / 2
    last = len(ratios) - 1
    return {
        "expected": spent / successes,
        # Without interpolation: between a number and infinity there is none.
        "expected_low": float(ratios[round(tail * last)]),
        "expected_high": float(ratios[round((1 - tail) * last)]),
    }


def standing(summary: pd.DataFrame) -> pd.DataFrame:
    """For each function and optimizer of one arm and tolerance, how its success compares with the others'.

    ``alone``: its interval lies above all others'; ``beaten``: below at least one. A control such as
    ``sgd_log_metric, f + 1`` and the optimizer that it controls are not compared with each other, and no
    other optimizer is compared with the control.
    """
    rows = []
    for row in summary.to_dict("records"):
        base = str(row["optimizer"]).split(",")[0]
        rivals = summary[(summary["function"] == row["function"]) & ~summary["optimizer"].str.contains(",")]
        rivals = rivals[rivals["optimizer"] != base]
        rows.append(
            {
                "function": row["function"],
                "optimizer": row["optimizer"],
                "alone": bool((rivals["success_high"] < row["success_low"]).all()),
                "beaten": bool((rivals["success_low"] > row["success_high"]).any()),
            }
        )
    return pd.DataFrame(rows)


def against_budget(settings: pd.DataFrame) -> pd.DataFrame:
    """Success against tuning budget: one row a function, optimizer, tolerance and budget.

    A budget of b is b of the drawn settings at random; their best on the selection starts is judged on
    the curve starts. With the settings ranked on the selection starts, the probability of each to be the
    best is known (``statistics.best_of``), so nothing needs to be sampled:
    ``success`` is the mean, ``low`` and ``high`` the 5th and 95th percentile over the subsets.
    """
    settings = settings.assign(optimizer=label(settings))
    rows = []
    for key, group in settings.groupby(["function", "optimizer", "tolerance"], sort=False):
        ranked = group.sort_values(
            ["selection_converged", "selection_iterations", "setting"], ascending=[False, True, True]
        )
        rates = (ranked["curve_converged"] / ranked["curve_starts"]).to_numpy()
        ascending = np.argsort(rates, kind="stable")
        for budget in _budgets(len(rates)):
            probability = best_of(len(rates), budget)
            distribution = np.cumsum(probability[ascending])
            at = np.searchsorted(distribution, (0.05, 0.95)).clip(max=len(rates) - 1)
            low, high = rates[ascending][at]
            rows.append(
                {
                    **dict(zip(("function", "optimizer", "tolerance"), key, strict=True)),
                    "budget": budget,
                    "success": float(probability @ rates),
                    "low": float(low),
                    "high": float(high),
                }
            )
    return pd.DataFrame(rows)


def _budgets(most: int) -> list[int]:
    powers = [2**exponent for exponent in range(most.bit_length()) if 2**exponent <= most]
    return powers if powers[-1] == most else [*powers, most]
