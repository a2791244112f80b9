"""Each of the best runs as a point: the epoch of its best value, and that value."""

from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from induced_metric.analysis import draws, runs
from induced_metric.analysis.style import colour, label, ordered, panels, readable, span, style, words
from induced_metric.records import Records

_SHAPES = ("o", "x", "^", "s", "+", "v")
_COLUMNS = 4


def best_scatter(task: str, ours: Mapping[str, Records], *, n: int) -> Figure:
    """One panel per optimiser: its best ``n`` runs, one shape per sampler; other optimisers' runs in grey.

    Where the paper has the task and our runs follow its rules, a diamond marks the paper's mean of its best
    50 runs, with their population standard deviations in epoch and value.

    Args:
        task: name of the task.
        ours: our records, by sampler.
        n: how many of the best runs to show.

    Raises:
        ValueError: if there is no eligible trial.
    """
    best = pd.concat([runs.top(records.trials, n).assign(source=name) for name, records in ours.items()])
    if best.empty:
        raise ValueError("there is no complete trial to show")
    objective, direction = runs.objective(ours)
    quoted = runs.quoted(task, ours).to_dict("index")
    best["best_epoch"] += 1  # epochs trained until then
    names = ordered(best["optimizer"].unique())
    with style():
        figure, grid = panels(len(names), columns=_COLUMNS, height=1.8, spare=0.9, xlabel="epochs trained")
        shapes = dict(zip(ours, _SHAPES * (1 + len(ours) // len(_SHAPES)), strict=False))
        for axes, name in zip(grid, names, strict=True):
            selected = best["optimizer"] == name
            axes.plot(
                best["best_epoch"][~selected], best["value"][~selected], ".", color="0.87", ms=3, zorder=1
            )
            for source, shape in shapes.items():
                points = best[selected & (best["source"] == source)]
                look: dict[str, Any] = {"color": colour(name), "marker": shape, "ms": 3.5, "alpha": 0.75}
                axes.plot(points["best_epoch"], points["value"], ls="", zorder=2, **look)
            if name in quoted:
                _diamond(axes, quoted[name])
            axes.set_title(label(name))
        if objective.endswith("loss") and best["value"].min() > 0:
            grid[0].set_yscale("log")
            readable(grid[0].yaxis)
        sizes = {source: records.trials.groupby("optimizer").size() for source, records in ours.items()}
        handles = [
            Line2D(
                [], [], ls="", marker=shape, color="0.3", label=f"{source}, best {n} of {span(sizes[source])}"
            )
            for source, shape in shapes.items()
        ]
        if quoted:
            handles.append(Line2D([], [], ls="", marker="D", color="0", mfc="w", label="published mean ± SD"))
        figure.legend(handles=handles, loc="outside lower center", ncols=2)
        figure.suptitle(f"{draws.origin(*(x.trials for x in ours.values()))}: the best runs")
        kind = "min" if direction == "minimize" else "max"
        figure.supylabel(f"{kind} {words(objective)}")
    return figure


def _diamond(axes: Axes, row: Mapping[Hashable, float]) -> None:
    axes.errorbar(
        row["epoch_mean"] + 1,  # the paper counts from 0
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
