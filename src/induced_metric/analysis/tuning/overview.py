"""All optimisers of a task against a baseline, one row each, however many there are.

One table and one figure show what each optimiser is worth once tuned, how often it beats the baseline, what
a given number of trials of its search find, and what an epoch costs.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from induced_metric.analysis import draws, runs, style
from induced_metric.analysis.confirmations import confirmed, verdicts
from induced_metric.analysis.confirmations.scale import Scale
from induced_metric.analysis.rendering import MISSING, Table, fixed
from induced_metric.analysis.tuning import heat_map, tuning_curves
from induced_metric.analysis.tuning.heat_map import Block
from induced_metric.records import Records

BUDGETS = (5, 10, 20, 50, 100)
"""The numbers of trials at which a search is shown, as far as it has that many."""
_COST = "cost"


def overview(
    task: str, ours: Mapping[str, Records], searches: Mapping[str, Records], costs: "pd.Series[float]"
) -> pd.DataFrame:
    """One row per optimiser, best first.

    Args:
        task: name of the task.
        ours: the confirmations of a family of samplers, by sampler.
        searches: the searches, by sampler.
        costs: device seconds per epoch, by optimiser (``costs.read_costs``); may be empty.

    Returns:
        The columns of ``against_baseline``; ``best_<k>``, the median best of k trials of its search
        (``tuning_curves.curves``); ``cost``, the cost of an epoch as a multiple of the baseline's, NaN where
        either is not on record.
    """
    minimize = runs.objective(ours)[1] == "minimize"
    table = against_baseline(task, ours, searches).set_index("optimizer", drop=False)
    against = verdicts.baseline(table.index)
    family = {draws.family(sampler) for sampler in ours}
    family_searches = {name: study for name, study in searches.items() if draws.family(name) in family}
    if family_searches:
        curves = tuning_curves.curves(family_searches, BUDGETS)
        wide = curves.pivot_table(index="optimizer", columns="trials", values="best")
        table = table.join(wide.rename(columns="best_{}".format))
    table[_COST] = costs.reindex(table.index) / costs.get(against, float("nan"))
    return table.sort_values("mean", ascending=minimize, kind="stable").reset_index(drop=True)


def against_baseline(task: str, ours: Mapping[str, Records], searches: Mapping[str, Records]) -> pd.DataFrame:
    """What each optimiser is worth once tuned, and how that compares with the baseline.

    Args:
        task: name of the task.
        ours: the confirmations of a family of samplers, by sampler.
        searches: the searches, by sampler.

    Returns:
        The columns of ``confirmed.standings``; ``difference``, ``superiority`` and ``verdict`` against the
        baseline, as ``confirmed.compare`` gives them within the family of pairs. They are missing for the
        baseline itself; with a single optimiser there are no such columns.
    """
    table = confirmed.standings(task, ours, searches).set_index("optimizer", drop=False)
    against = verdicts.baseline(table.index)
    among_papers, others, _ = verdicts.families(table.index)
    judged = [
        _against(against, verdict_rows)
        for pairs in (among_papers, others)
        if (verdict_rows := confirmed.judged(ours, searches, pairs=pairs)) is not None
    ]
    return (table.join(pd.concat(judged)) if judged else table).reset_index(drop=True)


def _against(against: str, judged: pd.DataFrame) -> pd.DataFrame:
    """The pairs with the baseline, seen from the other optimiser, which is the index."""
    baseline_second = judged[judged["other"] == against].set_index("optimizer")
    baseline_first = judged[judged["optimizer"] == against].set_index("other")
    turned = baseline_first.assign(
        difference=-baseline_first["difference"],
        superiority=1 - baseline_first["superiority"],
        verdict=baseline_first["verdict"].replace({"better": "worse", "worse": "better"}),
    )
    return pd.concat([turned, baseline_second])[["difference", "superiority", "verdict"]]


def overview_table(
    task: str, ours: Mapping[str, Records], searches: Mapping[str, Records], costs: "pd.Series[float]"
) -> Table | None:
    """``overview``, ready to be shown or written; None for a single optimiser."""
    table = overview(task, ours, searches, costs)
    if "verdict" not in table:
        return None
    objective, _ = runs.objective(ours)
    against = verdicts.baseline(table["optimizer"])
    metric = style.words(objective)
    scale = Scale(bool(table["logarithmic"].iloc[0]))
    cells = {
        "Optimiser": table["optimizer"].map(style.label),
        f"Against {style.label(against)}": table["verdict"].fillna(MISSING),
        "Mean": fixed(table["mean"], 4),
        scale.difference_words.capitalize(): scale.shown(table["difference"]),
        "P(better)": fixed(table["superiority"], 2),
    }
    cells |= {f"Best of {k}": fixed(table[f"best_{k}"], 4) for k in _found(table)}
    if table[_COST].notna().any():
        cells["Epoch"] = fixed(table[_COST], 2)
    bold = {f"Against {style.label(against)}": table["verdict"].isin(["better", "worse"])}
    title = (
        f"All optimisers, best first: {metric} of {confirmed.whose(ours)} on the {task} task, trained "
        f"again from fresh seeds, compared with {style.label(against)}."
    )
    notes = [
        "Verdicts are those of the tables of verdicts, each corrected for its own family of pairs. "
        f"{'Ratios are of geometric means.' if scale.logarithmic else 'Differences are of means.'} "
        "P(better): the share of pairs of winners, and of seeds that both have, on which the optimiser beats "
        f"{style.label(against)}; a tie counts half."
    ]
    if _found(table):
        notes.append(
            f"Best of k: the best {_sought(searches)} that the median search of k trials finds, "
            "estimated from all studies. This is what the search saw, not what fresh seeds reach."
        )
    if "Epoch" in cells:
        notes.append(
            f"Epoch: device seconds per epoch, evaluation included, relative to {style.label(against)}; "
            "measured on a quiet machine, with the optimisers taking turns."
        )
    return Table(table, pd.DataFrame(cells), pd.DataFrame(bold), title, notes, metric=metric)


def overview_figure(
    task: str, ours: Mapping[str, Records], searches: Mapping[str, Records], costs: "pd.Series[float]"
) -> Figure | None:
    """``overview_table`` as a heat map where bluer is better; None for a single optimiser."""
    table = overview(task, ours, searches, costs)
    if "verdict" not in table:
        return None
    objective, direction = runs.objective(ours)
    minimize = direction == "minimize"
    against = style.label(verdicts.baseline(table["optimizer"]))
    blocks = [
        _block(table, ["mean"], style.words(objective).replace(" ", "\n"), minimize=minimize),
        superiority_block(table, against),
    ]
    if budgets := _found(table):
        columns = [f"best_{k}" for k in budgets]
        title = f"best {_sought(searches)}\nof k trials (k below)"
        blocks.append(_block(table, columns, title, [str(k) for k in budgets], minimize=minimize))
    if table[_COST].notna().any():
        # Costs hardly differ, so they are not shaded.
        texts = fixed(table[_COST], 2).to_frame()
        blocks.append(Block(f"epoch cost\n({against} = 1)", [""], np.zeros((len(table), 1)), texts))
    with style.style():
        figure = heat_map.draw(table["optimizer"].tolist(), blocks)
        figure.suptitle(
            f"{draws.origin(*(study.trials for study in ours.values()))}:\n"
            f"{confirmed.whose(ours)}, trained again from fresh seeds; best first"
        )
        figure.supxlabel(
            "bold: the paper's optimisers. *: verdict better or worse, after Holm within its family of pairs",
            fontsize=7,
        )
    return figure


def superiority_block(table: pd.DataFrame, against: str) -> Block:
    """How often each beats the baseline, with a star where the two are significantly different."""
    star = table["verdict"].isin(["better", "worse"]).map({True: "*", False: ""})
    texts = (fixed(table["superiority"], 2) + star).to_frame()
    shade = table[["superiority"]].to_numpy(dtype=float)
    return Block(f"P(better\nthan {against})", [""], shade, texts, diverging=True)


def _block(
    table: pd.DataFrame, columns: list[str], title: str, ticks: Sequence[str] = ("",), *, minimize: bool
) -> Block:
    shade = heat_map.shades(table[columns].to_numpy(dtype=float), minimize=minimize)
    return Block(title, ticks, shade, table[columns].apply(fixed, digits=4))


def _found(table: pd.DataFrame) -> list[int]:
    return [k for k in BUDGETS if f"best_{k}" in table]


def _sought(searches: Mapping[str, Records]) -> str:
    """The metric that the searches chose by, in words."""
    return style.words(runs.objective(searches)[0])
