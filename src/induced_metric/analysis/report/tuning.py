"""What tuning costs: curves with bands, and the ranking after every number of trials."""

from typing import Any

import numpy as np
import pandas as pd

from induced_metric.analysis import style
from induced_metric.analysis.report import looks
from induced_metric.analysis.report.blocks import ANY, Chart, Choice, Ranking
from induced_metric.analysis.report.part import Part
from induced_metric.analysis.statistics import CONFIDENCE
from induced_metric.analysis.tuning import tuning_curves

_DIGITS = 4
_FIRST = 30
"""The number of trials that the ranking shows first, or the greatest number there is."""


def curves(part: Part) -> Chart | None:
    """The median best after k trials, with its known error; None if nothing was searched."""
    if not part.searches:
        return None
    table = _drawn(tuning_curves.curves(part.searches), part)
    metric = looks.named(part.objective)
    figure = looks.figure("trials of the search", f"best {metric} so far")
    log = part.direction == "minimize" or part.objective.endswith("accuracy")
    least = float(table["best"].min())
    figure.update_xaxes(looks.log_axis(0.95, 1.05 * table["trials"].max()))
    if log:  # a band may reach down to the best possible value, far below any value that was seen
        figure.update_yaxes(looks.log_axis(least / 1.5, 1.1 * float(table["best"].max())))
    floor = least / 10 if log else -np.inf
    sources = _sources(table)
    for source in sources:
        for name in style.ordered(table["optimizer"].unique()):
            curve = table[(table["source"] == source) & (table["optimizer"] == name)]
            if not curve.empty:
                _curve(figure, curve, name, {"source": source, "optimizer": name}, floor)
    names = style.ordered(table["optimizer"].unique())
    choices = [
        Choice("source", "Search", {source: _named(table, source) for source in sources}),
        Choice("optimizer", "Optimiser", {ANY: "all"} | {name: style.label(name) for name in names}),
    ]
    notes = [
        "A trial that diverged or failed counts as the worst value. Curves are drawn at "
        "about 24 numbers of trials per decade.",
    ]
    title = f"Best {style.words(part.objective)} that k trials find in the median search"
    return Chart("curves", title, figure, choices, notes)


def ranking(part: Part) -> Ranking | None:
    """The ranking after every k of every family of searches; None with fewer than two optimisers."""
    if not part.searches:
        return None
    most = max(int(study.trials.groupby("optimizer").size().max()) for study in part.searches.values())
    table = tuning_curves.curves(part.searches, range(1, most * len(part.searches) + 1))
    if table["optimizer"].nunique() < 2:
        return None
    frames = {source: _frames(table, source, part.direction) for source in _sources(table)}
    figure = looks.figure(f"best {style.words(part.objective)}", "", height=330, showlegend=False)
    for name in style.ordered(table["optimizer"].unique()):
        figure.add_scatter(
            x=[0.0],
            y=[style.label(name)],
            error_x={"type": "data", "symmetric": False, "array": [0.0], "arrayminus": [0.0], "width": 5},
            mode="markers",
            marker=looks.marker(name, 11),
            name=style.label(name),
            meta={"optimizer": name},
            hovertemplate="%{y}: %{x:.4g}<extra></extra>",
        )
    if part.objective.endswith("accuracy") or table["best"].min() <= 0:
        low, high = table["best"].quantile(0.02), table["best"].max()
        margin = 0.04 * (high - low)
        figure.update_xaxes(range=[float(low - margin), float(high + margin)])
    else:
        figure.update_xaxes(looks.fitted(table["best"], 1.3))
    notes = [
        "Independent trials: the median over all subsets of k trials, and a band that holds with "
        f"{CONFIDENCE:.0%} for all k of one optimiser at once, not for all optimisers at once. Studies of a "
        "search that learns: their median and, if there are several, their range. Overlapping bands do not "
        "mean that optimisers are equal; of random search, the tables have paired differences.",
    ]
    return Ranking("ranking", "Ranking after k trials", "curves", figure, frames, _DIGITS, notes)


def _drawn(table: pd.DataFrame, part: Part) -> pd.DataFrame:
    if not part.objective.endswith("accuracy"):
        return table
    best, low, high = (looks.distance(table[name], part.objective) for name in ("best", "high", "low"))
    return table.assign(best=best, low=low, high=high)


def _curve(figure: Any, own: pd.DataFrame, name: str, meta: dict[str, str], floor: float) -> None:
    steps = own["kind"].iloc[0] == "studies"
    shape = "hv" if steps else "linear"
    at = own["trials"].to_numpy(np.int32)
    if not steps or own["n"].iloc[0] > 1:
        figure.add_scatter(
            x=np.concatenate([at, at[::-1]]),
            y=looks.compact(np.concatenate([own["high"], own["low"][::-1]]).clip(floor)),
            fill="toself",
            fillcolor=style.colour(name),
            opacity=0.13,
            line={"width": 0},
            hoverinfo="skip",
            showlegend=False,
            legendgroup=name,
            meta=meta,
        )
    figure.add_scatter(
        x=at,
        y=looks.compact(own["best"]),
        mode="lines",
        line=looks.line(name) | {"shape": shape, "width": 2},
        name=style.label(name),
        legendgroup=name,
        meta=meta,
        hovertemplate=f"{style.label(name)}, %{{x}} trials: %{{y:.4g}}<extra></extra>",
    )


def _frames(table: pd.DataFrame, source: str, direction: str) -> dict[str, Any]:
    rows = table[table["source"] == source]
    wide = rows.pivot_table(index="trials", columns="optimizer", values=["best", "low", "high"])
    wide = wide.dropna()
    names = style.ordered(wide["best"].columns)
    best = wide["best"][names].to_numpy()
    has_range = rows["kind"].iloc[0] == "trials" or int(rows["n"].max()) > 1
    order = np.argsort(best if direction == "minimize" else -best, axis=1, kind="stable")
    budgets = [int(k) for k in wide.index]
    return {
        "label": _named(table, source),
        "budgets": budgets,
        "start": sum(k < min(_FIRST, budgets[-1]) for k in budgets),
        "names": names,
        **{
            end: [_rounded(column) for column in wide[end][names].to_numpy().T]
            if has_range or end == "best"
            else []
            for end in ("best", "low", "high")
        },
        "orders": order.tolist(),
    }


def _rounded(values: np.ndarray) -> list[float]:
    return [float(f"{value:.5g}") for value in values]


def _sources(table: pd.DataFrame) -> list[str]:
    """Independent trials come first, because their errors are known."""
    return list(dict.fromkeys(table.sort_values("kind", ascending=False, kind="stable")["source"]))


def _named(table: pd.DataFrame, source: str) -> str:
    rows = table[table["source"] == source]
    number = int(rows["n"].max())
    if rows["kind"].iloc[0] == "trials":
        return f"{source}: {number} independent trials"
    return f"{source}: one study" if number == 1 else f"{source}: {number} studies"
