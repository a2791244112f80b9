"""How soon and how often a target is reached: by epoch, by optimiser and task, and over tasks."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from induced_metric.analysis import draws, style
from induced_metric.analysis.rendering import Table
from induced_metric.analysis.searches import targets
from induced_metric.records import Records, published


class Target(NamedTuple):
    """A value of a task's objective, and whether it was named beforehand or derived from the same records."""

    value: float
    named: bool


def target_of(task: str, ours: Mapping[str, Records], n: int) -> Target:
    """The first target named for the task (``published.targets``), else ``targets.typical_best``."""
    named = published.targets(task)
    if len(named):
        return Target(float(named.index[0]), named=True)
    return Target(targets.typical_best(ours, n), named=False)


def cumulative(records: Records, target: float) -> pd.DataFrame:
    r"""The share of all trials of each optimiser that had reached the target by each epoch.

    .. math:: \hat F(t) = \frac{1}{n} \sum_{i=1}^{n} [T_i \le t]

    where trial i needed :math:`T_i` epochs, and :math:`T_i = \infty` if it never reached the target. Pruned
    and diverged trials count, too (the empirical distribution of run lengths: Hoos and Stützle, 1998; COCO,
    Hansen et al., 2021).

    Returns:
        ``optimizer``, ``epochs``, from 0 to the most that any trial ran, ``share``, ``n``.
    """
    successes = targets.first_reached(records, target)
    last = int(records.trials["epochs"].max())
    parts = []
    for name, number in records.trials.groupby("optimizer", sort=False).size().items():
        epochs = successes.loc[successes["optimizer"] == name, "epochs"]
        reached = np.bincount(epochs, minlength=last + 1).cumsum()
        columns = {"epochs": np.arange(last + 1), "share": reached / number, "n": number}
        parts.append(pd.DataFrame({"optimizer": name, **columns}))
    return pd.concat(parts, ignore_index=True)


def over_tasks(tasks: Mapping[str, Records], goals: Mapping[str, Target]) -> pd.DataFrame:
    r"""How often, and at what cost, each optimiser reaches the target of each task.

    The cost is the number of epochs per success:

    .. math:: \frac{\sum_i \min(T_i, E_i)}{\#\{i : T_i < \infty\}}

    where trial i reaches the target after :math:`T_i` epochs, or misses it and ran :math:`E_i` epochs. Of
    independent trials it is what to expect if new ones are drawn until one succeeds (the expected running
    time of COCO); of a search that learns, it describes that search. It is infinite where no trial succeeds.

    Returns:
        ``task``, ``optimizer``, ``target``, ``named``, ``trials``, ``reached``, ``share``, ``cost``.
    """
    rows = []
    for task, records in tasks.items():
        goal = goals[task]
        key = ["optimizer", "trial"]
        hits = targets.first_reached(records, goal.value)[[*key, "epochs"]].rename(columns={"epochs": "to"})
        spent = records.trials[[*key, "epochs"]].merge(hits, on=key, how="left")
        for name, trials in spent.groupby("optimizer", sort=False):
            reached = int(trials["to"].notna().sum())
            epochs = float(trials["to"].fillna(trials["epochs"]).sum())
            rows.append(
                {
                    "task": task,
                    "optimizer": name,
                    "target": goal.value,
                    "named": goal.named,
                    "trials": len(trials),
                    "reached": reached,
                    "share": reached / len(trials),
                    "cost": epochs / reached if reached else np.inf,
                }
            )
    return style.in_order(pd.DataFrame(rows))


def performance_profile(table: pd.DataFrame) -> pd.DataFrame:
    r"""For each optimiser, the share of tasks where its cost is within a factor of the least.

    .. math:: \rho_s(\tau) = \frac{1}{P} \#\{p : c_{ps} \le \tau \min_{s'} c_{ps'}\}

    (Dolan and Moré, Mathematical Programming 91, 2002). A task that no optimiser solves is one of the P tasks
    but is in no optimiser's share.

    Args:
        table: ``task``, ``optimizer``, ``cost``, one row for each optimiser and task.

    Returns:
        ``optimizer``, ``ratio``, ``share``: the steps, at every ratio where any optimiser has one, from 1.

    Raises:
        ValueError: if an optimiser lacks a task, since its share would be over different tasks.
    """
    costs = table.pivot_table(index="task", columns="optimizer", values="cost", sort=False, dropna=False)
    if costs.isna().to_numpy().any():
        lacks = costs.columns[costs.isna().any()]
        raise ValueError(
            f"a profile needs every optimiser on every task, got only some tasks for {', '.join(lacks)}"
        )
    least = costs.min(axis="columns")
    ratios = costs.div(least.where(np.isfinite(least)), axis="index").fillna(np.inf).to_numpy()
    at = np.unique([1.0, *ratios[np.isfinite(ratios)]])
    share = (ratios[None] <= at[:, None, None]).mean(axis=1)  # shape=(ratios, optimisers)
    parts = [
        pd.DataFrame({"optimizer": name, "ratio": at, "share": column})
        for name, column in zip(costs.columns, share.T, strict=True)
    ]
    return style.in_order(pd.concat(parts, ignore_index=True))


def tasks_table(sampler: str, tasks: Mapping[str, Records], goals: Mapping[str, Target]) -> Table:
    """``over_tasks``, ready to be shown or written."""
    table = over_tasks(tasks, goals)
    reached = table["reached"].astype(str) + "/" + table["trials"].astype(str)
    finite = np.isfinite(table["cost"])
    cost = table["cost"].where(finite, 0).map("{:,.0f}".format).where(finite, "never")
    cells = {
        "Optimiser": table["optimizer"].map(style.label),
        "Task": table["task"],
        "Target": table["target"].map("{:g}".format) + table["named"].map({True: "", False: "*"}),
        "Reached": reached,
        "Epochs per success": cost,
    }
    least = table["cost"] == table.groupby("task")["cost"].transform("min")
    title = (
        f"Targets on {len(tasks)} tasks, {sampler}: how many of all trials reached them, and the epochs "
        "trained up to the target, including those of trials that miss it, divided by that number. Bold: the "
        "fewest on the task."
    )
    notes = [f"{len(tasks)} tasks are few: a ranking over tasks describes only these."]
    if not all(draws.independent(records.trials) for records in tasks.values()):
        notes.append(
            "Trials of a search that learns depend on those before, so the epochs per success are those of "
            "this search at this length; of independent trials they would be what to expect of new ones."
        )
    if not table["named"].all():
        notes.append("* Target derived from the same records (typical best run), not named beforehand.")
    notes += draws.warnings({f"{sampler}, {task}": records for task, records in tasks.items()})
    return Table(
        table, pd.DataFrame(cells), pd.DataFrame({"Epochs per success": least & finite}), title, notes
    )
