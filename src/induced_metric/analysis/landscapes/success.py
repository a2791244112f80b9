r"""Statistics of the fair study: success, iterations to tolerance, and what tuning gained.

*Expected iterations* are those that a restart strategy needs until it succeeds: all iterations spent,
failures included, divided by the number of successes (Hansen et al., COCO, 2021, call this expected running
time). This one number compares an optimiser that is fast but often fails with one that is slow but reliable.
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
    """One row per function, optimiser, tolerance and arm; each measure with its ``_low`` and ``_high``.

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
            # How often each start is drawn in each resample: the same for all, because the starts are, too.
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
        # Nothing converged, so there is only a lower bound, from the upper end of the success probability.
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
        # Without interpolation, because nothing lies between a number and infinity.
        "expected_low": float(ratios[round(tail * last)]),
        "expected_high": float(ratios[round((1 - tail) * last)]),
    }


def standing(summary: pd.DataFrame) -> pd.DataFrame:
    """How the success of each optimiser on each function compares with that of the others.

    ``summary`` is of one arm and tolerance. ``alone``: the interval lies above those of all others;
    ``beaten``: it lies below at least one. A control such as ``sgd_log_metric, f + 1`` is not compared with
    the optimiser that it controls, and no optimiser is compared with a control.
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
    """Success against tuning budget: one row per function, optimiser, tolerance and budget.

    A budget of b stands for a random subset of b of the drawn settings; the best of them on the selection
    starts is judged on the curve starts. Once the settings are ranked on the selection starts, the
    probability of each to be the best of a subset is known (``statistics.best_of``), so no subset is drawn:
    ``success`` is the mean, ``low`` and ``high`` the 5th and 95th percentile over all subsets.
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
