"""The runs behind a table or a figure: loaded from the records or from W&B, and the best of them."""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias

import pandas as pd
import pyarrow as pa

from induced_metric import records
from induced_metric.analysis import draws
from induced_metric.records import published
from induced_metric.records.schema import (
    EPOCH_SECONDS,
    NESTED,
    OUTCOME,
    RESERVED,
    Records,
    curve_table,
    tidy,
    trial_table,
)

Source: TypeAlias = Literal["records", "wandb"]
# A page of W&B's history holds every epoch of a trial, so that a trial costs one request.
_HISTORY_PAGE = 10_000
_RUNS_PAGE = 500


def load(
    task: str,
    *,
    source: Source = "records",
    protocol: str = "paper",
    sampler: str = "tpe",
    optimizers: Iterable[str] | None = None,
    results: str | Path = "results",
    entity: str | None = None,
    project: str = "induced-metric",
) -> Records:
    """Loads the trials and curves of a task.

    Args:
        task: name of the task.
        source: ``records`` reads the Parquet files under ``results``; ``wandb`` reads the mirrored runs of
            ``entity``/``project``, one request a trial for its curve.
        protocol: name of the protocol.
        sampler: ``tpe``, ``random``, ``tpe+hyperband`` ...
        optimizers: which to load; all that have records by default.
        results: the results directory.
        entity: the W&B user or team; the account's default where not given.
        project: the W&B project.

    Returns:
        The same two DataFrames from either source.

    Raises:
        FileNotFoundError: if there is nothing of a study asked for; the message says what there is.
        ValueError: for another source.
    """
    if source == "records":
        return records.load(task, protocol=protocol, sampler=sampler, optimizers=optimizers, results=results)
    if source != "wandb":
        raise ValueError(f"source must be 'records' or 'wandb', got {source!r}")
    path = f"{entity}/{project}" if entity else project
    wanted = None if optimizers is None else list(optimizers)
    filters: dict[str, Any] = {
        "jobType": "trial",  # not the runs that train.py logs live
        "config.protocol": protocol,
        "config.task": task,
        "config.sampler": sampler,
    }
    if wanted is not None:
        filters["config.optimizer"] = {"$in": wanted}
    rows, tables = [], []
    for run in _runs(path, filters):
        row = _row(run)
        rows.append(row)
        tables.append(_curve(run, row))
    found = sorted({row["optimizer"] for row in rows})
    missing = sorted(set(wanted or ()) - set(found))
    if missing or not rows:
        raise FileNotFoundError(
            f"no runs of {', '.join(missing) or task} ({protocol}, {sampler}) in the W&B project {path};"
            f" there are: {', '.join(found) or 'none'}"
        )
    order = {name: place for place, name in enumerate(found if wanted is None else wanted)}
    trials = trial_table(rows).to_pandas()
    curves = pa.concat_tables(tables, promote_options="default").to_pandas()
    return tidy(_sorted(trials, order, ["trial"]), _sorted(curves, order, ["trial", "epoch"]))


def load_samplers(
    task: str,
    samplers: Iterable[str] | None = None,
    *,
    source: Source = "records",
    protocol: str = "paper",
    results: str | Path = "results",
    **options: Any,
) -> dict[str, Records]:
    """Loads a task once for each sampler, by default for all that have records and search.

    The trials of ``fixed`` are repeats of one setting, which ``seeds`` summarises; by name they load too.

    Args:
        task: name of the task.
        samplers: names of samplers, in the order of the result.
        source: as for ``load``; W&B needs the samplers by name.
        protocol: name of the protocol.
        results: the results directory.
        **options: further arguments of ``load``.

    Raises:
        FileNotFoundError: if there is nothing of one; the message says what there is.
        ValueError: for another source, or for W&B without samplers.
    """
    if samplers is None and source == "wandb":
        raise ValueError("with source 'wandb' name the samplers, such as ['tpe', 'random']")
    recorded = records.samplers(task, protocol=protocol, results=results) if samplers is None else samplers
    names = [name for name in recorded if samplers is not None or name != draws.FIXED]
    if not names:
        tasks = records.tasks(protocol=protocol, results=results)
        what = f"a search of {task}" if recorded else task
        raise FileNotFoundError(
            f"no records of {what} ({protocol}) under {results}; tasks with records: "
            f"{', '.join(tasks) or 'none'}"
        )
    where: dict[str, Any] = {"source": source, "protocol": protocol, "results": results, **options}
    return {name: load(task, sampler=name, **where) for name in names}


def locate(task: str, results: Iterable[str | Path], *, protocol: str = "paper") -> tuple[str, Path]:
    """Where a task has a search on record: the first of these directories, else the first with its preset.

    Args:
        task: name of the task; its preset, smaller than the published task, is ``<task>_small``.
        results: results directories, in this order.
        protocol: name of the protocol.

    Returns:
        The name of the task, or of its preset where no directory has the task itself, and the directory.

    Raises:
        FileNotFoundError: if there is neither anywhere; the message says where it was looked for.
    """
    directories = [Path(directory) for directory in results]
    for name in (task, f"{task}_small"):
        for directory in directories:
            if set(records.samplers(name, protocol=protocol, results=directory)) - {draws.FIXED}:
                return name, directory
    raise FileNotFoundError(
        f"no records of {task} or {task}_small ({protocol}) under {', '.join(map(str, directories))};"
        f" 'make sweep TASK={task}' makes them"
    )


def objective(ours: Mapping[str, Records]) -> tuple[str, str]:
    """The metric that studies optimised and its direction, ``minimize`` or ``maximize``.

    Raises:
        ValueError: if they optimised different ones.
    """
    found = pd.concat([study.trials[["objective", "direction"]] for study in ours.values()])
    found = found.drop_duplicates()
    if len(found) != 1:
        names = ", ".join(sorted(found["objective"]))
        raise ValueError(f"the studies of one table share an objective, got {names}")
    return found["objective"].iloc[0], found["direction"].iloc[0]


def words(metric: str) -> str:
    """A metric's name as a reader sees it: ``test accuracy``."""
    return metric.replace("/", " ").replace("_", " ")


def ranks(optimizers: pd.Series, order: Iterable[str]) -> pd.Series:
    """The place of each optimizer in this order; those that it lacks follow by name."""
    names = list(order)
    names += sorted(set(optimizers) - set(names))
    return optimizers.map({name: place for place, name in enumerate(names)})


def best_count(ours: Mapping[str, Records]) -> int:
    """How many runs of an optimizer are its best, where nobody says: 50, at most a quarter of the trials.

    Published is the best 50 of 500 trials, of 200 for CIFAR-10. Of a smaller study 50 would be most of what
    was tried, not the best of it. The largest study decides, so that all rows are over as many runs.
    """
    trials = max(study.trials.groupby("optimizer").size().max() for study in ours.values())
    return max(1, min(published.RUNS_SUMMARISED, trials // 4))


def eligible(trials: pd.DataFrame) -> pd.Series:
    """Which trials can be among the best; ``statistics.counts`` counts the others.

    Pruned, failed and diverged ones cannot, except that a pruned one can where its study ranks what its
    pruner stopped, by the best value of the epochs it ran (``draws.ranks_stopped``).
    """
    ended = trials["state"] == "complete"
    stopped = (trials["state"] == "pruned") & draws.ranks_stopped(trials)
    return (ended | stopped) & ~trials["diverged"]


def top(trials: pd.DataFrame, n: int) -> pd.DataFrame:
    """The best ``n`` eligible trials of each optimizer, best first, by the direction of its study.

    Of equal trials the earlier one is better.
    """
    found = trials[eligible(trials)]
    worse = found["value"].where(found["direction"] == "minimize", -found["value"])
    ranked = found.assign(_worse=worse).sort_values(["_worse", "trial"], kind="stable")
    best = ranked.groupby("optimizer", sort=False).head(n).drop(columns="_worse")
    # Optimizers in the order in which they came.
    rank = {name: place for place, name in enumerate(trials["optimizer"].unique())}
    return best.sort_values("optimizer", key=lambda names: names.map(rank), kind="stable", ignore_index=True)


def _sorted(frame: pd.DataFrame, order: Mapping[str, int], key: list[str]) -> pd.DataFrame:
    place = frame["optimizer"].map(order)
    frame = frame.assign(_place=place).sort_values(["_place", *key], ignore_index=True)
    return frame.drop(columns="_place")


def _runs(path: str, filters: dict[str, Any]) -> Iterator[Any]:
    import wandb

    # Not lazily: a lazy run fetches its configuration and summary in a request of its own.
    for run in wandb.Api().runs(path, filters=filters, per_page=_RUNS_PAGE, lazy=False):
        if "state" in run.summary:  # an export under way, or one that was killed, has no outcome yet
            yield run


def _row(run: Any) -> dict[str, Any]:
    given = {name: value for name, value in run.config.items() if not name.startswith("_")}
    row = {name: value for name, value in given.items() if name not in RESERVED} | {
        name: given[name] for name in RESERVED - set(OUTCOME)
    }
    row |= {name: json.dumps(row[name], sort_keys=True) for name in NESTED}
    return row | {name: run.summary[name] for name in OUTCOME}


def _curve(run: Any, row: Mapping[str, Any]) -> pa.Table:
    history = list(run.scan_history(page_size=_HISTORY_PAGE))
    metrics = sorted({name for entry in history for name in entry if not name.startswith("_")})
    # float() also reads W&B's "NaN" and "Infinity".
    curve: dict[str, Any] = {name: [float(entry[name]) for entry in history] for name in metrics}
    curve["seconds"] = curve.pop(EPOCH_SECONDS)
    curve["epoch"] = [int(entry["_step"]) for entry in history]
    table = curve_table(row["trial"], curve)
    return table.append_column("optimizer", pa.array([row["optimizer"]] * len(table), pa.string()))
