"""The curves of ``estimates`` as figures and tables, for every sampler on record, as its trials allow."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from induced_metric.analysis import draws, runs, style
from induced_metric.analysis.rendering import MISSING, Table, fixed, leads
from induced_metric.analysis.statistics import CONFIDENCE
from induced_metric.analysis.support import Support, rule, support
from induced_metric.analysis.tuning import estimates
from induced_metric.records import Records

SHOWN = (10, 30, 100)
"""The numbers of trials that a table shows, as far as the searches have that many."""
_COLUMNS = 4
_SINGULAR = {"trials": "trial", "studies": "study"}
_LINES: tuple[Any, ...] = ("-", "--", ":", "-.", (0, (6, 1, 1, 1, 1, 1)), (0, (1, 3)))


def curves(ours: Mapping[str, Records], budgets: Sequence[int] | None = None) -> pd.DataFrame:
    """The tuning curves of every family of samplers (``draws.family``).

    Independent trials of several studies form one sample; for any other sampler the curve is the median of
    its studies.

    Returns:
        ``source`` (the family), ``kind`` (``trials`` or ``studies``), and the columns of
        ``estimates.of_random`` or ``estimates.of_studies``; ``n`` is the number of what ``kind`` names.
    """
    bounds = common_support(ours)
    parts = []
    for source, studies in draws.families(ours).items():
        if all(draws.independent(study.trials) for study in studies.values()):
            part = estimates.of_random(draws.pool_trials(studies), bounds, budgets=budgets).assign(
                kind="trials"
            )
        else:
            trials = {name: study.trials for name, study in studies.items()}
            part = estimates.of_studies(trials, bounds).assign(kind="studies")
            if budgets is not None:
                part = part[part["trials"].isin(budgets)]
        parts.append(part.assign(source=source))
    return style.in_order(pd.concat(parts, ignore_index=True))


def tuning_table(task: str, ours: Mapping[str, Records]) -> Table:
    """The median best after a few numbers of trials, ready to be shown or written."""
    most_trials = min(int(study.trials.groupby("optimizer").size().max()) for study in ours.values())
    shown = [k for k in SHOWN if k <= most_trials] or [most_trials]
    table = curves(ours, shown)
    objective, direction = runs.objective(ours)
    key = ["optimizer", "source", "kind"]
    wide = table.pivot_table(index=key, columns="trials", values=["best", "low", "high", "n"], sort=False)
    names = wide.index.to_frame(index=False)
    count = wide["n"].T.max().astype(int).reset_index(drop=True)
    cells = {
        "Optimiser": names["optimizer"].map(style.label),
        "Source": names["source"],
        "From": count.astype(str) + " " + names["kind"].where(count > 1, names["kind"].map(_SINGULAR)),
    }
    bold = {}
    sign = 1 if direction == "minimize" else -1
    has_interval = (names["kind"] == "trials") | (count > 1)
    for k in shown:
        best, low, high = (wide[name][k].reset_index(drop=True) for name in ("best", "low", "high"))
        header = f"Best of {k}"
        cells[header] = fixed(best, 4)
        interval = fixed(low, 3) + " to " + fixed(high, 3)
        cells[f"{k}: band"] = interval.where(has_interval, MISSING)
        bold[header] = leads(sign * best, names["source"]) & has_interval
    metric = style.words(objective)
    title = (
        f"What tuning costs: the best {metric} that k trials find on the {task} task, in the median search. "
        "Bold: the best of its source, unless the source is a single study, whose order may be luck."
    )
    notes = [*_method(table, ours), *draws.warnings(ours)]
    return Table(table, pd.DataFrame(cells), pd.DataFrame(bold), title, notes, metric=metric)


def tuning_figure(ours: Mapping[str, Records]) -> Figure:
    """All curves of the first source in one panel, then one panel per optimiser with its sources and bands.

    The first source is random search where there is one. Shaded areas are the simultaneous band of
    independent trials, or the range of several studies. Grey lines are the other optimisers' curves of the
    first source. An accuracy is drawn as its distance to 1.
    """
    table = curves(ours)
    objective, direction = runs.objective(ours)
    flipped = direction == "maximize" and objective.endswith("accuracy")
    if flipped:
        table[["best", "low", "high"]] = 1 - table[["best", "high", "low"]].to_numpy()
    sources = list(dict.fromkeys(table.sort_values("kind", ascending=False, kind="stable")["source"]))
    line_styles = dict(zip(sources, _LINES * len(sources), strict=False))
    names = style.ordered(table["optimizer"].unique())
    with style.style():
        figure, grid = style.panels(len(names) + 1, columns=_COLUMNS, height=1.9, spare=0.9, xlabel="trials")
        for name in names:
            curve = table[(table["optimizer"] == name) & (table["source"] == sources[0])]
            _curve(grid[0], curve, style.line(name), color=style.colour(name))
            for axes, other in zip(grid[1:], names, strict=True):
                if other != name:
                    _curve(axes, curve, "-", color="0.85", lw=0.7, zorder=1)
        grid[0].set_title(f"all, {sources[0]}")
        for axes, name in zip(grid[1:], names, strict=True):
            for source, line_style in line_styles.items():
                curve = table[(table["optimizer"] == name) & (table["source"] == source)]
                _curve(axes, curve, line_style, color=style.colour(name), zorder=3)
                if not curve.empty and (curve["kind"].iloc[0] == "trials" or curve["n"].iloc[0] > 1):
                    ends = curve["trials"], curve["low"], curve["high"]
                    axes.fill_between(*ends, color=style.colour(name), alpha=0.2, lw=0)
            # The colours of the titles are those of the first panel.
            axes.set_title(style.label(name), color=style.colour(name))
        _scales(grid[0], table, log=flipped or direction == "minimize")
        handles = [Line2D([], [], color="0.3", ls=line_style, lw=1.2, label=_named(table, source))
                   for source, line_style in line_styles.items()]  # fmt: skip
        handles.append(Line2D([], [], color="0.85", lw=0.7, label=f"the other optimisers, {sources[0]}"))
        figure.legend(handles=handles, loc="outside lower center", ncols=2)
        origin = draws.origin(*(study.trials for study in ours.values()))
        figure.suptitle(f"{origin}: what tuning costs")
        metric = style.words(objective)
        figure.supylabel(f"best {metric} so far" if not flipped else f"1 - best {metric} so far")
    return figure


def _curve(axes: Axes, own: pd.DataFrame, line: Any, **look: Any) -> None:
    # The running best of whole studies is known at every trial, the other curve at the k it was computed for.
    drawstyle = "steps-post" if (own["kind"] == "studies").all() else "default"
    axes.plot(own["trials"], own["best"], ls=line, drawstyle=drawstyle, **{"lw": 1.1} | look)


def _scales(axes: Axes, table: pd.DataFrame, *, log: bool) -> None:
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    low, high = table["best"].min(), table["best"].max()
    if log and low > 0:
        axes.set_yscale("log")
        # The band ends at the best possible value, which no trial reached: the limits follow the curves.
        axes.set_ylim(low / (1.6 if (table["kind"] == "trials").any() else 1.1), high * 1.1)
        style.readable(axes.yaxis)
    else:
        margin = 0.05 * (high - low)
        axes.set_ylim(low - margin, high + margin)


def _named(table: pd.DataFrame, source: str) -> str:
    rows = table[table["source"] == source]
    count = int(rows["n"].max())
    if rows["kind"].iloc[0] == "trials":
        return f"{source}: median, {count} independent trials, {CONFIDENCE:.0%} band"
    return f"{source}: one study" if count == 1 else f"{source}: median and range of {count} studies"


def _method(table: pd.DataFrame, ours: Mapping[str, Records]) -> list[str]:
    """How the numbers of a table were computed, one sentence per kind of source."""
    notes, bounds = [], common_support(ours)
    for kind, rows in table.groupby("kind", sort=False):
        sources = ", ".join(rows["source"].unique())
        if kind == "trials":
            notes.append(
                f"{sources}: the median of the best of k over all subsets of k of the n trials, which are "
                f"independent. The bands hold with {CONFIDENCE:.0%} confidence for all k of an optimiser at "
                "once, whatever the distribution (central intervals of the order statistics, widened until "
                f"all hold). A band that ends at {bounds.best:g} is not bounded by any trial on that side."
            )
        else:
            notes.append(
                f"{sources}: the running best, the median of independent studies with their range where "
                "there are several. One study has no interval, and nothing within a study is resampled."
            )
    notes.append(
        f"A trial that diverged or failed counts as {bounds.worst:.3g}, and so does any trial with a worse "
        f"value. This is {rule(runs.objective(ours)[0])}."
    )
    return notes


def common_support(ours: Mapping[str, Records]) -> Support:
    """The support of all trials together."""
    return support(pd.concat([study.trials for study in ours.values()]))
