"""Figures 9-13: the curves of the best runs, and where the best of many runs lie.

Every function returns a ``matplotlib.figure.Figure`` that belongs to no window, and changes no global state.
"""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from induced_metric.analysis import draws
from induced_metric.analysis.runs import top
from induced_metric.analysis.style import (
    PAGE,
    colour,
    label,
    line,
    marker,
    panels,
    ranks,
    readable,
    span,
    style,
    words,
)
from induced_metric.records import Records

BINS = 20
FEW = 20
"""The smallest number of runs of an optimiser that a histogram is drawn for."""
_TITLE = 100  # characters of a title that fit the width of a page
SECONDS, RECORDED = "device seconds (epochs × measured cost)", "device seconds as recorded, under load"


def best_curves(records: Records, costs: pd.Series | None = None) -> Figure:
    """Figure 9: the best run of each optimiser, train and test, against seconds (top) and epochs (bottom).

    The faint line is the curve, the bold line the best value so far. The marker is the best value of the
    objective.

    Args:
        records: trials and curves of a task.
        costs: device seconds per epoch, by optimiser; if any optimiser has none, the recorded seconds are
            shown.

    Returns:
        Two rows, with a column for training next to that of the objective. The training column shows the
        objective's metric on the training split or, where that was not evaluated, the mean over the
        minibatches of an epoch, of the metric or else of the loss. All but accuracy is on logarithmic axes.
    """
    best = _ordered(top(records.trials, 1))
    objective, direction = (str(best[name].iloc[0]) for name in ("objective", "direction"))
    metrics = _shown(records.curves, objective)
    # A loss stands in for the training accuracy where that was not measured.
    better = {name: direction if _kind(name) == _kind(objective) else "minimize" for name in metrics}
    cost = {} if costs is None else costs.to_dict()
    measured = set(best["optimizer"]) <= set(cost)
    with style():
        figure = Figure(figsize=(PAGE, 5.3), layout="constrained")
        grid = figure.subplots(2, len(metrics), squeeze=False, sharey="col", sharex="row")
        for run in best.itertuples():
            curve = records.curves
            curve = curve[(curve["optimizer"] == run.optimizer) & (curve["trial"] == run.trial)]
            look = _look(str(run.optimizer))
            epochs = curve["epoch"] + 1  # trained by then
            elapsed = epochs * cost[str(run.optimizer)] if measured else curve["seconds"].cumsum()
            for row, x in enumerate((elapsed, epochs)):
                for axes, metric in zip(grid[row], metrics, strict=True):
                    axes.plot(x, curve[metric], **look | {"marker": None, "lw": 0.5, "alpha": 0.35})
                    axes.plot(x, _best_so_far(curve[metric], better[metric]), **look | {"marker": None})
                at = (curve["epoch"] == run.best_epoch).to_numpy()
                best_value = curve.loc[at, objective]
                grid[row, -1].plot(x[at], best_value, **look | {"ls": "", "mec": "white", "mew": 0.5})
        for axes, metric in zip(grid[0], metrics, strict=True):
            axes.set_title(words(metric))
        for row, unit in enumerate((SECONDS if measured else RECORDED, "epochs trained")):
            for axes, metric in zip(grid[row], metrics, strict=True):
                axes.set_xscale("log")
                axes.set_xlabel(unit)
                axes.set_ylabel(words(metric.split("/")[1]))
                # Perplexity too, unlike in the histograms: it falls by an order of magnitude, and they show
                # only the end of that fall.
                axes.set_yscale(_scale(records.curves[metric], log=not metric.endswith("accuracy")))
                readable(axes.xaxis)
                readable(axes.yaxis)
        handles = [
            Line2D([], [], **_look(str(run.optimizer)), label=_label(run)) for run in best.itertuples()
        ]
        longest = max(len(_label(run)) for run in best.itertuples())
        columns = 3 if longest <= 36 else 2  # as many as fit the page
        figure.legend(handles=handles, loc="outside lower center", ncols=columns)
        number = span(records.trials.groupby("optimizer").size())
        title = f"{draws.origin(records.trials)}: the best of {number} trials, best so far in bold"
        figure.suptitle(textwrap.fill(title, _TITLE))
    return figure


def best_histograms(best: pd.DataFrame) -> Figure:
    """Figures 10-13: for each optimiser, where its best runs lie in epoch and metric.

    Args:
        best: the trials to show, such as ``top(trials, 50)``.

    Returns:
        One panel per optimiser, all with the same bins and colour scale: 20 bins in the metric (logarithmic
        for a loss) and 20 in epochs, or one per epoch if there are fewer. If no optimiser has ``FEW`` runs,
        each run is a point instead. Where the optimisers fall into two classes, as on TinyShakespeare (see
        ``_groups``), each class has its own limits.
    """
    best = _ordered(best)
    best["epoch"] = best["best_epoch"] + 1  # epochs trained by then
    names = list(best["optimizer"].unique())
    objective = str(best["objective"].iloc[0])
    kind = objective.split("/")[-1]
    better = "min" if (best["direction"] == "minimize").all() else "max"
    scale = _scale(best["value"], log=kind.endswith("loss"))
    groups = _groups(best, scale)
    sizes = best["optimizer"].value_counts()
    bins: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for group in groups:
        edges = _edges(best["epochs"].max(), best[best["optimizer"].isin(group)]["value"], scale)
        bins |= dict.fromkeys(group, edges)
    with style():
        figure, grid = panels(len(names), columns=4, height=1.9, spare=0.7, sharey=len(groups) == 1)
        if sizes.max() < FEW:
            for axes, name in zip(grid, names, strict=True):
                rows = best[best["optimizer"] == name]
                look = _look(name) | {"ls": "", "mec": "white", "mew": 0.5, "alpha": 0.8, "clip_on": False}
                axes.plot(rows["epoch"], rows["value"], **look)
        else:
            _histograms(figure, grid, {name: best[best["optimizer"] == name] for name in names}, bins)
        for axes, name in zip(grid, names, strict=True):
            gap = "\n" if len(label(name)) > 14 else " "  # 14 characters fit the panel
            axes.set_title(f"{label(name)}{gap}(n = {sizes[name]})")
            axes.set_yscale(scale)
            axes.set_xlim(*bins[name][0][[0, -1]])
            axes.set_ylim(*bins[name][1][[0, -1]])
            axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
            readable(axes.yaxis)
        figure.suptitle(f"{draws.origin(best)}: the best runs")
        figure.supylabel(f"{better} {words(objective)}")
        xlabel = f"epochs trained until {better} {words(objective)}"
        if len(groups) > 1:
            named = " | ".join(", ".join(map(label, group)) for group in groups)
            xlabel += f"\nEach group has its own y limits: {named}"
        figure.supxlabel(xlabel)
    return figure


def _histograms(
    figure: Figure,
    grid: Sequence[Axes],
    runs: Mapping[str, pd.DataFrame],
    bins: Mapping[str, tuple[np.ndarray, np.ndarray]],
) -> None:
    counts = {
        name: np.histogram2d(rows["value"], rows["epoch"], bins=bins[name][::-1])[0]
        for name, rows in runs.items()
    }
    most = max(count.max() for count in counts.values())
    for axes, (name, count) in zip(grid, counts.items(), strict=True):
        # An empty bin stays white, so that one run does not look like none.
        image = axes.pcolormesh(
            *bins[name], np.ma.masked_equal(count, 0), vmin=1, vmax=max(most, 2), cmap="viridis"
        )
        axes.grid(visible=False)
    bar = figure.colorbar(image, ax=grid, label="runs", aspect=40, pad=0.01)
    bar.locator = MaxNLocator(integer=True, nbins=6)
    bar.update_ticks()


def _best_so_far(values: pd.Series, direction: str) -> np.ndarray:
    best = np.fmin if direction == "minimize" else np.fmax
    return np.asarray(best.accumulate(values.to_numpy(float)))


def _groups(best: pd.DataFrame, scale: str) -> list[list[str]]:
    """The optimisers that share limits: all of them, or two groups where one would be too small to read.

    The groups are those on either side of the largest gap between the optimisers' medians. They get separate
    limits if there are two classes, that is, the gap is at least three times the range of the medians on
    either side, and if with shared limits the values of one group would fill at most two of the twenty bins.
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
    """The edges of the bins: in epochs over the whole budget, in the metric over the range of the values."""
    low, high = values.min(), values.max()
    if low == high:
        # A bin needs a width.
        low, high = low - 0.05 * abs(low) - 1e-12, high + 0.05 * abs(high) + 1e-12
    spaced = np.geomspace if scale == "log" else np.linspace
    # Epochs are whole numbers from 1: none lies on an edge if each bin spans a whole number of them.
    return np.linspace(0.5, epochs + 0.5, min(BINS, epochs) + 1), spaced(low, high, BINS + 1)


def _shown(curves: pd.DataFrame, objective: str) -> list[str]:
    """The columns to show: the training column closest to the objective, if any, and the objective."""
    kind = objective.split("/")[1]
    train = [f"train/{kind}", f"train/minibatch_{kind}", "train/minibatch_loss"]
    # A column has only missing values here if only other studies measured it.
    measured = [name for name in train if name in curves and curves[name].notna().any()]
    return [*measured[:1], objective]


def _kind(metric: str) -> str:
    return metric.split("/")[1].removeprefix("minibatch_")


def _scale(values: pd.Series, *, log: bool) -> str:
    """The axis scale: logarithmic if wanted and possible."""
    return "log" if log and values.min() > 0 else "linear"


def _ordered(best: pd.DataFrame) -> pd.DataFrame:
    if best.empty:
        raise ValueError("there is no complete trial to show")
    return best.sort_values("optimizer", key=ranks, kind="stable", ignore_index=True)


def _look(optimizer: str) -> dict[str, Any]:
    look = {"color": colour(optimizer), "marker": marker(optimizer), "ls": line(optimizer)}
    return look | {"lw": 1.2, "markersize": 4.5}


def _label(run: Any) -> str:
    return f"{label(run.optimizer)} ({run.value:#.4g}, epoch {run.best_epoch + 1})"
