"""The confirmations as a figure: what each optimiser's winners reach from fresh seeds, study by study."""

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from induced_metric.analysis import draws, runs, style
from induced_metric.analysis.confirmations import confirmed, verdicts
from induced_metric.analysis.confirmations.scale import Scale, scale_of
from induced_metric.analysis.statistics import CONFIDENCE
from induced_metric.records import FIXED, Records

_HEIGHT = 0.8  # the height that is drawn on, as a share of an optimiser's row

_REACH = 8
"""How far beyond the quartiles of the winners' medians a cropped axis reaches, in interquartile ranges on its
scale."""


def letters(names: Iterable[str], apart: Iterable[tuple[str, str]]) -> dict[str, str]:
    """A compact letter display: two names share a letter if and only if they do not differ significantly.

    The letters are found by insertion and absorption (Piepho, Journal of Computational and Graphical
    Statistics 13, 2004): a group with a significantly different pair is split into one without the first and
    one without the second, and a group contained in another is dropped.

    Args:
        names: the names, in the order in which letters are given out.
        apart: the pairs that are significantly different.
    """
    place = {name: number for number, name in enumerate(names)}
    groups = {frozenset(place)}
    for one, other in apart:
        split = {group - {left_out} for group in groups if {one, other} <= group for left_out in (one, other)}
        split |= {group for group in groups if not {one, other} <= group}
        groups = {group for group in split if not any(group < larger for larger in split)}
    ranked = sorted(groups, key=lambda group: sorted(place[name] for name in group))
    return {
        name: "".join(chr(ord("a") + number) for number, group in enumerate(ranked) if name in group)
        for name in place
    }


def confirmed_figure(
    task: str, ours: Mapping[str, Records], searches: Mapping[str, Records], *, lettered: bool = True
) -> Figure:
    """One row per optimiser, best first: its mean with the interval, and a bar for the winner of each study.

    Bars span the quartiles over the seeds, lines the range from 5 to 95%; markers are the mean of a study.
    Shaded is the interval of the mean over studies and seeds (``confirmed.standings``). The optimisers in the
    first family of ``verdicts.families`` have letters: two without a common letter are significantly
    different (``confirmed.judged``). Means of a loss are geometric (``scale``).

    Args:
        task: name of the task.
        ours: the confirmations, by sampler, or the published settings (``FIXED``).
        searches: the searches, by sampler.
        lettered: False leaves the letters out, where other pairs are judged.
    """
    trainings = confirmed.collect(ours, searches)
    objective, direction = runs.objective(ours)
    minimize = direction == "minimize"
    table = confirmed.standings(task, ours, searches)
    table = table.sort_values("mean", ascending=minimize, kind="stable", ignore_index=True)
    scale = scale_of(trainings["value"], minimize=minimize)
    # Only some of the other optimisers are shown, and a verdict depends on how many are judged: the tables
    # have their verdicts.
    pairs = verdicts.families(table["optimizer"])[0] if lettered else []
    judged = confirmed.judged(ours, searches, pairs=pairs)
    groups = _groups(table["optimizer"].tolist(), judged)
    most_studies = int(table["studies"].max())
    with style.style():
        row_height = 0.22 + 0.09 * most_studies
        figure = Figure(figsize=(style.PAGE, 1.2 + row_height * len(table)), layout="constrained")
        axes = figure.subplots()
        for place, standing in table.iterrows():
            name = str(standing["optimizer"])
            rows = trainings[trainings["optimizer"] == name]
            _row(
                axes,
                int(str(place)),
                standing,
                [study["value"] for _, study in rows.groupby("study", sort=False)],
                scale,
            )
        axes.set_yticks(range(len(table)), [_named(standing) for _, standing in table.iterrows()])
        axes.set_ylim(len(table) - 0.5, -0.5)
        axes.grid(axis="y", visible=False)
        if scale.logarithmic:
            axes.set_xscale("log")
        axes.autoscale_view(scaley=False)
        _crop(axes, trainings, table["optimizer"].tolist(), scale)
        style.readable(axes.xaxis)
        split = runs.chosen_by(next(iter(ours.values()))).partition("/")[0]
        axes.set_xlabel(f"{style.words(objective)} at the epoch that is best on {split}")
        right_axis = axes.secondary_yaxis("right")
        right_axis.set_yticks(range(len(table)), [groups.get(name, "") for name in table["optimizer"]])
        right_axis.tick_params(length=0)
        right_axis.spines["right"].set_visible(False)
        figure.suptitle(
            f"{draws.origin(*(study.trials for study in ours.values()))}:\n"
            f"{confirmed.whose(ours)}, trained again from fresh seeds"
        )
        every, one = ("", "") if FIXED in ours else ("all winners: ", "one winner's ")
        mean = scale.mean_words
        handles = [
            Patch(color="0.4", alpha=0.25, lw=0, label=f"{every}{mean}, {CONFIDENCE:.0%} interval"),
            Line2D([], [], color="0.4", lw=3, solid_capstyle="butt", label=f"{one}seeds: quartiles"),
            Line2D([], [], color="0.4", lw=0.8, label=f"{one}seeds: 5 to 95%"),
            Line2D([], [], color="0.4", marker="o", ls="", ms=3.5, mec="white", label=f"{one}seeds: {mean}"),
        ]
        title = (
            f"No letter in common: significantly different ({CONFIDENCE:.0%}, Holm over all lettered pairs)"
            if judged is not None
            else None
        )
        figure.legend(handles=handles, loc="outside lower center", ncols=2, title=title, title_fontsize=7)
    return figure


def _crop(axes: Axes, found: pd.DataFrame, optimizers: list[str], scale: Scale) -> None:
    """Ends the axis near the winners if a few that fail would squeeze all others; marks what continues."""
    winners = found.groupby(["optimizer", "study"])["value"]
    lower, upper = scale.to(winners.median().quantile([0.25, 0.75]))
    reach = _REACH * (upper - lower)
    low, high = scale.back([lower - reach, upper + reach])
    lowest = winners.quantile(0.05).groupby("optimizer").min()
    highest = winners.quantile(0.95).groupby("optimizer").max()
    if low == high or (lowest.min() >= low and highest.max() <= high):
        return
    left, right = scale.to([max(low, lowest.min()), min(high, highest.max())])
    margin = 0.03 * (right - left)
    axes.set_xlim(*scale.back([left - margin, right + margin]))
    for place, name in enumerate(optimizers):
        for value, beyond, x, text in (
            (lowest[name], lowest[name] < low, 0.01, "◂ to {:.3g}"),
            (highest[name], highest[name] > high, 0.99, "to {:.3g} ▸"),
        ):
            if beyond:
                axes.text(
                    x, place, text.format(value), fontsize=7, va="center", ha="left" if x < 0.5 else "right",
                    transform=axes.get_yaxis_transform(), bbox={"fc": "white", "ec": "none", "pad": 1},
                )  # fmt: skip


def _groups(names: list[str], judged: pd.DataFrame | None) -> dict[str, str]:
    if judged is None:
        return {}
    with_letters = {*judged["optimizer"], *judged["other"]}
    significant = judged[judged["verdict"].isin(["better", "worse"])]
    apart = [(str(row.optimizer), str(row.other)) for row in significant.itertuples()]
    return letters([name for name in names if name in with_letters], apart)


def _row(axes: Axes, place: int, standing: pd.Series, studies: list[pd.Series], scale: Scale) -> None:
    name = str(standing["optimizer"])
    colour = style.colour(name)
    corner = standing["low"], place - _HEIGHT / 2
    axes.add_patch(
        Rectangle(corner, standing["high"] - standing["low"], _HEIGHT, color=colour, alpha=0.25, lw=0)
    )
    axes.plot([standing["mean"]] * 2, [place - _HEIGHT / 2, place + _HEIGHT / 2], color=colour, lw=0.8)
    offsets = (np.arange(len(studies)) - (len(studies) - 1) / 2) * _HEIGHT / (len(studies) + 1)
    for values, offset in zip(studies, offsets, strict=True):
        low, lower, upper, high = values.quantile([0.05, 0.25, 0.75, 0.95])
        y = place + offset
        axes.plot([low, high], [y, y], color=colour, lw=0.8)
        axes.plot([lower, upper], [y, y], color=colour, lw=3, solid_capstyle="butt")
        axes.plot(
            scale.mean(values), y,
            marker=style.marker(name), color=colour, ms=4, mec="white", mew=0.5, zorder=4,
        )  # fmt: skip


def _named(standing: pd.Series) -> str:
    lost = f", {standing['lost']} diverged" if standing["lost"] else ""
    return (
        f"{style.label(str(standing['optimizer']))}\n{standing['studies']} × {standing['seeds']} seeds{lost}"
    )
