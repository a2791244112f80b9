"""The fair study in one figure: success against tuning budget, and what was reported on fresh starts."""

from functools import partial

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from induced_metric.analysis.style import colour, label, marker, ordered, plain, style, title


def _marker(name: str) -> str:
    return marker(name) if name == plain(name) else "*"


def success(summary: pd.DataFrame, budgets: pd.DataFrame, *, tolerance: str = "notebook") -> Figure:
    """A panel a function: success against tuning budget; at the right the reported success.

    Filled: the setting tuned for the function; hollow: the one setting shared by all functions; bars are
    95% intervals. Dashed, with a star: the control, the log form on the function raised by 1.
    """
    summary = summary[summary["tolerance"] == tolerance]
    budgets = budgets[budgets["tolerance"] == tolerance]
    functions = list(dict.fromkeys(summary["function"]))
    names = ordered(summary["optimizer"].unique())
    columns = 4
    rows = -(-len(functions) // columns)
    with style():
        figure = Figure(figsize=(11.5, 2.6 * rows + 0.8), layout="constrained")
        grid = figure.subplots(rows, columns, sharey=True, squeeze=False)
        most = int(budgets["budget"].max())
        for axes, function in zip(grid.flat, functions, strict=False):
            axes.axvspan(most * 1.25, most * 1.3 * 1.25 ** (len(names) + 1), color="0.95", lw=0)
            for place, name in enumerate(names):
                _curve(axes, budgets, function, name)
                _reported(axes, summary, function, name, most * 1.5 * 1.25**place)
            axes.set_xticks([4**power for power in range(8) if 4**power <= most])
            axes.set_title(title(function))
        for axes in grid.flat[len(functions) :]:
            axes.set_axis_off()
        for axes in grid[:, 0]:
            axes.set_ylabel("success probability")
        for place, axes in enumerate(grid.flat[: len(functions)]):
            if place + columns >= len(functions):
                axes.set_xlabel("tuning budget (settings tried)")
        handles, labels = grid[0, 0].get_legend_handles_labels()
        handles = [
            Line2D([], [], color=line.get_color(), ls=line.get_linestyle(), marker=_marker(name), ms=5)
            for line, name in zip(handles, names, strict=True)
        ]
        dot = partial(Line2D, [], [], ls="", marker="o", color="0.3", ms=5)
        handles += [dot(), dot(mfc="white")]
        labels += ["fresh starts: tuned setting", "fresh starts: shared setting"]
        spare = grid.flat[len(functions)] if len(functions) < grid.size else None
        if spare is None:
            figure.legend(handles, labels, loc="outside lower center", ncols=4)
        else:
            spare.legend(handles, labels, loc="center left")
    return figure


def _curve(axes: Axes, budgets: pd.DataFrame, function: str, name: str) -> None:
    curve = budgets[(budgets["function"] == function) & (budgets["optimizer"] == name)]
    control = name != plain(name)
    axes.plot(
        curve["budget"],
        curve["success"],
        color=colour(name),
        lw=1.4,
        ls="--" if control else "-",
        label=label(name),
    )
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_ylim(-0.03, 1.03)


def _reported(axes: Axes, summary: pd.DataFrame, function: str, name: str, x: float) -> None:
    rows = summary[(summary["function"] == function) & (summary["optimizer"] == name)].set_index("arm")
    for arm, filled in (("tuned", True), ("shared", False)):
        if arm not in rows.index:
            continue
        measured, low, high = (float(rows[f"success{end}"][arm]) for end in ("", "_low", "_high"))
        axes.errorbar(
            x,
            measured,
            [[max(measured - low, 0)], [max(high - measured, 0)]],
            fmt=_marker(name),
            ms=4,
            lw=1,
            color=colour(name),
            mfc=colour(name) if filled else "white",
        )
