"""The paper's numbers, as shipped under ``paper/``: Tables 1-4, and how soon a target was reached."""

from pathlib import Path

import pandas as pd

PAPER = Path(__file__).with_name("paper")
RUNS_SUMMARISED = 50
"""Every published mean is over the best 50 trials."""


def _read(name: str = "tables.csv") -> pd.DataFrame:
    return pd.read_csv(PAPER / name)


def optimizers() -> list[str]:
    """The optimizers in the published order of rows."""
    return _read()["optimizer"].unique().tolist()


def summary(task: str) -> pd.DataFrame:
    """The published table of a task in the columns of ``statistics.summary``; empty if it has none."""
    tables = _read()
    table = tables[tables["task"] == task].set_index("optimizer")
    return table.drop(columns=["task", "table", "metric"]).assign(n=RUNS_SUMMARISED)


def number(task: str) -> int | None:
    """The number of a task's table in the paper; None where it has none."""
    tables = _read()
    numbers = tables.loc[tables["task"] == task, "table"]
    return None if numbers.empty else int(numbers.iloc[0])


def targets(task: str) -> pd.Series:
    """Whose targets those of a task are, by target: the paper's, or ours near its level; empty if none."""
    table = _read("targets.csv")
    return table[table["task"] == task].set_index("target")["origin"]


def time_to_target(task: str) -> pd.DataFrame:
    """The seconds to a target that the text quotes: ``target``, ``optimizer``, ``best_seconds``.

    Of Adam, AdamW and SGD_RMS it says that they reached 98% on MNIST when they reached their best, so theirs
    are those of Table 2, and all are taken to be of the best run.
    """
    table = _read("time_to_target.csv")
    return table[table["task"] == task].drop(columns="task")
