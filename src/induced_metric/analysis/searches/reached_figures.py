"""Figures of how soon and how often a target is reached (``reached``)."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullLocator

from induced_metric.analysis import draws, runs, style
from induced_metric.analysis.searches.reached import (
    Target,
    cumulative,
    over_tasks,
    performance_profile,
    target_of,
)
from induced_metric.records import Records

_APART = 0.012  # offset between two lines of a profile, as a share of its height
_COLUMNS = 3


def reached_figure(task: str, ours: Mapping[str, Records], n: int) -> Figure:
    """``cumulative``: a panel per sampler, a line per optimiser; the target and its origin in the title."""
    goal = target_of(task, ours, n)
    objective, direction = runs.objective(ours)
    names = style.ordered({name for study in ours.values() for name in study.trials["optimizer"].unique()})
    with style.style():
        figure, grid = style.panels(
            len(ours), columns=_COLUMNS, height=2.1, spare=1.2, xlabel="epochs trained"
        )
        for axes, (sampler, study) in zip(grid, ours.items(), strict=True):
            table = cumulative(study, goal.value)
            for name, curve in style.in_order(table).groupby("optimizer", sort=False):
                look: dict[str, Any] = {
                    "color": style.colour(str(name)),
                    "ls": style.line(str(name)),
                    "lw": 1.2,
                }
                # Extend a little beyond the last epoch, so that a last step is not on the edge of the panel.
                epochs = [*curve["epochs"], 1.03 * curve["epochs"].iloc[-1]]
                axes.plot(epochs, [*curve["share"], curve["share"].iloc[-1]], drawstyle="steps-post", **look)
            # A name such as wandb_bayes+wandb_hyperband is wider than a panel.
            axes.set_title(f"{sampler.replace('+', chr(10) + '+')} (n = {style.span(table['n'])})")
        grid[0].set_ylim(bottom=0)
        handles = [_handle(name) for name in names]
        figure.legend(handles=handles, loc="outside lower center", ncols=4 if len(ours) > 1 else 2)
        side = "≤" if direction == "minimize" else "≥"
        origin = draws.origin(*(study.trials for study in ours.values()))
        if len(ours) == 1 and len(origin) > 52:  # 52 characters fit a column
            origin = origin.replace(" (", "\n(", 1)
        lines = [f"{origin}:", f"{style.words(objective)} {side} {goal.value:g}"]
        lines += [] if goal.named else ["(target derived from these records)"]
        figure.suptitle((" " if len(ours) > 1 else "\n").join(lines))
        figure.supylabel("share of trials that reached the target")
    return figure


def tasks_figure(tasks: Mapping[str, Records], goals: Mapping[str, Target]) -> Figure | None:
    """A heat map of the share of trials that reach the target, and the performance profile over the tasks.

    None where no optimiser is on record on all tasks, since a profile is of those alone.
    """
    table = over_tasks(tasks, goals)
    whole = table[table.groupby("optimizer")["task"].transform("nunique") == len(tasks)]
    if whole.empty:
        return None
    shares = table.pivot_table(index="optimizer", columns="task", values="share", sort=False)[list(tasks)]
    with style.style():
        figure = Figure(figsize=(style.PAGE, 0.32 * len(shares) + 1.9), layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=(1.45, 1))
        left.imshow(shares, vmin=0, vmax=1, cmap="Blues", aspect="auto")
        for row, values in enumerate(shares.to_numpy()):
            for column, value in enumerate(values):
                ink = "white" if value > 0.6 else "black"
                text = "–" if np.isnan(value) else f"{value:.0%}"
                left.text(column, row, text, ha="center", va="center", fontsize=7.5, color=ink)
        left.set_yticks(range(len(shares)), [style.label(name) for name in shares.index], fontsize=7.5)
        for text, name in zip(left.get_yticklabels(), shares.index, strict=True):
            text.set_color(style.colour(name))  # the colours of the lines in the other panel
        labels = [f"{task.replace('_', chr(10))}\n{goals[task].value:g}{'' if goals[task].named else '*'}"
                  for task in tasks]  # fmt: skip
        left.set_xticks(range(len(tasks)), labels, fontsize=min(6.5, 33 / len(tasks)))
        left.grid(visible=False)
        left.tick_params(length=0)
        left.set_title("share of trials that reach the target")
        _profile(right, performance_profile(whole), len(tasks))
        figure.suptitle(draws.origin(*(study.trials for study in tasks.values())))
        if not all(goal.named for goal in goals.values()):
            figure.supxlabel("* target derived from the same records, not named beforehand", fontsize=7.5)
    return figure


def _profile(axes: Axes, profile: pd.DataFrame, number: int) -> None:
    last = profile["ratio"].max() * 1.15
    names = profile["optimizer"].unique()
    for place, (name, curve) in enumerate(profile.groupby("optimizer", sort=False)):
        # With few tasks most steps coincide: offset the lines, or only the last one drawn would be seen.
        share = curve["share"] + _APART * (place - (len(names) - 1) / 2)
        look: dict[str, Any] = {"color": style.colour(str(name)), "ls": style.line(str(name)), "lw": 1.2}
        ends = [*curve["ratio"], last], [*share, share.iloc[-1]]
        axes.plot(*ends, drawstyle="steps-post", **look)
        steps = curve["share"].diff().fillna(curve["share"]) > 0
        mark = look | {"marker": style.marker(str(name)), "ms": 4, "mec": "white", "mew": 0.4, "ls": ""}
        axes.plot(curve["ratio"][steps], share[steps], zorder=3, **mark)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_locator(NullLocator())
    margin = max(0.06, _APART * (len(names) / 2 + 1))
    axes.set_ylim(-margin, 1 + margin)
    axes.set_yticks([task / number for task in range(number + 1)], [str(task) for task in range(number + 1)])
    axes.set_xlabel("epochs per success ÷ fewest")
    axes.set_title(f"tasks (of {number}) solved within this factor")


def _handle(name: str) -> Line2D:
    return Line2D([], [], color=style.colour(name), ls=style.line(name), lw=1.4, label=style.label(name))
