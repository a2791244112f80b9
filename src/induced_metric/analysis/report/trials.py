"""Every trial against each of its hyperparameters, with the ends of the ranges that were searched."""

import json
from collections.abc import Mapping
from typing import Any

import pandas as pd

from induced_metric.analysis import style
from induced_metric.analysis.report import looks
from induced_metric.analysis.report.blocks import ANY, Chart, Choice
from induced_metric.analysis.report.part import Part
from induced_metric.analysis.support import counted
from induced_metric.analysis.tuning import tuning_curves
from induced_metric.records.schema import RESERVED
from induced_metric.space import Dimension, Float, Int, dimensions

_FIRST = "learning_rate"


def response(part: Part) -> Chart | None:
    """The objective over each hyperparameter, one dot per trial; None if nothing was searched."""
    spaces = {sampler: _spaces(study.trials) for sampler, study in part.searches.items()}
    names = {name for by_optimizer in spaces.values() for space in by_optimizer.values() for name in space}
    tables = [study.trials for study in part.searches.values()]
    parameters = [name for name in sorted(names, key=lambda name: (name != _FIRST, name))
                  if any(name in trials and _numeric(trials[name]) for trials in tables)]  # fmt: skip
    if not parameters:
        return None
    bounds = tuning_curves.common_support(part.searches)
    metric = looks.named(part.objective)
    figure = looks.figure("", metric)
    values = {
        sampler: looks.distance(counted(study.trials, bounds), part.objective)
        for sampler, study in part.searches.items()
    }
    edge = _edge(pd.concat(values))
    for sampler, study in part.searches.items():
        value = values[sampler].clip(upper=edge)
        for name in style.ordered(study.trials["optimizer"].unique()):
            mask = study.trials["optimizer"] == name
            for parameter in parameters:
                if parameter in study.trials and parameter in spaces[sampler].get(name, {}):
                    _dots(figure, study.trials[mask], value[mask], name, sampler, parameter,
                          spaces[sampler][name][parameter])  # fmt: skip
    figure.update_yaxes(looks.fitted(pd.concat(values).clip(upper=edge)))
    optimizers = style.ordered({name for by_optimizer in spaces.values() for name in by_optimizer})
    choices = [
        Choice("parameter", "Hyperparameter", {name: name for name in parameters},
               {name: _layout(name, spaces) for name in parameters}),
        Choice("source", "Search", {name: name for name in part.searches}),
        Choice("optimizer", "Optimiser", {name: style.label(name) for name in optimizers} | {ANY: "all"}),
    ]  # fmt: skip
    notes = [
        f"Each dot is a trial. Trials with values beyond {edge:.3g}, and those that diverged or failed, are "
        "drawn there. Vertical lines mark the ends of the searched range, if it is the same for all "
        "optimisers and searches. All hyperparameters are searched together, so the dots at a value show "
        "what is possible there, not the effect of that value alone.",
    ]
    return Chart("response", f"Response of {style.words(part.objective)} to each hyperparameter", figure,
                 choices, notes)  # fmt: skip


def _edge(values: "pd.Series[float]") -> float:
    """The worst value drawn as it is: a few trials that went astray would leave the others no room."""
    ended = values[values < values.max()]
    return max(float((values if ended.empty else ended).quantile(0.98)), 1.5 * float(values.min()))


def _spaces(trials: pd.DataFrame) -> dict[str, dict[str, Dimension | None]]:
    """The search space of each optimiser: of the dimensions configured, those that its trials have.

    Older studies have no search space on record: there the hyperparameters that vary were searched.
    """
    spaces: dict[str, dict[str, Dimension | None]] = {}
    for row in trials[["optimizer", "config"]].drop_duplicates().itertuples():
        name = str(row.optimizer)
        configured = dimensions(json.loads(str(row.config)).get("search_space", {}))
        rows = trials[trials["optimizer"] == name]
        searched = configured or dict.fromkeys(set(trials.columns) - RESERVED)
        spaces[name] = {key: each for key, each in searched.items() if key in rows and _varies(rows[key])}
    return spaces


def _varies(column: pd.Series) -> bool:
    return bool((column != column.iloc[0]).any()) and bool(column.notna().all())


def _numeric(column: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)


def _dots(
    figure: Any,
    trials: pd.DataFrame,
    value: pd.Series,
    name: str,
    sampler: str,
    parameter: str,
    dimension: Dimension | None,
) -> None:
    at = trials[parameter].astype(float)
    mirrored = _mirrored(dimension)
    figure.add_scatter(
        x=looks.compact(1 - at if mirrored else at),
        y=looks.compact(value),
        **looks.points(name, trials["trial"], size=6, opacity=0.65),
        meta={"parameter": parameter, "source": sampler, "optimizer": name},
        hovertemplate=f"{style.label(name)}, trial %{{customdata}}<br>"
        f"{_axis(parameter, mirrored=mirrored)} = %{{x:.4g}}<br>%{{y:.5g}}<extra></extra>",
    )


def _mirrored(dimension: Dimension | None) -> bool:
    return isinstance(dimension, Float) and dimension.complement


def _axis(parameter: str, *, mirrored: bool) -> str:
    return f"1 − {parameter}" if mirrored else parameter


def _layout(
    parameter: str, spaces: Mapping[str, Mapping[str, Mapping[str, Dimension | None]]]
) -> dict[str, Any]:
    """The axis of a hyperparameter, with lines at the ends of its range if all searches have the same."""
    configured = [
        space[parameter] for study in spaces.values() for space in study.values() if parameter in space
    ]
    first = configured[0]
    mirrored = _mirrored(first)
    layout: dict[str, Any] = {"xaxis.title.text": _axis(parameter, mirrored=mirrored), "shapes": []}
    if not isinstance(first, Float | Int):
        return layout | {"xaxis.type": "linear", "xaxis.autorange": True}
    ranges = [each for each in configured if isinstance(each, Float | Int)]
    sides = [1 - side if mirrored else side for each in ranges for side in (each.low, each.high)]
    if first.log and min(sides) > 0:
        axis = looks.fitted(sides, 1.5)
    else:
        margin = 0.04 * (max(sides) - min(sides))
        axis = {"type": "linear", "range": [min(sides) - margin, max(sides) + margin]}
    if mirrored:
        axis["range"] = axis["range"][::-1]
    layout |= {f"xaxis.{name}": value for name, value in axis.items()}
    if all(each == first for each in configured):
        for at in sides[:2]:
            layout["shapes"].append(
                {"type": "line", "x0": at, "x1": at, "yref": "paper", "y0": 0, "y1": 1,
                 "line": {"dash": "dot", "width": 1.5, "color": "#808080"}}
            )  # fmt: skip
    return layout
