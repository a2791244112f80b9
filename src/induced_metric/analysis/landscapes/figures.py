"""Figures 4-8: the best runs on each of the paper's functions; run times are of optimisers compiled alike."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from induced_metric.analysis.landscapes.comparison import best
from induced_metric.analysis.style import PAGE, colour, label, ordered, style, title

NUMBERS = {4: "rosenbrock", 5: "rastrigin", 6: "himmelblau", 7: "beale", 8: "ackley"}
"""The numbers of the figures in the paper."""

FLOOR = 1e-16
"""Smaller values are drawn here, because a logarithmic axis has no 0."""


NADAM = "On functions of two variables, MUON is Adam with Nesterov momentum."
"""``optax.contrib.muon`` orthogonalises only matrices. It leaves all other parameters, and so a point, to
``optax.nadam``, which is Adam if the momentum is 0."""


def costs(timing: pd.DataFrame, mode: str = "compiled") -> pd.Series:
    """Seconds per iteration, by (function, optimiser)."""
    of_mode = timing[timing["mode"] == mode]
    return of_mode.set_index(["function", "optimizer"])["seconds_per_iteration"]


def convergence(
    function: str,
    runs: pd.DataFrame,
    paths: pd.DataFrame,
    timing: pd.DataFrame,
    *,
    tolerance: str = "notebook",
    number: int | None = None,
) -> Figure:
    """Figures 4-8: f along the best run of each optimiser, against iterations and against run time.

    A faint line is f, a bold one the least f so far. Run time is iterations times the measured cost of one.
    Both horizontal axes are linear at their left end, so that they show the start. A star marks where a run
    converged. Values below ``FLOOR``, an exact 0 included, are drawn there, and a line says so. A run that
    repeats another point by point is drawn dashed over it, and the legend names both.
    """
    chosen = best(runs[(runs["function"] == function) & (runs["tolerance"] == tolerance)])
    along = paths[(paths["function"] == function) & (paths["tolerance"] == tolerance)]
    cost = costs(timing)
    curves: dict[str, np.ndarray] = {}
    with style():
        figure = Figure(figsize=(PAGE, 3.7), layout="constrained")
        panels = figure.subplots(1, 2, sharey=True)
        for optimizer in ordered(chosen["optimizer"]):
            run = chosen[chosen["optimizer"] == optimizer].iloc[0]
            path = along[along["optimizer"] == optimizer].sort_values("iteration")
            values = path["value"].to_numpy()
            twin = next((name for name, curve in curves.items() if np.array_equal(curve, values)), None)
            curves[optimizer] = values
            for axes, unit in zip(panels, (1.0, cost[function, optimizer]), strict=True):
                x = path["iteration"].to_numpy() * unit
                line_colour = colour(optimizer)
                axes.plot(x, values.clip(FLOOR), color=line_colour, lw=0.4, alpha=0.3)
                axes.plot(
                    x,
                    np.fmin.accumulate(values).clip(FLOOR),
                    # Dashes with gaps, through which the other run is seen.
                    ls=(0, (2, 3)) if twin else "-",
                    color=line_colour,
                    lw=1.9 if twin else 1.2,
                    label=_entry(run, twin),
                )
                if run["converged"]:
                    axes.plot(
                        x[-1],
                        values[-1].clip(FLOOR),
                        marker="*",
                        ms=6 if twin else 9,
                        mec="white",
                        mew=0.5,
                        color=line_colour,
                        clip_on=False,
                        zorder=5,
                    )
        # The axis is linear up to the power of ten above the least cost of one iteration, so it has a 0.
        early = 10 ** np.ceil(np.log10(min(cost[function, optimizer] for optimizer in curves)))
        for axes, measure, linear_until in zip(
            panels, ("iterations", "run time (s), all optimisers compiled"), (1.0, early), strict=True
        ):
            axes.set_xscale("symlog", linthresh=linear_until, linscale=0.4)
            axes.set_xlim(0, None)
            axes.set_xlabel(measure)
            axes.set_yscale("log")
            axes.yaxis.set_minor_formatter(NullFormatter())
        panels[0].set_ylabel("f")
        if min(curve.min() for curve in curves.values()) < FLOOR:
            _floor(panels)
        note = NADAM if "muon" in curves else None
        figure.legend(
            *panels[0].get_legend_handles_labels(),
            loc="outside lower center",
            ncols=3,
            title=note,
            title_fontsize=7,
        )
        prefix = f"Figure {number}. " if number else ""
        figure.suptitle(
            f"{prefix}{title(function)} (our runs): each optimiser's best run of the grid, "
            "lowest f so far in bold"
        )
    return figure


def _entry(run: pd.Series, twin: str | None) -> str:
    """The legend entry of a run: the optimiser, its iterations, and the optimiser whose curve it repeats."""
    end = "" if run["converged"] else ", not converged"
    same = f", same as {label(twin)}" if twin else ""
    return f"{label(run['optimizer'])} ({run['iterations']} iter{end}{same})"


def _floor(panels: Sequence[Axes]) -> None:
    """Draws a line at ``FLOOR``, with a note that smaller values are drawn there."""
    for axes in panels:
        axes.axhline(FLOOR, color="0.4", lw=0.8, ls=":")
    panels[0].annotate(
        f"f below {FLOOR:g} (or 0) is drawn here",
        (0.98, FLOOR),
        xycoords=("axes fraction", "data"),
        xytext=(0, 4),
        textcoords="offset points",
        ha="right",
        fontsize=7,
        color="0.3",
    )
