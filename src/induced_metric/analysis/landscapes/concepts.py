"""Figures 1-3: what the induced metric is, its smooth clipping, and the schedule that its log form implies.

They draw the paper's own formulas (Eqs. 10, 13 and 14); no optimiser runs.
"""

from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from induced_metric.analysis.style import COLUMN, PAGE, colour, label, style


def surface_and_path(surface: pd.DataFrame, path: pd.DataFrame, function: str, optimizer: str) -> Figure:
    """Figure 1: the landscape as a surface, a descent on it, and the projection of both on the parameters.

    Args:
        surface: ``x``, ``y``, ``value`` on a grid.
        path: ``x``, ``y``, ``value`` along a recorded descent.
        function: name of the function, for the axis.
        optimizer: name of the optimiser whose descent it is.
    """
    table = surface.pivot_table(index="y", columns="x", values="value")
    x, y = np.meshgrid(table.columns, table.index)
    # The height of the log embedding is log f; it also makes a valley of any depth visible.
    height = np.log10(table.to_numpy() + 1)
    along = np.log10(path["value"].to_numpy() + 1)
    floor = height.min() - 0.75 * np.ptp(height)
    line_colour = colour(optimizer)
    with style():
        figure = Figure(figsize=(COLUMN, 3.2))
        axes = figure.add_subplot(projection="3d", computed_zorder=False)
        axes.plot_surface(x, y, np.full_like(height, floor), color="0.85", alpha=0.6, zorder=0)
        axes.contour(x, y, height, 14, offset=floor, colors="0.55", linewidths=0.6, zorder=1)
        axes.plot(path["x"], path["y"], floor, color=line_colour, lw=1.1, zorder=2)
        axes.plot_surface(
            x,
            y,
            height,
            color="0.72",
            alpha=0.55,
            rcount=60,
            ccount=60,
            lw=0.15,
            edgecolor="0.35",
            zorder=3,
        )
        axes.plot(path["x"], path["y"], along + 0.01 * np.ptp(height), color=line_colour, lw=1.5, zorder=4)
        axes.scatter(
            [path["x"].iloc[-1]] * 2,
            [path["y"].iloc[-1]] * 2,
            [along[-1], floor],
            color=line_colour,
            s=22,
            marker="*",
            zorder=5,
        )
        axes.tick_params(labelsize=6, pad=-2)
        axes.set_xlabel(r"$\theta^1$", labelpad=-7)
        axes.set_ylabel(r"$\theta^2$", labelpad=-7)
        axes.set_zlabel(rf"$\log_{{10}}(f+1)$, {function}", labelpad=-6, fontsize=7)
        axes.set_zlim(floor, height.max())
        axes.set_zticks(range(int(height.max()) + 1))
        axes.view_init(elev=24, azim=-128)
        axes.set_box_aspect((1, 1, 0.85), zoom=0.95)
        figure.subplots_adjust(left=0.02, right=0.98, bottom=0.03, top=0.93)
        figure.suptitle(f"Figure 1. {label(optimizer)} on the surface,\nand its projection")
    return figure


def smooth_clipping(others: Sequence[float] = (0.0, 1.0, 4.0, 12.0)) -> Figure:
    r"""Figure 2: :math:`\delta\theta_i = l_i/(a_i + l_i^2)`, :math:`a_i = 1 + \sum_{k \ne i} l_k^2`.

    Args:
        others: values of :math:`\sum_{k \ne i} l_k^2`.
    """
    gradient = np.linspace(-12, 12, 801)
    with style():
        figure = Figure(figsize=(COLUMN, 2.6), layout="constrained")
        axes = figure.subplots()
        for rest, shade in zip(others, np.linspace(0, 0.85, len(others)), strict=True):
            a = 1 + rest
            axes.plot(
                gradient, gradient / (a + gradient**2), color=_viridis(shade), label=rf"$a_i = {a:g}$", lw=1.2
            )
        axes.axhline(0, color="0.4", lw=0.8)
        axes.set(
            xlabel=r"gradient $l_i$",
            ylabel=r"$-\delta\theta^i/\eta = l_i/(a_i + l_i^2)$",
            title="Figure 2. The metric clips gradients smoothly",
        )
        axes.legend(title=r"$a_i = 1 + \sum_{k \neq i} l_k^2$", title_fontsize=6.5, loc="upper left")
    return figure


def log_schedule(
    powers: Sequence[float] = (0.5, 1.0, 2.0), offsets: Sequence[float] = (0.0, 0.1, 1.0), xi: float = 0.1
) -> Figure:
    r"""Figure 3: :math:`L/(L^2 + \xi g^2)` over training for :math:`L = t^{-p} + C` and :math:`|g| = 1`.

    Args:
        powers: values of p, one colour each.
        offsets: values of C, one panel each.
        xi: weight of the loss direction.
    """
    time = np.geomspace(0.1, 1000, 600)
    with style():
        figure = Figure(figsize=(PAGE, 2.3), layout="constrained")
        for axes, offset in zip(figure.subplots(1, len(offsets), sharey=True), offsets, strict=True):
            for power, shade in zip(powers, np.linspace(0, 0.8, len(powers)), strict=True):
                loss = time**-power + offset
                axes.plot(
                    time, loss / (loss**2 + xi), color=_viridis(shade), label=rf"$p = {power:g}$", lw=1.2
                )
            axes.set(xscale="log", yscale="log", xlabel="training time t", title=rf"$C = {offset:g}$")
        axes.legend()
        figure.axes[0].set_ylabel(rf"$L/(L^2 + \xi |g|^2)$, $\xi |g|^2 = {xi:g}$")
        figure.suptitle(r"Figure 3. The log form as a schedule, $L = t^{-p} + C$")
    return figure


def _viridis(share: float) -> Any:
    return matplotlib.colormaps["viridis"](share)
