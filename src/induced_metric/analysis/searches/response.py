"""How the outcome of a trial depends on its learning rate, and the ends of the range that was searched."""

import json
import textwrap
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from induced_metric.analysis import draws
from induced_metric.analysis.momenta import NAMES, sums_gradients
from induced_metric.analysis.style import (
    COLUMN,
    PAGE,
    colour,
    label,
    line,
    marker,
    ordered,
    readable,
    span,
    style,
    words,
)
from induced_metric.analysis.support import support

_BINS = 12
_LABEL = 45  # characters that fit below a panel
_TRIALS = 8
"""The smallest number of trials in a bin for its best tenth to be drawn."""


def heavy_ball(trials: pd.DataFrame) -> set[str]:
    """The optimisers whose momentum sums gradients (``sums_gradients``); others average them."""
    studies = trials[["optimizer", "config"]].drop_duplicates().itertuples()
    return {
        str(row.optimizer)
        for row in studies
        if sums_gradients(json.loads(str(row.config)), str(row.optimizer))
    }


def effective(trials: pd.DataFrame) -> pd.Series:
    r"""The learning rate at which a constant gradient is followed: :math:`\eta/(1-\mu)` for ``heavy_ball``.

    Heavy-ball momentum :math:`m \leftarrow \mu m + g` grows to :math:`g/(1-\mu)`, an averaging one to g.
    """
    rate = trials["learning_rate"]
    heavy = trials["optimizer"].isin(heavy_ball(trials))
    momentum = pd.Series(np.nan, trials.index)
    for name in NAMES:
        momentum = momentum.fillna(trials[name]) if name in trials else momentum
    return rate.where(~heavy, rate / (1 - momentum.fillna(0)))


def bounds(trials: pd.DataFrame) -> dict[str, tuple[float, float]]:
    """The range of learning rates that was searched, by optimiser; those that recorded none are left out.

    A choice of a few rates is no range: it has no ends beyond which better ones may lie.
    """
    ranges = {}
    for row in trials[["optimizer", "config"]].drop_duplicates().itertuples():
        searched = json.loads(str(row.config)).get("search_space", {}).get("learning_rate")
        if searched and "low" in searched:
            ranges[str(row.optimizer)] = (float(searched["low"]), float(searched["high"]))
    return ranges


def best_tenth(rate: pd.Series, cost: pd.Series, edges: np.ndarray) -> pd.DataFrame:
    """The cost that bounds the best tenth of the trials, in each bin of the rate with enough trials.

    Args:
        rate: the rate of each trial.
        cost: the cost of each trial, lower is better; infinite where it diverged.
        edges: the edges of the bins.

    Returns:
        ``rate``, the geometric mean over the trials of a bin, and ``cost``, which a tenth of these trials do
            not exceed.
    """
    bins = np.digitize(rate, edges[1:-1])
    rows = []
    for place in np.unique(bins):
        costs = np.sort(cost.to_numpy()[bins == place])
        # The middle of the trials, not of the edges, which may lie outside the range searched.
        middle = np.exp(np.log(rate.to_numpy()[bins == place]).mean())
        value = costs[int(np.ceil(0.1 * len(costs))) - 1]
        if len(costs) >= _TRIALS and np.isfinite(value):
            rows.append((middle, value))
    return pd.DataFrame(rows, columns=["rate", "cost"])


def learning_rate(trials: pd.DataFrame) -> Figure | None:
    """The value of every trial against its learning rate, and against the effective one where that differs.

    Dots are the trials that did not diverge, with the worst of them on the edge of the panel. Lines are the
    best tenth of each bin, where diverged trials count as worst. Vertical lines are the ends of the range
    searched. An accuracy is drawn as its distance to 1, on logarithmic axes like a loss. None where no
    optimiser has a learning rate.

    Raises:
        ValueError: if there is no trial to show.
    """
    if "learning_rate" not in trials or trials["learning_rate"].isna().all():
        return None
    if trials.empty or trials["diverged"].all():
        raise ValueError("there is no complete trial to show")
    objective, direction = (str(trials[name].iloc[0]) for name in ("objective", "direction"))
    rates = {"learning rate η, as searched": trials["learning_rate"]}
    heavy = [label(name) for name in ordered(heavy_ball(trials))]
    if heavy:
        name = f"effective: η/(1-μ) for {', '.join(heavy)}, η for the others"
        rates[textwrap.fill(name, _LABEL, break_on_hyphens=False)] = effective(trials)
    cost, name_of_cost = _cost(trials, objective, direction)
    shown = cost[np.isfinite(cost)]
    low, high = shown.min(), _highest(trials, shown)
    searched = bounds(trials)
    with style():
        figure = Figure(figsize=(PAGE if len(rates) > 1 else COLUMN, 3.4), layout="constrained")
        for axes, (name, rate) in zip(
            figure.subplots(1, len(rates), sharey=True, squeeze=False).flat, rates.items(), strict=True
        ):
            _panel(axes, trials["optimizer"], rate, cost.where(~np.isfinite(cost), cost.clip(upper=high)))
            for bound in sorted({end for ends in searched.values() for end in ends}):
                axes.axvline(bound, color="0.4", lw=0.9, ls=":", zorder=1)
            axes.set_xlabel(name)
        left = figure.axes[0]
        if low > 0:
            left.set_yscale("log")
            left.set_ylim(low / 1.15, high * 1.03)
            readable(left.yaxis)
        left.set_ylabel(name_of_cost)
        handles = [
            Line2D(
                [],
                [],
                color=colour(name),
                marker=marker(name),
                ls=line(name),
                lw=1.4,
                ms=5,
                label=label(name),
            )
            for name in ordered(trials["optimizer"].unique())
        ]
        if searched:
            handles.append(Line2D([], [], color="0.4", ls=":", label="ends of the range of η"))
        figure.legend(handles=handles, loc="outside lower center", ncols=4 if len(rates) > 1 else 2)
        number = span(trials.groupby("optimizer").size())
        edge = (
            f"{', ' if len(rates) > 1 else chr(10)}above {high:.3g} drawn at the edge"
            if (shown > high).any()
            else ""
        )
        figure.suptitle(f"{draws.origin(trials)}:\n{number} trials per optimiser{edge}")
    return figure


def _highest(trials: pd.DataFrame, shown: pd.Series) -> float:
    """The end of the axis: without it, a few very bad trials would leave no room for the others."""
    usual, nearly_all = (float(shown.quantile(share)) for share in (0.9, 0.98))
    worst = support(trials).worst if trials["direction"].iloc[0] == "minimize" else np.inf
    return max(min(nearly_all, 10 * usual, worst), 1.5 * float(shown.min()))


def _cost(trials: pd.DataFrame, objective: str, direction: str) -> tuple[pd.Series, str]:
    """The value drawn for each trial (lower is better, infinite if diverged or failed), and its name."""
    lost = trials["diverged"] | (trials["state"] == "failed")
    value = trials["value"] if direction == "minimize" else 1 - trials["value"]
    name = f"min {words(objective)}" if direction == "minimize" else f"1 - max {words(objective)}"
    return value.where(~lost, np.inf), name


def _panel(axes: Axes, optimizers: pd.Series, rate: pd.Series, cost: pd.Series) -> None:
    edges = np.geomspace(rate.min(), rate.max() * (1 + 1e-9), _BINS + 1)
    few = optimizers.value_counts().max() < _BINS * _TRIALS
    for name in ordered(optimizers.unique()):
        selected = (optimizers == name) & rate.notna()
        look: dict[str, Any] = {"color": colour(name), "marker": marker(name), "mec": "white", "mew": 0.4}
        dots = {"ms": 4, "alpha": 0.8} if few else {"marker": ".", "ms": 2.5, "mew": 0, "alpha": 0.4}
        ended = selected & np.isfinite(cost)
        axes.plot(rate[ended], cost[ended], ls="", **look | dots)
        tenth = best_tenth(rate[selected], cost[selected], edges)
        axes.plot(tenth["rate"], tenth["cost"], ls=line(name), lw=1.2, ms=4, **look)
    axes.set_xscale("log")
