"""``without`` as a figure: does a hyperparameter's benefit depend on the value that the winner has of it?"""

from collections.abc import Mapping

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from induced_metric.analysis import draws, runs, style
from induced_metric.analysis.confirmations import without
from induced_metric.analysis.statistics import CONFIDENCE
from induced_metric.records import Records, removed


def without_figure(ours: Mapping[str, Records], searches: Mapping[str, Records]) -> Figure | None:
    """One point per winner: its value of the hyperparameter, and how often it is better with it than without.

    A point is filled where the two differ significantly over the winner's own seeds (``without.by_winner``).
    Shares are shown because they suit diverged trainings too, whose ratios could have any size.

    Args:
        ours: as for ``without.compare``.
        searches: the searches, by sampler.

    Returns:
        None where no winner was trained both ways.
    """
    trainings = without.collect(ours, searches)
    if trainings.empty:
        return None
    table = without.by_winner(ours, trainings)
    name, metric = table["hyperparameter"].iloc[0], style.words(runs.objective(ours)[0])
    seeds = style.span(table["seeds"])
    confirmations = [study.trials for sampler, study in ours.items() if removed(sampler) is None]
    with style.style():
        figure = Figure(figsize=(style.PAGE, 3.4), layout="constrained")
        axes = figure.subplots()
        axes.axhline(0.5, color="0.6", lw=0.8)
        handles = []
        for optimizer in style.ordered(table["optimizer"].unique()):
            winners = table[table["optimizer"] == optimizer]
            colour, marker = style.colour(optimizer), style.marker(optimizer)
            for changed, part in winners.groupby("changed"):
                axes.plot(
                    part["found"], part["superiority"], ls="", marker=marker, color=colour, ms=5.5,
                    mfc=colour if changed else "none", clip_on=False, zorder=3,
                )  # fmt: skip
            handles.append(
                Line2D([], [], ls="", marker=marker, color=colour, ms=5, label=style.label(optimizer))
            )
        if (table["found"] > 0).all():
            axes.set_xscale("log")
        axes.set_ylim(-0.02, 1.02)
        axes.set_xlabel(f"{name} of the winner, as the search found it")
        axes.set_ylabel(f"share of seeds on which\nits {metric} is better with {name}")
        figure.legend(
            handles=handles, loc="outside lower center", ncols=4, title_fontsize=7,
            title=f"filled: the winner differs significantly from itself without {name}, over {seeds} seeds "
                  f"({CONFIDENCE:.0%} each)",
        )  # fmt: skip
        figure.suptitle(
            f"{draws.origin(*confirmations)}:\n"
            f"the winner of each study against itself with {name} = 0, from the same seeds"
        )
    return figure
