"""The paper's numbers, as shipped under ``paper/``: Tables 1-4, and how soon a target was reached."""

import functools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

PAPER = Path(__file__).with_name("paper")
_PAIRINGS = Path(__file__).parents[1] / "conf" / "pairing"
RUNS_SUMMARISED = 50
"""Every published mean is over the best 50 trials."""


def _read(name: str = "tables.csv") -> pd.DataFrame:
    return pd.read_csv(PAPER / name)


def optimizers() -> list[str]:
    """The optimisers in the published order of rows."""
    return _read()["optimizer"].unique().tolist()


def summary(task: str) -> pd.DataFrame:
    """The published table of a task with the columns of ``statistics.summary``; empty if it has none."""
    tables = _read()
    table = tables[tables["task"] == task].set_index("optimizer")
    return table.drop(columns=["task", "table", "metric"]).assign(n=RUNS_SUMMARISED)


def number(task: str) -> int | None:
    """The number of a task's table in the paper; None if it has none."""
    tables = _read()
    numbers = tables.loc[tables["task"] == task, "table"]
    return None if numbers.empty else int(numbers.iloc[0])


def metric(task: str) -> str:
    """The metric of a task's published table: ``min_val_loss``, ``max_val_acc`` or ``min_val_perplexity``."""
    tables = _read()
    return str(tables.loc[tables["task"] == task, "metric"].iloc[0])


def targets(task: str) -> pd.Series:
    """The origin of each target of a task, the paper's or ours near its level, by target; empty if none."""
    table = _read("targets.csv")
    return table[table["task"] == task].set_index("target")["origin"]


def time_to_target(task: str) -> pd.DataFrame:
    """The seconds to a target that the paper's text quotes: ``target``, ``optimizer``, ``best_seconds``.

    The text says that Adam, AdamW and SGD_RMS reached 98% on MNIST when they reached their best value, so
    their seconds are those of Table 2. All seconds are taken to be those of the best run.
    """
    table = _read("time_to_target.csv")
    return table[table["task"] == task].drop(columns="task")


def spaces(task: str) -> dict[str, dict[str, dict[str, Any]]]:
    """The published ranges of a task (``low``, ``high``, ``log``) by optimiser and name; empty if none."""
    published = _search_spaces()
    task_entry = published["per_task"].get(task)
    if task_entry is None:
        return {}
    by_optimizer: dict[str, dict[str, dict[str, Any]]] = {}
    for name, ranges in published["shared"].items():
        shared = {"learning_rate": task_entry["learning_rate"], **ranges}
        if name.endswith(("_metric", "_rms")):
            shared["xi"] = task_entry["xi"]
        shared |= published["exceptions"].get(f"{task}_{name}", {})
        by_optimizer[name] = {key: dict(value) for key, value in shared.items() if isinstance(value, Mapping)}
    return by_optimizer


def budget(task: str) -> dict[str, int]:
    """``epochs`` and ``trials`` of the published studies of a task, and their ``batch_size``."""
    task_entry = _search_spaces()["per_task"][task]
    return {name: int(task_entry[name]) for name in ("epochs", "trials", "batch_size")}


def early_stopping() -> str:
    """What stopped the published trials early, on every task."""
    return str(_search_spaces()["early_stopping"])


def best_settings(task: str, optimizer: str) -> dict[str, float]:
    """The published best hyperparameters of a pairing (``conf/pairing/``); empty if there are none."""
    path = _PAIRINGS / f"{task}_{optimizer}.yaml"
    if not path.exists():
        return {}
    settings: dict[str, float] = yaml.safe_load(path.read_text(encoding="utf-8"))["optimizer"]
    return settings


@functools.cache
def _search_spaces() -> dict[str, Any]:
    text = (PAPER / "search_spaces.yaml").read_text(encoding="utf-8")
    as_range = r"{low: \2, high: \3, log: '\1'}"
    read: dict[str, Any] = yaml.safe_load(re.sub(r"(L?)U\((\S+), (\S+)\)", as_range, text))
    for group in ("shared", "per_task", "exceptions"):
        for ranges in read[group].values():
            for value in ranges.values():
                if isinstance(value, dict):
                    # YAML reads 1e-5 as a string.
                    value |= {
                        "low": float(value["low"]),
                        "high": float(value["high"]),
                        "log": value["log"] == "L",
                    }
    return read
