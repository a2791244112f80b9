"""All optimisers on several tasks against a baseline: which does well where, and whether the orders agree."""

from collections.abc import Mapping
from itertools import combinations
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from induced_metric.analysis import draws, runs, style
from induced_metric.analysis.confirmations import confirmed, verdicts
from induced_metric.analysis.confirmations.scale import scale_of
from induced_metric.analysis.rendering import Table, fixed
from induced_metric.analysis.statistics import rank_correlation
from induced_metric.analysis.tuning import heat_map, overview
from induced_metric.records import CONFIRMED, Records

_FEW = 3
"""The smallest number of optimisers whose order is compared."""


class Tasks(NamedTuple):
    """What each optimiser is worth on each task.

    Attributes:
        tables: ``overview.against_baseline``, by task, indexed by optimiser.
        metrics: the metric of each task, in words.
        directions: ``minimize`` or ``maximize``, by task.
        against: the baseline on all tasks.
        repeated: how far the orders of two searches of one task agree, by task: Spearman's rank correlation
            of the means of their winners, averaged over the pairs of studies; NaN for a single study.
        order: the optimisers, those that lack the fewest tasks first, then by P(better) averaged over their
            tasks, which is a half for the baseline.
    """

    tables: dict[str, pd.DataFrame]
    metrics: dict[str, str]
    directions: dict[str, str]
    against: str
    repeated: dict[str, float]
    order: list[str]


def compare(ours: Mapping[str, Records]) -> Tasks | None:
    """Compares the optimisers on every task that has the common baseline; None for fewer than two such tasks.

    Args:
        ours: the searches of one family of samplers and their confirmations, by ``<task>/<sampler>``.
    """
    names = {str(name) for study in ours.values() for name in study.trials["optimizer"].unique()}
    against = verdicts.baseline(names)
    tables, metrics, directions, repeated = {}, {}, {}, {}
    for task in dict.fromkeys(name.split("/")[0] for name in ours):
        studies = {name.split("/")[1]: study for name, study in ours.items() if name.split("/")[0] == task}
        confirmations = {name: study for name, study in studies.items() if name.endswith(CONFIRMED)}
        if not confirmations:
            continue
        searches = {name: study for name, study in studies.items() if name not in confirmations}
        table = overview.against_baseline(task, confirmations, searches).set_index("optimizer")
        if "verdict" in table and against in table.index:
            tables[task] = table
            objective, directions[task] = runs.objective(confirmations)
            metrics[task] = style.words(objective)
            repeated[task] = _repeated(confirmations, searches)
    if len(tables) < 2:
        return None
    superiority = pd.DataFrame({task: table["superiority"] for task, table in tables.items()})
    superiority.loc[against] = 0.5
    key = pd.DataFrame({"missing": superiority.isna().sum(axis=1), "won": -superiority.mean(axis=1)})
    order = key.sort_values(["missing", "won"], kind="stable").index
    return Tasks(tables, metrics, directions, against, repeated, list(order))


def _repeated(again: Mapping[str, Records], searches: Mapping[str, Records]) -> float:
    trainings = confirmed.collect(again, searches)
    scale = scale_of(trainings["value"], minimize=runs.objective(again)[1] == "minimize")
    means = trainings.pivot_table(
        index="optimizer", columns="study", values="value", aggfunc=scale.mean
    ).dropna()
    if len(means) < _FEW or means.shape[1] < 2:
        return float("nan")
    correlations = means.corr(method="spearman").to_numpy()
    return float(correlations[np.triu_indices_from(correlations, k=1)].mean())


def agreements(tasks: Tasks) -> pd.DataFrame:
    """How far each pair of tasks agrees on the order of the optimisers.

    Returns:
        ``task`` and ``other``; ``correlation``, Spearman's rank correlation of the means of the optimisers
        that both tasks have, 1 where the orders are the same; ``p``, its p-value
        (``rank_correlation``), which assumes that the optimisers are independent; ``optimizers``, how many
        there are.
    """
    means = pd.DataFrame(
        {
            task: table["mean"] * (1 if tasks.directions[task] == "minimize" else -1)
            for task, table in tasks.tables.items()
        }
    )
    rows = []
    for task, other in combinations(means, 2):
        both = means[[task, other]].dropna()
        if len(both) >= _FEW:
            rows.append((task, other, *rank_correlation(both[task], both[other]), len(both)))
    return pd.DataFrame(rows, columns=["task", "other", "correlation", "p", "optimizers"])


def tasks_table(family: str, ours: Mapping[str, Records]) -> Table | None:
    """``compare``, ready to be shown or written; None where there are fewer than two tasks."""
    tasks = compare(ours)
    if tasks is None:
        return None
    against = style.label(tasks.against)
    cells = {"Optimiser": pd.Series(map(style.label, tasks.order))}
    columns, bold = [], {}
    for task, table in tasks.tables.items():
        rows = table.reindex(tasks.order).reset_index()
        cells[f"{task}: {tasks.metrics[task]}"] = fixed(rows["mean"], 4)
        header = f"{task}: P(better)"
        cells[header] = fixed(rows["superiority"], 2)
        bold[header] = rows["verdict"].isin(["better", "worse"])
        columns.append(rows.set_index("optimizer").add_prefix(f"{task}: "))
    title = (
        f"All optimisers over {len(tasks.tables)} tasks, {family}: means of the winner of each study, "
        f"trained again from fresh seeds, compared with {against}. Optimisers run on all tasks come first, "
        "then those run on fewer; each group is sorted by its mean P(better) over the tasks."
    )
    notes = [
        f"P(better): the share of pairs of winners, and of seeds, on which the optimiser beats {against}; a "
        "tie counts half. Bold: the verdict is better or worse. Means of losses are geometric. Verdicts are "
        "those of each task's tables of verdicts, each corrected for its own family of pairs, not over the "
        "tasks."
    ]
    correlations = [
        f"{row['task']} and {row['other']} {row['correlation']:.2f} over {row['optimizers']} "
        f"(p {row['p']:.3f})"
        for row in agreements(tasks).to_dict("records")
    ]
    if correlations:
        repeated = [f"{task} {value:.2f}" for task, value in tasks.repeated.items() if value == value]
        within_task = f" Between two searches of the same task, over its optimisers: {', '.join(repeated)}."
        notes.append(
            "Spearman's rank correlation between the means on two tasks, over the optimisers that both have "
            "(p, from permutations, assumes that these are independent, which variants of one optimiser are "
            "not, and is not corrected for the number of pairs of tasks): "
            f"{'; '.join(correlations)}.{within_task if repeated else ''}"
        )
    data = pd.concat(columns, axis=1).rename_axis("optimizer").reset_index()
    return Table(data, pd.DataFrame(cells), pd.DataFrame(bold), title, notes, words=1)


def tasks_figure(ours: Mapping[str, Records]) -> Figure | None:
    """``tasks_table`` as a heat map where bluer is better; None where there are fewer than two tasks."""
    tasks = compare(ours)
    if tasks is None:
        return None
    against = style.label(tasks.against)
    blocks = []
    for task, table in tasks.tables.items():
        rows = table.reindex(tasks.order)
        rows["verdict"] = rows["verdict"].astype(object)
        mean = rows[["mean"]].to_numpy(dtype=float)
        shade = heat_map.shades(mean, minimize=tasks.directions[task] == "minimize")
        split, _, metric = tasks.metrics[task].partition(" ")
        texts = fixed(rows["mean"], 4).to_frame()
        blocks.append(heat_map.Block(f"{task}_{metric}".replace("_", "\n"), [""], shade, texts))
        # The title of the figure names the baseline: here there is no room for it.
        blocks.append(overview.superiority_block(rows, against)._replace(title="\nP(better)"))
    with style.style():
        figure = heat_map.draw(tasks.order, blocks)
        confirmations = [study.trials for name, study in ours.items() if name.endswith(CONFIRMED)]
        figure.suptitle(
            f"{draws.origin(*confirmations)}:\n"
            f"{confirmed.whose(ours)}, trained again from fresh seeds: means on {split}\n"
            f"optimisers run on all tasks first, each group sorted by its mean P(better than {against})"
        )
        figure.supxlabel(
            "bold: the paper's optimisers. *: verdict better or worse, after Holm within its family of pairs",
            fontsize=7,
        )
    return figure
