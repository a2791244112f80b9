"""How every chart of the report looks: the optimisers' colours and shapes (``style``) in plotly's terms."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from induced_metric.analysis import style

_SYMBOLS = {
    "o": "circle",
    "s": "square",
    "^": "triangle-up",
    "D": "diamond",
    "v": "triangle-down",
    "P": "cross",
    "X": "x",
    "<": "triangle-left",
    ">": "triangle-right",
    "p": "pentagon",
    "h": "hexagon",
    "*": "star",
    "d": "diamond-tall",
}
_DASHES = {"-": "solid", "--": "dash", ":": "dot", "-.": "dashdot"}
_LEGEND = {"orientation": "h", "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom"}


def line(optimizer: str) -> dict[str, Any]:
    """Colour and dashes of an optimiser."""
    return {"color": style.colour(optimizer), "dash": _DASHES[style.line(optimizer)]}


def marker(optimizer: str, size: float = 8) -> dict[str, Any]:
    """Colour and shape of an optimiser."""
    return {"color": style.colour(optimizer), "symbol": _SYMBOLS[style.marker(optimizer)], "size": size}


def points(optimizer: str, trials: pd.Series, *, size: float, opacity: float) -> dict[str, Any]:
    """One point per trial of an optimiser; ``%{customdata}`` is the number of the trial."""
    return {
        "customdata": trials.to_numpy(np.int32),
        "mode": "markers",
        "marker": marker(optimizer, size) | {"opacity": opacity},
        "name": style.label(optimizer),
        "legendgroup": optimizer,
    }


def figure(x: str, y: str, *, height: int = 440, **layout: Any) -> go.Figure:
    """An empty figure with these axis titles.

    The page sets the colours of the background and the text, which depend on the reader's choice.
    """
    chart = go.Figure()

    def axis(title: str) -> dict[str, Any]:
        return {"automargin": True, "title": {"standoff": 8, "text": title}, "zeroline": False}

    chart.update_layout(
        template="none",
        height=height,
        margin={"l": 60, "r": 12, "t": 30, "b": 52},
        legend=_LEGEND,
        hovermode="closest",
        xaxis=axis(x),
        yaxis=axis(y),
    )
    chart.update_layout(**layout)
    return chart


def log_axis(low: float, high: float) -> dict[str, Any]:
    """A logarithmic axis between two positive numbers, each label of which is a complete number.

    Plotly's own labels are good within a decade; over more than one it labels some ticks with only a 2 or 5.
    """
    axis: dict[str, Any] = {"type": "log", "range": [float(np.log10(low)), float(np.log10(high))]}
    decades = np.log10(high / low)
    if decades <= 1:
        return axis
    first, last = int(np.floor(np.log10(low))) - 1, int(np.ceil(np.log10(high))) + 1
    steps = (1, 2, 5) if decades <= 3.5 else (1,)
    powers = range(first, last + 1) if decades <= 9 else range(first, last + 1, 3)
    ticks = [(step, power) for power in powers for step in steps]
    return axis | {
        "tickmode": "array",
        "tickvals": [step * 10.0**power for step, power in ticks],
        "ticktext": [_tick(step, power) for step, power in ticks],
    }


def fitted(values: Iterable[float], margin: float = 1.1) -> dict[str, Any]:
    """A ``log_axis`` a little wider than the positive ones of the values; a linear axis if none is."""
    positive = np.asarray(list(values), dtype=float)
    positive = positive[np.isfinite(positive) & (positive > 0)]
    return log_axis(positive.min() / margin, positive.max() * margin) if len(positive) else {"type": "linear"}


def _tick(step: int, power: int) -> str:
    if -4 < power < 4:
        return f"{step * 10.0**power:g}"
    return f"10<sup>{power}</sup>" if step == 1 else f"{step}·10<sup>{power}</sup>"


def compact(values: Iterable[float]) -> np.ndarray:
    """The numbers as float32: four bytes each in the page, and seven digits, more than a chart shows."""
    return np.asarray(values, dtype=np.float32)


def distance(values: pd.Series, objective: str) -> pd.Series:
    """The values to draw: of an accuracy its distance to 1, which a logarithmic axis can show."""
    return 1 - values if objective.endswith("accuracy") else values


def named(objective: str) -> str:
    """The name of what ``distance`` returns."""
    words = style.words(objective)
    return f"1 − {words}" if objective.endswith("accuracy") else words
