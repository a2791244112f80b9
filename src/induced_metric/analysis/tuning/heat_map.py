"""A heat map with one row per optimiser: blocks of columns side by side, each with its own colour scale."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from induced_metric.analysis import style

_SHADED = 0.9
"""The share of values, from the best on, that colours span: a single failure would take the whole scale."""


_ROOMY = 10
"""The most blocks whose texts fit at full size."""


class Block(NamedTuple):
    """Columns with one title.

    Attributes:
        title: the title above the block; may have several lines.
        ticks: the label below each column.
        shade: the shade of each cell, from 0 (white) to 1; shape=(rows, columns); NaN is white.
        texts: the text in each cell.
        diverging: whether the shades are shares: blue above one half, red below, white at it and for NaN.
    """

    title: str
    ticks: Sequence[str]
    shade: np.ndarray
    texts: pd.DataFrame
    diverging: bool = False


def draw(optimizers: Sequence[str], blocks: Sequence[Block]) -> Figure:
    """The figure, without a title; call it within ``style.style``. The paper's optimisers are in bold."""
    figure = Figure(figsize=(style.PAGE, 1.1 + 0.19 * len(optimizers)), layout="constrained")
    widths = [max(len(block.ticks), 1.2) for block in blocks]
    grid = figure.subplots(1, len(blocks), sharey=True, squeeze=False, width_ratios=widths)[0]
    scale = min(1.0, _ROOMY / len(blocks))
    for axes, block in zip(grid, blocks, strict=True):
        _draw(axes, block, scale)
    grid[0].set_yticks(range(len(optimizers)), [style.label(name) for name in optimizers], fontsize=7)
    for text, name in zip(grid[0].get_yticklabels(), optimizers, strict=True):
        text.set_fontweight("bold" if style.is_published(name) else "normal")
    return figure


def shades(values: np.ndarray, *, minimize: bool) -> np.ndarray:
    """Shades from 0, the worst value that is shaded, to 1, the best.

    Values that are minimised are shaded by their logarithm, if all are positive.
    """
    if minimize:
        values = -np.log(values) if np.nanmin(values) > 0 else -values
    # Of a few values, too, the worst one takes no more of the scale than the next.
    best, worst = np.nanmax(values), np.nanquantile(values, 1 - _SHADED, method="higher")
    return np.clip((values - worst) / (best - worst), 0, 1) if best > worst else np.zeros_like(values)


def _draw(axes: Axes, block: Block, scale: float) -> None:
    if block.diverging:
        axes.imshow(block.shade, vmin=-0.1, vmax=1.1, cmap="RdBu", aspect="auto")
        dark = np.abs(block.shade - 0.5) > 0.35
    else:
        axes.imshow(block.shade, vmin=0, vmax=1.15, cmap="Blues", aspect="auto")
        dark = block.shade > 0.7
    for place, row in enumerate(block.texts.to_numpy()):
        for column, text in enumerate(row):
            ink = "white" if dark[place, column] else "black"
            axes.text(column, place, text, ha="center", va="center", fontsize=6.5 * scale, color=ink)
    axes.set_title(block.title, fontsize=7.5 * scale)
    axes.set_xticks(range(len(block.ticks)), block.ticks)
    axes.grid(visible=False)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
