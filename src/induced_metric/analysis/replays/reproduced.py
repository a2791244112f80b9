"""Studies run again beside their committed records: how many trials are equal, how far the others are off."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from induced_metric.analysis import runs
from induced_metric.analysis.rendering import Table, fixed
from induced_metric.analysis.replays.replay import Rules, replay
from induced_metric.records import Records, StudyKey
from induced_metric.records.schema import RESERVED


def compared(key: StudyKey, again: Records, committed: Records) -> dict[str, object]:
    """One study run again, compared with its committed record over the trials that both have.

    Returns:
        ``study``; ``trials``, how many both have; ``of``, how many are committed; ``equal``, how many have
        the same hyperparameters, seed and curve, bit for bit; ``first_other``, the number of the first trial
        that has not, -1 where all have; ``difference``, the greatest difference of two values, relative to
        the committed one; ``committed`` and ``again``, the means of the best of these trials.
    """
    numbers = sorted(set(again.trials["trial"]) & set(committed.trials["trial"]))
    rerun, recorded = (_of(records, numbers) for records in (again, committed))
    same = _rows_equal(rerun.trials, recorded.trials) & _curves_equal(rerun.curves, recorded.curves, numbers)
    values = [study.trials["value"].to_numpy() for study in (rerun, recorded)]
    with np.errstate(over="ignore"):  # the value of a diverged trial is the worst finite float32
        relative = np.abs(values[0] - values[1]) / np.maximum(np.abs(values[1]), np.finfo(float).tiny)
    top = runs.best_count({key.sampler: recorded})
    direction = recorded.trials["direction"].iloc[0]
    means = [replay(study, Rules()).mean(top, direction) for study in (recorded, rerun)]
    return {
        "study": "/".join(key),
        "trials": len(numbers),
        "of": len(committed.trials),
        "equal": int(same.sum()),
        "first_other": int(np.array(numbers)[~same][0]) if not same.all() else -1,
        "difference": float(relative.max()),
        "committed": means[0],
        "again": means[1],
    }


def reproduced_table(name: str, found: Mapping[StudyKey, dict[str, object]]) -> Table:
    """``compared`` for all studies, ready to be shown or written."""
    table = pd.DataFrame(list(found.values()))
    cells = {
        "Study": table["study"],
        "Trials": table["trials"].astype(str) + " of " + table["of"].astype(str),
        "Bit-identical": table["equal"].astype(str),
        "First different": table["first_other"].map(lambda trial: "none" if trial < 0 else str(trial)),
        "Greatest difference": table["difference"].map("{:.2g}".format),
        "Committed": fixed(table["committed"], 4),
        "Again": fixed(table["again"], 4),
        "Difference": (table["again"] / table["committed"] - 1).map("{:+.2%}".format),
    }
    notes = [
        "Bit-identical: hyperparameters, seed and curve. A search that learns proposes trials from the "
        "results so far, so all trials after the first different one may differ.",
        "Committed, again: the mean of the best trials (50, at most a quarter) among those that both have.",
    ]
    title = f"{name}: studies run again, compared with the committed records."
    return Table(table, pd.DataFrame(cells), pd.DataFrame(index=table.index), title, notes)


def _of(study: Records, numbers: list[int]) -> Records:
    trials = study.trials[study.trials["trial"].isin(numbers)].sort_values("trial")
    curves = study.curves[study.curves["trial"].isin(numbers)].sort_values(["trial", "epoch"])
    return Records(trials.reset_index(drop=True), curves.reset_index(drop=True))


def _rows_equal(ours: pd.DataFrame, theirs: pd.DataFrame) -> np.ndarray:
    hyperparameters = sorted(set(theirs.columns) & set(ours.columns) - RESERVED)
    names = [*hyperparameters, "seed", "state", "diverged", "value", "best_epoch", "epochs"]
    return np.logical_and.reduce([_equal(ours[name], theirs[name]) for name in names])


def _curves_equal(ours: pd.DataFrame, theirs: pd.DataFrame, numbers: list[int]) -> np.ndarray:
    names = [str(name) for name in theirs if "/" in str(name) and name in ours]
    joined = ours.merge(
        theirs, on=["trial", "epoch"], how="outer", indicator=True, suffixes=("", " recorded")
    )
    same = (joined["_merge"] == "both").to_numpy()
    for name in names:
        same = same & _equal(joined[name], joined[f"{name} recorded"])
    return joined.assign(same=same).groupby("trial")["same"].all().reindex(numbers).to_numpy(bool)


def _equal(one: pd.Series, other: pd.Series) -> np.ndarray:
    return ((one == other) | (one.isna() & other.isna())).to_numpy(bool)
