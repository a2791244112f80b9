"""Every one of the best runs as a point: the epoch of its best value, and the value."""

from collections.abc import Hashable, Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter

from induced_metric.analysis import runs
from induced_metric.analysis.style import colour, label, ordered, style, words
from induced_metric.records import Records, published

_SHAPES = ("o", "x", "^", "s", "+", "v")
_COLUMNS = 4


def best_scatter(task: str, ours: Mapping[str, Records], *, n: int) -> Figure:
    """A panel an optimizer: its best ``n`` runs of each sampler, a shape each; in grey those of all others.

    Where the paper has the task, a diamond is its mean of the best 50 runs, with their population standard
    deviations in epoch and value.

    Args:
        task: name of the task.
        ours: our records, by sampler.
        n: how many of the best runs.

    Raises:
        ValueError: if there is no eligible trial.
    """
    best = pd.concat([runs.top(records.trials, n).assign(source=name) for name, records in ours.items()])
    if best.empty:
        raise ValueError("there is no complete trial to show")
    objective, direction = runs.objective(ours)
    quoted = published.summary(task).to_dict("index")
    names = ordered(best["optimizer"].unique())
    rows = -(-len(names) // _COLUMNS)
    with style():
        figure = Figure(figsize=(6.75, 1.85 * rows + 0.6), layout="constrained")
        grid = figure.subplots(rows, _COLUMNS, sharex=True, sharey=True, squeeze=False)
        shapes = dict(zip(ours, _SHAPES * (1 + len(ours) // len(_SHAPES)), strict=False))
        for axes, name in zip(grid.flat, names, strict=False):
            own = best["optimizer"] == name
            axes.plot(best["best_epoch"][~own], best["value"][~own], ".", color="0.87", ms=3, zorder=1)
            for source, shape in shapes.items():
                points = best[own & (best["source"] == source)]
                look = {"color": colour(name), "marker": shape, "ms": 3.5, "alpha": 0.75}
                axes.plot(points["best_epoch"], points["value"], ls="", zorder=2, **look)
            if name in quoted:
                _diamond(axes, quoted[name])
            axes.set_title(label(name), fontsize=8)
        if objective.endswith("loss") and best["value"].min() > 0:
            grid[0, 0].set_yscale("log")
            grid[0, 0].yaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5)))
            grid[0, 0].yaxis.set_major_formatter("{x:g}")
            grid[0, 0].yaxis.set_minor_formatter(NullFormatter())
        for axes in grid.flat[len(names) :]:
            axes.set_axis_off()
        for axes in grid.flat[max(len(names) - _COLUMNS, 0) : len(names)]:
            axes.tick_params(labelbottom=True)  # no panel lies below to have them
        handles = [Line2D([], [], ls="", marker=shape, color="0.3", label=f"{source}, best {n}")
                   for source, shape in shapes.items()]  # fmt: skip
        if quoted:
            handles.append(Line2D([], [], ls="", marker="D", color="0", mfc="w", label="published mean, SD"))
        figure.legend(handles=handles, loc="outside upper center", ncols=3, fontsize=7.5)
        kind = "min" if direction == "minimize" else "max"
        figure.supxlabel(f"epoch of {kind} {words(objective)} (from 0)", fontsize=9)
        figure.supylabel(f"{kind} {words(objective)}", fontsize=9)
    return figure


def _diamond(axes: Axes, row: Mapping[Hashable, float]) -> None:
    axes.errorbar(
        row["epoch_mean"],
        row["metric_mean"],
        row["metric_std"],
        row["epoch_std"],
        fmt="D",
        color="0",
        mfc="w",
        ms=5,
        lw=1,
        zorder=3,
    )
