"""Figures 9-13: curves of the best runs, and where the best of many runs lie.

Every function returns a ``matplotlib.figure.Figure`` that belongs to no window and changes no global state.
"""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator, StrMethodFormatter

from induced_metric.analysis.runs import top
from induced_metric.analysis.style import colour, label, line, marker, ranks, style, words
from induced_metric.records import Records

BINS = 20


def best_curves(records: Records) -> Figure:
    """Figure 9: the best run of each optimizer, train and test, against seconds (top) and epochs (bottom).

    Args:
        records: trials and curves of a task.

    Returns:
        Two rows, and a column for training beside that of the objective: the objective's metric on the
        training split or, where that was not evaluated, the mean over the minibatches of an epoch, of the
        metric or else of the loss. All but accuracy is on logarithmic axes; the marker is the best value.
    """
    best = _ordered(top(records.trials, 1))
    objective = str(best["objective"].iloc[0])
    metrics = _shown(records.curves, objective)
    with style():
        figure = Figure(figsize=(4.6 * len(metrics), 6.6), layout="constrained")
        grid = figure.subplots(2, len(metrics), squeeze=False, sharey="col", sharex="row")
        for run in best.itertuples():
            curve = records.curves
            curve = curve[(curve["optimizer"] == run.optimizer) & (curve["trial"] == run.trial)]
            look = _look(str(run.optimizer))
            # Counted from 1: on a logarithmic axis there is no place for 0.
            for row, x in enumerate((curve["seconds"].cumsum(), curve["epoch"] + 1)):
                for axes, metric in zip(grid[row], metrics, strict=True):
                    axes.plot(x, curve[metric], **look | {"marker": None})
                at = (curve["epoch"] == run.best_epoch).to_numpy()
                best_value = curve.loc[at, objective]
                grid[row, -1].plot(x[at], best_value, **look | {"ls": "", "mec": "white"})
        for axes, metric in zip(grid[0], metrics, strict=True):
            axes.set_title(words(metric))
        for row, unit in enumerate(("wall time, device seconds", "epochs")):
            for axes, metric in zip(grid[row], metrics, strict=True):
                axes.set_xscale("log")
                axes.set_xlabel(unit)
                axes.set_ylabel(words(metric.split("/")[1]))
                # Perplexity too: it falls by an order of magnitude, of which the histograms show the end.
                axes.set_yscale(_scale(records.curves[metric], log=not metric.endswith("accuracy")))
                _readable(axes.xaxis)
                _readable(axes.yaxis)
        handles = [
            Line2D([], [], **_look(str(run.optimizer)), label=_label(run)) for run in best.itertuples()
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=2 * len(metrics) - 1)
    return figure


def best_histograms(best: pd.DataFrame) -> Figure:
    """Figures 10-13: for each optimizer, where its best runs lie in epoch and metric.

    Args:
        best: the trials to show, such as ``top(trials, 50)``.

    Returns:
        Panels in rows of three, over the same 20 by 20 bins; the metric's are logarithmic for a loss. Where
        the optimizers fall into two classes, as on TinyShakespeare (``_groups`` says when), each class has
        limits of its own.
    """
    best = _ordered(best)
    names = best["optimizer"].unique()
    objective = str(best["objective"].iloc[0])
    kind = objective.split("/")[-1]
    better = "min" if (best["direction"] == "minimize").all() else "max"
    scale = _scale(best["value"], log=kind.endswith("loss"))
    groups = _groups(best, scale)
    rows = max(3, -(-len(names) // 3))
    with style():
        figure = Figure(figsize=(11, 3.1 * rows), layout="constrained")
        grid = figure.subplots(rows, 3, squeeze=False)
        for axes, name in zip(grid.flat, names, strict=False):
            (group,) = (group for group in groups if name in group)
            bins = _edges(best["epochs"].max(), best[best["optimizer"].isin(group)]["value"], scale)
            _histogram(axes, best[best["optimizer"] == name], bins, scale)
            axes.set_title(f"{label(name)} (n={(best['optimizer'] == name).sum()} runs)")
            axes.set_xlabel(f"epoch of {better} {words(objective)}")
            axes.set_ylabel(f"{better} {words(objective)}")
        for axes in list(grid.flat)[len(names) :]:
            axes.set_axis_off()
        if len(groups) > 1:
            named = " | ".join(", ".join(map(label, group)) for group in groups)
            figure.supxlabel(f"The y limits are each group's own: {named}", fontsize=9)
    return figure


def _histogram(axes: Axes, best: pd.DataFrame, bins: tuple[np.ndarray, np.ndarray], scale: str) -> None:
    *_, image = axes.hist2d(best["best_epoch"], best["value"], bins=bins, cmap="viridis")
    axes.grid(visible=False)
    axes.set_yscale(scale)
    _readable(axes.yaxis)
    axes.figure.colorbar(image, ax=axes, ticks=MaxNLocator(integer=True, nbins=5), label="runs")


def _groups(best: pd.DataFrame, scale: str) -> list[list[str]]:
    """The optimizers that share limits: all of them, or two groups where one would be too small to read.

    The groups are those on either side of the largest gap between the medians of the optimizers. They part
    if that gap is three times as wide as the medians of either side are apart, so that there are two classes,
    and if on shared limits the values of one of them would fill no more than two of the twenty bins.
    """
    values = np.log(best["value"]) if scale == "log" else best["value"]
    medians = values.groupby(best["optimizer"], sort=False).median().sort_values()
    gaps = np.diff(medians)
    if not len(gaps):
        return [medians.index.tolist()]
    cut = int(gaps.argmax()) + 1
    sides = [medians.iloc[:cut], medians.iloc[cut:]]
    extents = [np.ptp(values[best["optimizer"].isin(side.index)]) for side in sides]
    classes = gaps.max() >= 3 * max(np.ptp(side) for side in sides)
    unreadable = min(extents) <= 2 / BINS * np.ptp(values)
    groups = sides if classes and unreadable else [medians]
    return [[name for name in best["optimizer"].unique() if name in group.index] for group in groups]


def _edges(epochs: int, values: pd.Series, scale: str) -> tuple[np.ndarray, np.ndarray]:
    """Edges of the bins in epoch, over the whole budget, and in the metric, over the values."""
    low, high = values.min(), values.max()
    if low == high:
        # A bin needs a width.
        low, high = low - 0.05 * abs(low) - 1e-12, high + 0.05 * abs(high) + 1e-12
    spaced = np.geomspace if scale == "log" else np.linspace
    return np.linspace(0, epochs, BINS + 1), spaced(low, high, BINS + 1)


def _readable(axis: Axis) -> None:
    """Labels between the powers of ten, where an axis spans less than two decades."""
    low, high = axis.get_view_interval()
    if axis.get_scale() == "log" and high < 100 * low:
        axis.set_major_locator(MaxNLocator(6) if high < 3 * low else LogLocator(subs=(1, 2, 3, 4, 6)))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(StrMethodFormatter("{x:g}"))


def _shown(curves: pd.DataFrame, objective: str) -> list[str]:
    """The columns to show: of training the one closest to the objective, if any; and the objective."""
    kind = objective.split("/")[1]
    train = [f"train/{kind}", f"train/minibatch_{kind}", "train/minibatch_loss"]
    # A column of missing values is of studies of which others measured it.
    measured = [name for name in train if name in curves and curves[name].notna().any()]
    return [*measured[:1], objective]


def _scale(values: pd.Series, *, log: bool) -> str:
    """Logarithmic if wanted and possible."""
    return "log" if log and values.min() > 0 else "linear"


def _ordered(best: pd.DataFrame) -> pd.DataFrame:
    if best.empty:
        raise ValueError("there is no complete trial to show")
    return best.sort_values("optimizer", key=ranks, kind="stable")


def _look(optimizer: str) -> dict[str, Any]:
    look = {"color": colour(optimizer), "marker": marker(optimizer), "ls": line(optimizer)}
    return look | {"lw": 1.3, "markersize": 6}


def _label(run: Any) -> str:
    return f"{label(run.optimizer)} ({run.value:#.4g}, epoch {run.best_epoch})"
