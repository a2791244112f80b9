"""The best run of each optimiser, epoch by epoch; the best runs; and what the seed alone changes."""

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from induced_metric.analysis import runs, style
from induced_metric.analysis.confirmations import confirmed
from induced_metric.analysis.report import looks
from induced_metric.analysis.report.blocks import Chart, Choice
from induced_metric.analysis.report.part import Part
from induced_metric.records import CONFIRMED, FIXED, Records, published

_EPOCHS = 200
"""The most epochs of a curve that are drawn: a longer curve is thinned to about as many, evenly on a
logarithmic scale, and keeps its best and its last epoch."""
_TOGETHER = "all studies"


def best_curves(part: Part) -> Chart | None:
    """The curve of each optimiser's best run in each search, by metric; None if no trial is complete."""
    figure = looks.figure("epoch (from 1)", "")
    metrics: dict[str, str] = {}
    for sampler, study in part.searches.items():
        for run in style.in_order(runs.top(study.trials, 1)).to_dict("records"):
            name, trial = str(run["optimizer"]), int(run["trial"])
            curve = study.curves
            curve = curve[(curve["optimizer"] == name) & (curve["trial"] == trial)]
            curve = curve.iloc[_thinned(len(curve), int(run["best_epoch"]))]
            for metric in (each for each in map(str, curve) if "/" in each and curve[each].notna().any()):
                metrics[metric] = style.words(metric)
                figure.add_scatter(
                    x=(curve["epoch"] + 1).to_numpy(np.int32),
                    y=looks.compact(looks.distance(curve[metric], metric)),
                    mode="lines",
                    line=looks.line(name) | {"width": 1.8},
                    name=style.label(name),
                    meta={"source": sampler, "metric": metric, "optimizer": name},
                    hovertemplate=f"{style.label(name)}, trial {trial}, epoch %{{x}}: "
                    "%{y:.5g}<extra></extra>",
                )
    if not metrics:
        return None
    figure.update_xaxes(looks.fitted([x for trace in figure.data for x in trace.x[[0, -1]]], 1.03))
    # The objective comes first, because the best run is chosen by it.
    ordered = sorted(metrics, key=lambda name: (name != part.objective, name))
    choices = [
        Choice("source", "Search", {name: name for name in part.searches}),
        Choice("metric", "Metric", {name: metrics[name] for name in ordered},
               {name: _axis(name, figure) for name in ordered}),
    ]  # fmt: skip
    notes = [f"Curves of more than {_EPOCHS} epochs are thinned to about that many."]
    return Chart("best-curves", "The best run of each optimiser", figure, choices, notes)


def _axis(metric: str, figure: Any) -> dict[str, Any]:
    """The axis of a metric, fitted to all of its curves."""
    curves = [trace.y for trace in figure.data if trace.meta["metric"] == metric]
    axis = {f"yaxis.{name}": value for name, value in looks.fitted(np.concatenate(curves)).items()}
    return {"yaxis.title.text": looks.named(metric)} | axis


def _thinned(number: int, best: int) -> np.ndarray:
    """The indices of the epochs that are drawn, out of ``number``."""
    if number <= _EPOCHS:
        return np.arange(number)
    spaced = np.round(np.geomspace(1, number, _EPOCHS)).astype(int) - 1
    return np.unique([*spaced, np.clip(best, 0, number - 1), number - 1])


def best_runs(part: Part) -> Chart | None:
    """Each of the best runs as a point at its epoch and value, and the published mean if there is one."""
    if not part.searches:
        return None
    n = runs.best_count(part.searches)
    figure = looks.figure("epoch of the best value (from 0)", looks.named(part.objective))
    drawn: list[float] = []
    for sampler, study in part.searches.items():
        best = runs.top(study.trials, n)
        for name in style.ordered(best["optimizer"].unique()):
            rows = best[best["optimizer"] == name]
            value = looks.distance(rows["value"], part.objective)
            drawn += value.tolist()
            figure.add_scatter(
                x=rows["best_epoch"].to_numpy(np.int32),
                y=looks.compact(value),
                **looks.points(name, rows["trial"], size=7, opacity=0.7),
                meta={"source": sampler, "optimizer": name},
                hovertemplate=f"{style.label(name)}, trial %{{customdata}}, epoch %{{x}}: %{{y:.5g}}"
                "<extra></extra>",
            )
    if not drawn:
        return None
    quoted = runs.quoted(part.task, part.searches).to_dict("index")
    for name in style.ordered(quoted):
        drawn.append(_published(figure, name, quoted[name], part.objective))
    figure.update_yaxes(looks.fitted(drawn))
    names = style.ordered({name for study in part.searches.values() for name in study.trials["optimizer"]})
    choices = [
        Choice("source", "Search", {name: name for name in part.searches}),
        Choice("optimizer", "Optimiser", {"*": "all"} | {name: style.label(name) for name in names}),
    ]
    notes = [f"The best {n} runs of each optimiser."]
    if quoted:
        notes.append(
            f"Hollow markers: the published mean of the best {published.RUNS_SUMMARISED} runs, with the "
            "population standard deviations of epoch and value."
        )
    return Chart("best-runs", "The best runs", figure, choices, notes)


def _published(figure: Any, name: str, row: Mapping[Hashable, float], objective: str) -> float:
    """Draws the published mean of an optimiser; returns its place on the axis."""
    value = float(looks.distance(pd.Series([row["metric_mean"]]), objective).iloc[0])
    look = looks.marker(name, 12)
    figure.add_scatter(
        x=[float(row["epoch_mean"])],
        y=[value],
        error_x={"array": [float(row["epoch_std"])], "thickness": 1},
        error_y={"array": [float(row["metric_std"])], "thickness": 1},
        mode="markers",
        marker=look | {"symbol": f"{look['symbol']}-open", "line": {"width": 2}},
        name=f"{style.label(name)}, published",
        legendgroup=name,
        showlegend=False,
        meta={"optimizer": name},
        hovertemplate=f"{style.label(name)}, published mean: %{{y:.5g}}<extra></extra>",
    )
    return value


def seeds(part: Part) -> Chart | None:
    """Every training from fresh seeds, one box per optimiser; None if there is none."""
    figure = looks.figure("", "", showlegend=False, boxmode="overlay")
    sources: dict[str, str] = {}
    objective, drawn = "", []
    for kind in (CONFIRMED, FIXED):
        chosen = {name: study for name, study in part.repeats.items() if name.endswith(kind)}
        if not chosen:
            continue
        objective = runs.objective(chosen)[0]
        for source, label, table in _by_source(chosen, part):
            sources[source] = label
            for name in reversed(style.ordered(table["optimizer"].unique())):
                rows = table[table["optimizer"] == name]
                value = looks.compact(looks.distance(rows["value"], objective))
                drawn += value.tolist()
                figure.add_box(
                    x=value,
                    y=[style.label(name)] * len(rows),
                    customdata=rows["seed"].tolist(),
                    orientation="h",
                    boxpoints="all",
                    jitter=0.6,
                    pointpos=0,
                    fillcolor="rgba(0,0,0,0)",
                    line={"color": style.colour(name), "width": 1.5},
                    marker=looks.marker(name, 4) | {"opacity": 0.45},
                    name=style.label(name),
                    meta={"source": source, "optimizer": name},
                    hovertemplate="seed %{customdata}: %{x:.5g}<extra></extra>",
                )
    if not sources:
        return None
    figure.update_xaxes(looks.fitted(drawn), title_text=looks.named(objective))
    figure.update_layout(height=120 + 52 * len({trace.name for trace in figure.data}))
    notes = [
        "Each dot is a training run from a seed that the search did not use; the box holds the middle half. "
        "A run that diverged counts as the worst value."
    ]
    return Chart("seeds", "How much the seed changes", figure, [Choice("source", "Settings", sources)], notes)


def _by_source(chosen: dict[str, Records], part: Part) -> list[tuple[str, str, pd.DataFrame]]:
    """The trainings of all studies together, then those of each study."""
    table = confirmed.collect(chosen, part.searches)
    if FIXED in chosen:
        return [(FIXED, "the published best settings", table)]
    studies = list(dict.fromkeys(table["study"]))
    per_study = [(study, f"winners of {study}", table[table["study"] == study]) for study in studies]
    combined = (_TOGETHER, f"winners of all {len(studies)} studies", table)
    return [combined, *per_study] if len(studies) > 1 else per_study
