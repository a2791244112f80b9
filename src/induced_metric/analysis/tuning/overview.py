"""All optimizers of a task against one of them: a row each, however many there are.

What each is worth once tuned, how often it beats the baseline, what so many trials of its search find, and
what an epoch of it costs, in one table and one figure.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from induced_metric.analysis import draws, runs, style
from induced_metric.analysis.confirmations import confirmed, verdicts
from induced_metric.analysis.rendering import MISSING, Table, fixed
from induced_metric.analysis.tuning import tuning_curves
from induced_metric.records import Records

BUDGETS = (5, 10, 20, 50, 100)
"""Numbers of trials at which a search is looked at, as far as there are so many."""
_BEATEN, _COST = "superiority", "cost"
_SHADED = 0.9
"""The share of values, from the best on, over which colours differ: one that fails would take all of them."""


def overview(
    task: str, ours: Mapping[str, Records], searches: Mapping[str, Records], costs: "pd.Series[float]"
) -> pd.DataFrame:
    """A row an optimizer, best first.

    Args:
        task: name of the task.
        ours: the confirmations of a family of samplers, by sampler.
        searches: by sampler.
        costs: device seconds per epoch, by optimizer (``budgets.read_costs``); may be empty.

    Returns:
        The columns of ``confirmed.standings``; ``difference``, ``superiority`` and ``verdict`` against the
        baseline, as ``verdicts.compare`` has them within its family of pairs, missing for the baseline
        itself; ``best_<k>``, the expected best of k trials of its search (``tuning_curves.curves``); ``cost``
        of an epoch, in the baseline's, NaN where either is not on record.
    """
    _, direction = runs.objective(ours)
    minimize = direction == "minimize"
    table = confirmed.standings(task, ours, searches).set_index("optimizer", drop=False)
    against = verdicts.baseline(table.index)
    among_papers, others, _ = verdicts.families(table.index)
    judged = [
        _against(against, found)
        for pairs in (among_papers, others)
        if (found := confirmed.judged(ours, searches, pairs=pairs)) is not None
    ]
    if judged:
        table = table.join(pd.concat(judged))
    family = {draws.family(sampler) for sampler in ours}
    sought = {name: found for name, found in searches.items() if draws.family(name) in family}
    if sought:
        curves = tuning_curves.curves(sought, BUDGETS)
        wide = curves.pivot_table(index="optimizer", columns="trials", values="best")
        table = table.join(wide.rename(columns="best_{}".format))
    table[_COST] = costs.reindex(table.index) / costs.get(against, float("nan"))
    return table.sort_values("mean", ascending=minimize, kind="stable").reset_index(drop=True)


def _against(against: str, judged: pd.DataFrame) -> pd.DataFrame:
    """The pairs of the baseline, as seen from the other; indexed by that."""
    second = judged[judged["other"] == against].set_index("optimizer")
    first = judged[judged["optimizer"] == against].set_index("other")
    turned = first.assign(
        difference=-first["difference"],
        superiority=1 - first["superiority"],
        verdict=first["verdict"].replace({"better": "worse", "worse": "better"}),
    )
    return pd.concat([turned, second])[["difference", _BEATEN, "verdict"]]


def overview_table(
    task: str, ours: Mapping[str, Records], searches: Mapping[str, Records], costs: "pd.Series[float]"
) -> Table | None:
    """``overview``, ready to be shown or written; None for a single optimizer."""
    table = overview(task, ours, searches, costs)
    if "verdict" not in table:
        return None
    objective, _ = runs.objective(ours)
    against = verdicts.baseline(table["optimizer"])
    metric = style.words(objective)
    cells = {
        "Optimiser": table["optimizer"].map(style.label),
        f"Against {style.label(against)}": table["verdict"].fillna(MISSING),
        "Mean": fixed(table["mean"], 4),
        "Difference": fixed(table["difference"], 4, signed=True),
        "P(better)": fixed(table[_BEATEN], 2),
    }
    cells |= {f"Best of {k}": fixed(table[f"best_{k}"], 4) for k in _found(table)}
    if table[_COST].notna().any():
        cells["Epoch"] = fixed(table[_COST], 2)
    bold = {f"Against {style.label(against)}": table["verdict"].isin(["better", "worse"])}
    title = (
        f"All optimisers, best first: {metric} of {confirmed.whose(ours)} with the {task} task, trained "
        f"again from fresh seeds, against {style.label(against)}."
    )
    notes = [
        "Verdicts are those of the tables of verdicts, each corrected for its own family of pairs. "
        "Differences are of the studies and seeds that both have; P(better): the share of these on which it "
        f"beat {style.label(against)}, ties half."
    ]
    if _found(table):
        notes.append(
            f"Best of k: the {_sought(searches)} that a search of k trials is expected to find, over the "
            "studies; what the search saw, not what fresh seeds reach."
        )
    if "Epoch" in cells:
        notes.append(
            f"Epoch: device seconds of one, evaluation included, in those of {style.label(against)}; "
            "measured quietly, in turns."
        )
    return Table(table, pd.DataFrame(cells), pd.DataFrame(bold), title, notes, metric=metric)


def overview_figure(
    task: str, ours: Mapping[str, Records], searches: Mapping[str, Records], costs: "pd.Series[float]"
) -> Figure | None:
    """``overview_table`` as a heat map, darker is better; None for a single optimizer."""
    table = overview(task, ours, searches, costs)
    if "verdict" not in table:
        return None
    objective, direction = runs.objective(ours)
    against = style.label(verdicts.baseline(table["optimizer"]))
    searched = [f"best_{k}" for k in _found(table)]
    blocks = [(["mean"], style.words(objective).replace(" ", "\n"), [""])]
    blocks += [([_BEATEN], f"P(better\nthan {against})", [""])]
    if searched:
        numbers = [str(k) for k in _found(table)]
        blocks += [(searched, f"best {_sought(searches)}\nof so many trials", numbers)]
    if table[_COST].notna().any():
        blocks += [([_COST], f"epoch's cost\n({against} = 1)", [""])]
    with style.style():
        figure = Figure(figsize=(style.PAGE, 1.1 + 0.19 * len(table)), layout="constrained")
        widths = [max(len(columns), 1.2) for columns, *_ in blocks]
        grid = figure.subplots(1, len(blocks), sharey=True, squeeze=False, width_ratios=widths)[0]
        for axes, (columns, title, ticks) in zip(grid, blocks, strict=True):
            values = table[columns].to_numpy(dtype=float)
            shade = _shades(columns[0], values, minimize=direction == "minimize")
            _cells(axes, values, shade, _texts(table, columns))
            axes.set_title(title, fontsize=7.5)
            axes.set_xticks(range(len(columns)), ticks)
        grid[0].set_yticks(range(len(table)), [style.label(name) for name in table["optimizer"]], fontsize=7)
        for text, name in zip(grid[0].get_yticklabels(), table["optimizer"], strict=True):
            text.set_fontweight("bold" if style.is_published(name) else "normal")
        figure.suptitle(
            f"{draws.origin(*(study.trials for study in ours.values()))}:\n"
            f"{confirmed.whose(ours)}, trained again from fresh seeds; best first"
        )
        figure.supxlabel("bold: the paper's. * told apart, after Holm in its family of pairs", fontsize=7)
    return figure


def _found(table: pd.DataFrame) -> list[int]:
    return [k for k in BUDGETS if f"best_{k}" in table]


def _sought(searches: Mapping[str, Records]) -> str:
    """What the searches chose by, in words."""
    return style.words(runs.objective(searches)[0])


def _texts(table: pd.DataFrame, columns: list[str]) -> list[list[str]]:
    if columns == [_BEATEN]:
        star = table["verdict"].isin(["better", "worse"]).map({True: "*", False: ""})
        return [[text] for text in fixed(table[_BEATEN], 2) + star]
    digits = 2 if columns == [_COST] else 4
    return [list(row) for row in table[columns].apply(fixed, digits=digits).to_numpy()]


def _shades(column: str, values: np.ndarray, *, minimize: bool) -> np.ndarray:
    """From 0, the worst of what is shaded, to 1, the best; costs, which hardly differ, are not."""
    if column == _BEATEN:
        return values
    if column == _COST:
        return np.zeros_like(values)
    if minimize:
        values = -np.log(values) if np.nanmin(values) > 0 else -values
    best, worst = np.nanmax(values), np.nanquantile(values, 1 - _SHADED)
    return np.clip((values - worst) / (best - worst), 0, 1) if best > worst else np.zeros_like(values)


def _cells(axes: Axes, values: np.ndarray, shade: np.ndarray, texts: list[list[str]]) -> None:
    axes.imshow(shade, vmin=0, vmax=1.15, cmap="Blues", aspect="auto")
    for place, row in enumerate(texts):
        for column, text in enumerate(row):
            ink = "white" if shade[place, column] > 0.7 else "black"
            shown = MISSING if np.isnan(values[place, column]) else text
            axes.text(column, place, shown, ha="center", va="center", fontsize=6.5, color=ink)
    axes.grid(visible=False)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
