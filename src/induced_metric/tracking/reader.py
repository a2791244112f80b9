"""The mirror read back: W&B's runs as the DataFrames that ``records.load`` returns."""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

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
from induced_metric.tracking.live import PROJECT

# A page of W&B's history holds every epoch of a trial, so that a trial costs one request.
_HISTORY_PAGE = 10_000
_RUNS_PAGE = 500


def load(
    task: str,
    *,
    protocol: str = "paper",
    sampler: str = "tpe",
    optimizers: Iterable[str] | None = None,
    results: str | Path = "results",  # noqa: ARG001
    entity: str | None = None,
    project: str = PROJECT,
) -> Records:
    """Loads the mirrored trials of a task, with one request per trial for its curve.

    ``functools.partial(load, entity=..., project=...)`` can be used wherever ``records.load`` can.

    Args:
        task: name of the task.
        protocol: name of the protocol.
        sampler: ``tpe``, ``random``, ``tpe+hyperband`` ...
        optimizers: which to load; all that have runs by default.
        results: ignored; ``records.load`` takes it.
        entity: the W&B user or team; the account's default where not given.
        project: the W&B project.

    Raises:
        FileNotFoundError: if a study asked for has no runs; the message says which have.
    """
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
    available = sorted({row["optimizer"] for row in rows})
    missing = sorted(set(wanted or ()) - set(available))
    if missing or not rows:
        raise FileNotFoundError(
            f"no runs of {', '.join(missing) or task} ({protocol}, {sampler}) in the W&B project {path};"
            f" there are: {', '.join(available) or 'none'}"
        )
    order = {name: place for place, name in enumerate(available if wanted is None else wanted)}
    trials = trial_table(rows).to_pandas()
    curves = pa.concat_tables(tables, promote_options="default").to_pandas()
    return tidy(_sorted(trials, order, ["trial"]), _sorted(curves, order, ["trial", "epoch"]))


def _runs(path: str, filters: dict[str, Any]) -> Iterator[Any]:
    import wandb

    # Not lazily: a lazy run fetches its configuration and summary in a request of its own.
    for run in wandb.Api().runs(path, filters=filters, per_page=_RUNS_PAGE, lazy=False):
        if "state" in run.summary:  # an export under way, or one that was killed, has no outcome yet
            yield run


def _row(run: Any) -> dict[str, Any]:
    config = {name: value for name, value in run.config.items() if not name.startswith("_")}
    row = {name: value for name, value in config.items() if name not in RESERVED} | {
        name: config[name] for name in RESERVED - set(OUTCOME)
    }
    row |= {name: json.dumps(row[name], sort_keys=True) for name in NESTED}
    return row | {name: run.summary[name] for name in OUTCOME}


def _curve(run: Any, row: Mapping[str, Any]) -> pa.Table:
    history = list(run.scan_history(page_size=_HISTORY_PAGE))
    metrics = sorted({name for entry in history for name in entry if not name.startswith("_")})
    # float() also reads W&B's "NaN" and "Infinity".
    curve: dict[str, Any] = {name: [float(entry[name]) for entry in history] for name in metrics}
    curve["seconds"] = curve.pop(EPOCH_SECONDS, [])  # a trial that failed at once has no epoch
    curve["epoch"] = [int(entry["_step"]) for entry in history]
    table = curve_table(row["trial"], curve)
    return table.append_column("optimizer", pa.array([row["optimizer"]] * len(table), pa.string()))


def _sorted(frame: pd.DataFrame, order: Mapping[str, int], key: list[str]) -> pd.DataFrame:
    place = frame["optimizer"].map(order)
    frame = frame.assign(_place=place).sort_values(["_place", *key], ignore_index=True)
    return frame.drop(columns="_place")
