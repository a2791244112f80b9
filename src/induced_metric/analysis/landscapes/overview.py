"""All functions in one figure: the best runs of the published grid, and the fair study."""

from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter

from induced_metric.analysis.landscapes.comparison import best, counts
from induced_metric.analysis.landscapes.figures import FLOOR, costs
from induced_metric.analysis.style import (
    PAGE,
    colour,
    label,
    marker,
    ordered,
    panels,
    plain,
    point,
    style,
    title,
)

HOLLOW: dict[str, Any] = {"mfc": "none", "mew": 0.8}


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
        figure = Figure(figsize=(PAGE, 5.2), layout="constrained")
        (iterations, seconds), (final, success) = figure.subplots(2, 2)
        _points(iterations, chosen, "iterations", functions, optimizers)
        iterations.set_title("iterations of the best run")
        _points(seconds, chosen, "seconds", functions, optimizers)
        seconds.set_title("run time of the best run (s), all compiled")
        _points(final, chosen, "final_value", functions, optimizers)
        final.set_title(f"final f of the best run (at least {FLOOR:g})")
        _heatmap(success, counts(runs), functions, optimizers)
        handles = [Line2D([], [], ls="", **_look(name), label=label(name)) for name in optimizers]
        handles.append(Line2D([], [], ls="", **_look("sgd") | HOLLOW, label="hollow: did not converge"))
        figure.legend(handles=handles, loc="outside lower center", ncols=4)
        figure.suptitle("Functions of two variables (our runs): the published grid")
    return figure


def _points(
    axes: Axes, chosen: pd.DataFrame, measure: str, functions: list[str], optimizers: list[str]
) -> None:
    # Points, not bars: on a logarithmic axis the length of a bar means nothing.
    for place, optimizer in enumerate(optimizers):
        rows = chosen[chosen["optimizer"] == optimizer].set_index("function").loc[functions]
        x = np.arange(len(functions)) + 0.12 * (place - (len(optimizers) - 1) / 2)
        values, converged = rows[measure].clip(lower=FLOOR).to_numpy(), rows["converged"].to_numpy(bool)
        for mask, look in ((converged, {}), (~converged, HOLLOW)):
            axes.plot(x[mask], values[mask], ls="", **_look(optimizer) | look)
    for edge in range(1, len(functions)):
        axes.axvline(edge - 0.5, color="0.85", lw=0.6)
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(numticks=8))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_xlim(-0.5, len(functions) - 0.5)
    axes.set_xticks(range(len(functions)), [title(name) for name in functions])
    axes.tick_params(axis="x", labelsize=5.5, length=0)
    axes.grid(axis="x", visible=False)


def _look(optimizer: str) -> dict[str, Any]:
    return {"color": colour(optimizer), "marker": marker(optimizer), "ms": 5, "mew": 0.8}


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
            axes.text(column, row, text, ha="center", va="center", fontsize=6.5)
    axes.set_xticks(range(len(functions)), [title(name) for name in functions], fontsize=5.5)
    axes.set_yticks(range(len(optimizers)), map(label, optimizers), fontsize=7)
    axes.grid(visible=False)
    axes.set_title("configurations of the grid that converged")


def fair(summary: pd.DataFrame, budgets: pd.DataFrame, *, tolerance: str = "notebook") -> Figure:
    """One panel per function: success against tuning budget, and at the right the reported success.

    Dots are for the setting tuned on the function, rings for the one setting shared by all functions; bars
    are 95% intervals. Dashed lines and stars are the control: the log form on the function raised by 1.
    """
    summary = summary[summary["tolerance"] == tolerance]
    budgets = budgets[budgets["tolerance"] == tolerance]
    functions = list(dict.fromkeys(summary["function"]))
    names = ordered(summary["optimizer"].unique())
    with style():
        figure, grid = panels(
            len(functions), columns=4, height=1.65, spare=0.9, xlabel="tuning budget (settings)"
        )
        most = int(budgets["budget"].max())
        for axes, function in zip(grid, functions, strict=True):
            axes.axvspan(most * 1.2, most * 1.5 * 1.35 ** len(names), color="0.95", lw=0)
            for place, name in enumerate(names):
                _curve(axes, budgets, function, name)
                _reported(axes, summary, function, name, most * 1.5 * 1.35**place)
            axes.set_xticks([4**power for power in range(8) if 4**power <= most])
            axes.set_title(title(function))
        figure.supylabel("success probability")
        handles = [
            Line2D([], [], color=colour(name), ls=_line(name), marker=point(name), ms=4, label=label(name))
            for name in names
        ]
        dot = partial(Line2D, [], [], ls="", marker="o", color="0.3")
        handles += [
            dot(ms=3, label="fresh starts, tuned setting"),
            dot(ms=6, **HOLLOW, label="fresh starts, one setting for all functions"),
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=3)
        figure.suptitle("Functions of two variables (our runs): success after tuning, and from fresh starts")
    return figure


def _curve(axes: Axes, budgets: pd.DataFrame, function: str, name: str) -> None:
    curve = budgets[(budgets["function"] == function) & (budgets["optimizer"] == name)]
    axes.plot(curve["budget"], curve["success"], color=colour(name), lw=1.1, ls=_line(name))
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_ylim(-0.03, 1.03)


def _reported(axes: Axes, summary: pd.DataFrame, function: str, name: str, x: float) -> None:
    rows = summary[(summary["function"] == function) & (summary["optimizer"] == name)].set_index("arm")
    # A ring around a dot, so that neither hides the other where both have the same success.
    for arm, look in (("shared", {"ms": 6, "lw": 0.6, **HOLLOW}), ("tuned", {"ms": 2.8, "lw": 0.9})):
        if arm not in rows.index:
            continue
        measured, low, high = (float(rows[f"success{end}"][arm]) for end in ("", "_low", "_high"))
        error = [[max(measured - low, 0)], [max(high - measured, 0)]]
        axes.errorbar(x, measured, error, fmt=point(name), color=colour(name), **look)


def _line(name: str) -> str:
    return "-" if name == plain(name) else "--"
