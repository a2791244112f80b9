"""The effect of one change of a protocol's rules: the same study under ``paper`` and ``paper_<change>``.

A protocol ``<name>_<change>`` is the protocol ``<name>`` with one thing changed, as its setting
``protocol.changes`` describes, or else its name. Trial k has the same seed under both and, with random
search, the same uniform draws, so the two are compared trial by trial.
"""

import json
from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
from scipy import stats

from induced_metric.analysis import draws, runs, style
from induced_metric.analysis.rendering import Table, fixed
from induced_metric.analysis.searches import differences
from induced_metric.analysis.statistics import CONFIDENCE
from induced_metric.records import FIXED, Records

_BASE = "base"


def effects(base: Records, changed: Records, n: int) -> pd.DataFrame:
    r"""The value under the changed rules minus that under the unchanged ones, for optimisers that have both.

    In studies that do not search, trial k has the same hyperparameters and the same seed under both. The
    difference is then :math:`\bar d \pm t_{0.975, K - 1}\, s_d / \sqrt K` over K differences, one for each
    seed whose trials are both eligible (``runs.eligible``). With random search it is the difference of the
    means of the best ``n``, with a bootstrap interval over trial numbers (``differences.to_baseline``). A
    search that adapts has no such pairs.

    Returns:
        ``optimizer``; ``base``, the value under the unchanged rules; ``difference``, ``low``, ``high``,
        ``trials``; of seeds also ``lost`` and ``lost_changed``, how many were lost under either rules.
        Searches that adapt have no rows.
    """
    names = [each for each in base.trials["optimizer"].unique() if each in set(changed.trials["optimizer"])]
    find = _of_seeds if (base.trials["sampler"] == FIXED).all() else _of_draws
    rows = (
        {"optimizer": name, **row}
        for name in names
        if (row := find(_own(base, name), _own(changed, name), n)) is not None
    )
    columns = ["optimizer", "base", "difference", "low", "high", "trials", "lost", "lost_changed"]
    return pd.DataFrame(rows, columns=columns).astype({"trials": int})


def _own(records: Records, optimizer: str) -> pd.DataFrame:
    return records.trials[records.trials["optimizer"] == optimizer]


def _of_seeds(base: pd.DataFrame, changed: pd.DataFrame, n: int) -> dict[str, float] | None:
    del n
    both = pd.concat(
        [rows[runs.eligible(rows)].set_index("seed")["value"] for rows in (base, changed)],
        axis=1,
        join="inner",
    ).to_numpy()
    if len(both) < 2:
        return None
    difference = both[:, 1] - both[:, 0]
    ends = stats.ttest_1samp(difference, 0.0).confidence_interval(CONFIDENCE)
    return {
        "base": both[:, 0].mean(), "difference": difference.mean(), "low": ends.low, "high": ends.high,
        "trials": len(both), "lost": int((~runs.eligible(base)).sum()),
        "lost_changed": int((~runs.eligible(changed)).sum()),
    }  # fmt: skip


def _of_draws(base: pd.DataFrame, changed: pd.DataFrame, n: int) -> dict[str, float] | None:
    if not (draws.independent(base) and draws.independent(changed)):
        return None
    common = np.intersect1d(base["trial"], changed["trial"])
    if not common.size:
        return None
    parts = [
        rows[rows["trial"].isin(common)].assign(optimizer=name)
        for name, rows in ((_BASE, base), ("changed", changed))
    ]
    row = differences.to_baseline(pd.concat(parts, ignore_index=True), _BASE, n).iloc[0]
    return {
        "base": runs.top(parts[0], n)["value"].mean(),
        **row[["difference", "low", "high", "trials"]],
    }


def deviations_table(task: str, ours: Mapping[str, Records], *, n: int) -> Table | None:
    """``effects`` of every change that is on record; None where there is none.

    Args:
        task: name of the task.
        ours: the records of a protocol, followed by those of its changes.
        n: how many of the best values a mean is over.
    """
    parts = [
        part.assign(changes=changes, source=sampler)
        for changes, sampler, base, changed in _pairs(ours)
        if len(part := effects(base, changed, n))
    ]
    if not parts:
        return None
    table = pd.concat(parts, ignore_index=True)
    objective, direction = runs.objective(ours)
    searched = table["source"] != FIXED
    low, high = (fixed(table[end], 4, signed=True) for end in ("low", "high"))
    cells = {
        "Change": table["changes"],
        "Optimiser": table["optimizer"].map(style.label),
        "Unchanged": fixed(table["base"], 4),
        "Difference": fixed(table["difference"], 4, signed=True),
        "95% interval": "[" + low + ", " + high + "]",
        "Based on": (f"best {n} of " + table["trials"].astype(str)).where(
            searched, table["trials"].astype(str) + " seeds"
        ),
    }  # fmt: skip
    significant = (table["low"] > 0) | (table["high"] < 0)
    metric = style.words(objective)
    title = (
        f"The effect of changing one of the published rules, {task} task: mean {metric} with the change "
        f"minus that without it; {'below' if direction == 'minimize' else 'above'} 0 is better. Bold: 0 is "
        "outside the interval."
    )
    notes = [
        "Seeds: the published best settings, trained from the same seeds with and without the change; "
        "Student's t interval over the differences. A seed is left out if either of its trials diverged, "
        f"failed or was pruned{_lost(table)}; pruned trials count in a study that ranks them.",
        "Best: random search with the same draws with and without the change; bootstrap interval over trial "
        f"numbers ({differences.RESAMPLES:,} resamples).",
        "The intervals are not corrected for the number of rows.",
    ]
    return Table(
        table, pd.DataFrame(cells), pd.DataFrame({"Difference": significant}), title, notes, metric=metric
    )


def _lost(table: pd.DataFrame) -> str:
    """Whose seeds were lost without and with a change, in words; empty where none was."""
    own = table[(table["lost"] > 0) | (table["lost_changed"] > 0)]
    named = [
        f"{style.label(name)} {lost:g} without and {changed:g} with the change: {changes}"
        for name, lost, changed, changes in own[["optimizer", "lost", "lost_changed", "changes"]].to_numpy()
    ]
    return f" ({'; '.join(named)})" if named else ""


def _pairs(ours: Mapping[str, Records]) -> Iterator[tuple[str, str, Records, Records]]:
    """Yields what is changed, the sampler, and the records without and with the change."""
    by_study = {tuple(each.trials[["protocol", "sampler"]].iloc[0]): each for each in ours.values()}
    unchanged = next(iter(by_study))[0]
    for (protocol, sampler), changed in by_study.items():
        if protocol != unchanged and (unchanged, sampler) in by_study:
            rules = json.loads(changed.trials["config"].iloc[0]).get("protocol", {})
            yield rules.get("changes", protocol), sampler, by_study[unchanged, sampler], changed
