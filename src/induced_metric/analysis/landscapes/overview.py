"""All functions in one figure: the best runs of the published grid, and the fair study."""

from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter

from induced_metric.analysis.landscapes.comparison import best, counts
from induced_metric.analysis.landscapes.figures import FLOOR, costs
from induced_metric.analysis.style import colour, label, marker, ordered, plain, style, title


def grid(runs: pd.DataFrame, timing: pd.DataFrame, *, tolerance: str = "notebook") -> Figure:
    """Iterations, run time and final value of the best runs, and the share of the grid that converged."""
    runs = runs[runs["tolerance"] == tolerance]
    chosen = best(runs)
    cost = costs(timing)
    chosen = chosen.join(cost.rename("cost"), on=["function", "optimizer"])
    chosen["seconds"] = chosen["iterations"] * chosen["cost"]
    optimizers = ordered(chosen["optimizer"])
    functions = list(dict.fromkeys(chosen["function"]))
    with style():
        figure = Figure(figsize=(11, 7.2), layout="constrained")
        (iterations, seconds), (final, success) = figure.subplots(2, 2)
        _bars(iterations, chosen, "iterations", functions, optimizers)
        iterations.set_title("iterations of the best run (hatched: did not converge)")
        _bars(seconds, chosen, "seconds", functions, optimizers)
        seconds.set_title("run time of the best run (s), compiled alike")
        _bars(final, chosen, "final_value", functions, optimizers)
        final.set_title(f"final value of the best run (at least {FLOOR:g})")
        _heatmap(success, counts(runs), functions, optimizers)
        figure.legend(
            *iterations.get_legend_handles_labels(), loc="outside lower center", ncols=len(optimizers)
        )
    return figure


def _bars(
    axes: Axes, chosen: pd.DataFrame, measure: str, functions: list[str], optimizers: list[str]
) -> None:
    width = 0.8 / len(optimizers)
    for place, optimizer in enumerate(optimizers):
        rows = chosen[chosen["optimizer"] == optimizer].set_index("function").loc[functions]
        x = np.arange(len(functions)) + (place - (len(optimizers) - 1) / 2) * width
        bars = axes.bar(
            x, rows[measure].clip(lower=FLOOR), width * 0.92, color=colour(optimizer), label=label(optimizer)
        )
        for bar, converged in zip(bars, rows["converged"], strict=True):
            if not converged:
                bar.set(alpha=0.35, hatch="////", edgecolor="white")
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(numticks=8))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_xticks(range(len(functions)), [title(name) for name in functions])
    axes.grid(axis="x", visible=False)


def _heatmap(axes: Axes, table: pd.DataFrame, functions: list[str], optimizers: list[str]) -> None:
    shares = table.assign(share=table["converged"] / table["configurations"])
    shares = shares.pivot_table(index="optimizer", columns="function", values="share").loc[
        optimizers, functions
    ]
    converged = table.pivot_table(index="optimizer", columns="function", values="converged")
    axes.imshow(shares, aspect="auto", vmin=0, vmax=0.4, cmap="Greens")
    for row, optimizer in enumerate(optimizers):
        for column, function in enumerate(functions):
            number = int(converged[function][optimizer])
            text = f"{number}\n{float(shares[function][optimizer]):.1%}" if number else "none"
            axes.text(column, row, text, ha="center", va="center", fontsize=8)
    axes.set_xticks(range(len(functions)), [title(name) for name in functions])
    axes.set_yticks(range(len(optimizers)), map(label, optimizers))
    axes.grid(visible=False)
    axes.set_title("configurations of the grid that converged")


def fair(summary: pd.DataFrame, budgets: pd.DataFrame, *, tolerance: str = "notebook") -> Figure:
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
            Line2D([], [], color=line.get_color(), ls=line.get_linestyle(), marker=_point(name), ms=5)
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
            fmt=_point(name),
            ms=4,
            lw=1,
            color=colour(name),
            mfc=colour(name) if filled else "white",
        )


def _point(name: str) -> str:
    return marker(name) if name == plain(name) else "*"
