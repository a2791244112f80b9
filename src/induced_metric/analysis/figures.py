"""Figures 9-13: curves of the best runs, and where the best of many runs lie.

Every function returns a ``matplotlib.figure.Figure`` that belongs to no window and changes no global state.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.style
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator, StrMethodFormatter

from induced_metric.analysis.runs import top, words
from induced_metric.records import Records

# Okabe and Ito's colours, told apart with any colour vision; without yellow, which vanishes on paper.
COLOURS = ("#0072B2", "#56B4E9", "#009E73", "#000000", "#E69F00", "#CC79A7", "#D55E00")
_STYLE = {
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.labelsize": 9,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "pdf.fonttype": 42,  # text stays text
    "savefig.dpi": 160,
}
BINS = 20


@contextmanager
def _style() -> Iterator[None]:
    # From matplotlib's own defaults: a user's matplotlibrc must not change a published figure.
    with matplotlib.style.context(["default", _STYLE]):
        yield


def best_curves(records: Records, order: Iterable[str] = ()) -> Figure:
    """Figure 9: the best run of each optimizer, train and test, against seconds (top) and epochs (bottom).

    Args:
        records: trials and curves of a task.
        order: optimizers in the order of their colours and of the legend; those missing follow.

    Returns:
        Two rows, and a column for training beside that of the objective: the objective's metric on the
        training split or, where that was not evaluated, its mean over the minibatches of an epoch or theirs
        of the loss. All but accuracy is on logarithmic axes; the dot is the best value.
    """
    best = _ordered(top(records.trials, 1), order)
    objective = str(best["objective"].iloc[0])
    metrics = _shown(records.curves, objective)
    with _style():
        figure = Figure(figsize=(4.6 * len(metrics), 6.6), layout="constrained")
        grid = figure.subplots(2, len(metrics), squeeze=False, sharey="col", sharex="row")
        for place, run in enumerate(best.itertuples()):
            curve = records.curves
            curve = curve[(curve["optimizer"] == run.optimizer) & (curve["trial"] == run.trial)]
            colour = COLOURS[place % len(COLOURS)]
            # Wraps round with dashes once the colours are used up.
            line = ("-", "--", ":")[place // len(COLOURS) % 3]
            # Counted from 1: on a logarithmic axis there is no place for 0.
            for row, x in enumerate((curve["seconds"].cumsum(), curve["epoch"] + 1)):
                for axes, metric in zip(grid[row], metrics, strict=True):
                    axes.plot(x, curve[metric], line, color=colour, linewidth=1.3, label=_label(run))
                at = (curve["epoch"] == run.best_epoch).to_numpy()
                grid[row, -1].plot(
                    x[at], curve.loc[at, objective], "o", color=colour, markersize=5, markeredgecolor="white"
                )
        for axes, metric in zip(grid[0], metrics, strict=True):
            axes.set_title(words(metric))
        for row, label in enumerate(("wall time, device seconds", "epochs")):
            for axes, metric in zip(grid[row], metrics, strict=True):
                axes.set_xscale("log")
                axes.set_xlabel(label)
                axes.set_ylabel(words(metric.split("/")[1]))
                # Perplexity too: it falls by an order of magnitude, of which the histograms show the end.
                axes.set_yscale(_scale(records.curves[metric], log=not metric.endswith("accuracy")))
                _readable(axes.xaxis)
                _readable(axes.yaxis)
        handles, labels = grid[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=2 * len(metrics) - 1)
    return figure


def best_histograms(best: pd.DataFrame, order: Iterable[str] = ()) -> Figure:
    """Figures 10-13: for each optimizer, where its best runs lie in epoch and metric.

    Args:
        best: the trials to show, such as ``top(trials, 50)``.
        order: optimizers in the order of the panels; those missing follow.

    Returns:
        Panels in rows of three, over the same 20 by 20 bins; the metric's are logarithmic for a loss. Where
        the optimizers fall into two classes, as on TinyShakespeare (``_groups`` says when), each class has
        limits of its own.
    """
    best = _ordered(best, order)
    names = best["optimizer"].unique()
    objective = str(best["objective"].iloc[0])
    kind = objective.split("/")[-1]
    better = "min" if (best["direction"] == "minimize").all() else "max"
    scale = _scale(best["value"], log=kind.endswith("loss"))
    groups = _groups(best, scale)
    rows = max(3, -(-len(names) // 3))
    with _style():
        figure = Figure(figsize=(11, 3.1 * rows), layout="constrained")
        grid = figure.subplots(rows, 3, squeeze=False)
        for axes, name in zip(grid.flat, names, strict=False):
            (group,) = (group for group in groups if name in group)
            bins = _edges(best["epochs"].max(), best[best["optimizer"].isin(group)]["value"], scale)
            _histogram(axes, best[best["optimizer"] == name], bins, scale)
            axes.set_title(f"{name.upper()} (n={(best['optimizer'] == name).sum()} runs)")
            axes.set_xlabel(f"epoch of {better} {words(objective)}")
            axes.set_ylabel(f"{better} {words(objective)}")
        for axes in list(grid.flat)[len(names) :]:
            axes.set_axis_off()
        if len(groups) > 1:
            named = " | ".join(", ".join(name.upper() for name in group) for group in groups)
            figure.supxlabel(f"The y limits are each group's own: {named}", fontsize=9)
    return figure


def save(figure: Figure, stem: str | Path) -> list[Path]:
    """Writes ``<stem>.pdf`` and ``<stem>.png``, byte for byte the same for the same figure."""
    stem = Path(stem)
    stem.parent.mkdir(parents=True, exist_ok=True)
    # Not with_suffix: the name of a sampler or a task may hold a dot.
    paths = [stem.with_name(f"{stem.name}.{kind}") for kind in ("pdf", "png")]
    with _style():
        # Neither the date nor the version of matplotlib.
        figure.savefig(paths[0], metadata={"CreationDate": None, "Producer": None, "Creator": None})
        figure.savefig(paths[1], metadata={"Software": None})
    return paths


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
    """Numbers between the powers of ten, where these alone would leave an axis with hardly one to read."""
    low, high = axis.get_view_interval()
    if axis.get_scale() == "log" and high < 100 * low:
        axis.set_major_locator(MaxNLocator(6) if high < 3 * low else LogLocator(subs=(1, 2, 3, 4, 6)))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(StrMethodFormatter("{x:g}"))


def _shown(curves: pd.DataFrame, objective: str) -> list[str]:
    """The best there is of training, if any, and the objective."""
    kind = objective.split("/")[1]
    train = [f"train/{kind}", f"train/minibatch_{kind}", "train/minibatch_loss"]
    # A column of missing values is of studies of which others measured it.
    measured = [name for name in train if name in curves and curves[name].notna().any()]
    return [*measured[:1], objective]


def _scale(values: pd.Series, *, log: bool) -> str:
    """Logarithmic if wanted and possible."""
    return "log" if log and values.min() > 0 else "linear"


def _ordered(best: pd.DataFrame, order: Iterable[str]) -> pd.DataFrame:
    if best.empty:
        raise ValueError("there is no complete trial to show")
    present = best["optimizer"].unique()
    names = [name for name in order if name in present]
    names += [name for name in present if name not in names]
    rank = {name: place for place, name in enumerate(names)}
    return best.sort_values("optimizer", key=lambda column: column.map(rank), kind="stable")


def _label(run: Any) -> str:
    return f"{run.optimizer.upper()} ({run.value:#.4g}, epoch {run.best_epoch})"
