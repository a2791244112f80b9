"""``without`` as a figure: does a hyperparameter's benefit depend on the value that the winner has of it?"""

from collections.abc import Mapping

from matplotlib.figure import Figure

from induced_metric.analysis import draws, runs, style
from induced_metric.analysis.confirmations import without
from induced_metric.analysis.statistics import CONFIDENCE
from induced_metric.records import Records, removed


def without_figure(ours: Mapping[str, Records], searches: Mapping[str, Records]) -> Figure | None:
    """One point per winner: its value of the hyperparameter, and how often it is better with it than without.

    Each optimiser has a row. A point has a thick edge where the two differ significantly over the winner's
    own seeds (``without.by_winner``). Shares are shown because they suit diverged trainings too, whose ratios
    could have any size.

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
    names = style.ordered(table["optimizer"].unique())
    with style.style():
        figure = Figure(figsize=(style.PAGE, 1.7 + 0.22 * len(names)), layout="constrained")
        axes = figure.subplots()
        dots = axes.scatter(
            table["found"], table["optimizer"].map(names.index), c=table["superiority"], s=32, zorder=3,
            cmap="RdBu", vmin=0, vmax=1, clip_on=False, edgecolor="black",
            linewidth=table["changed"].map({True: 1.3, False: 0.3}),
        )  # fmt: skip
        if (table["found"] > 0).all():
            axes.set_xscale("log")
        axes.set_yticks(range(len(names)), map(style.label, names))
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.set_xlabel(f"{name} of the winner, as the search found it")
        figure.colorbar(dots, ax=axes, label=f"share of seeds on which\nits {metric} is better with {name}")
        figure.supxlabel(
            f"thick edge: the winner differs significantly from itself without {name}, over {seeds} seeds "
            f"({CONFIDENCE:.0%} each)", fontsize=7,
        )  # fmt: skip
        figure.suptitle(
            f"{draws.origin(*confirmations)}:\n"
            f"the winner of each study against itself with {name} = 0, from the same seeds"
        )
    return figure
