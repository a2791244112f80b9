"""The numbers of the paper's Tables 1-4, as shipped under ``results/paper/``."""

from pathlib import Path

import pandas as pd

RUNS_SUMMARISED = 50
"""Every published mean is over the best 50 trials."""


def _read(paper: str | Path) -> pd.DataFrame:
    path = Path(paper) / "tables.csv"
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist; the published numbers are results/paper/tables.csv")
    return pd.read_csv(path)


def optimizers(paper: str | Path = "results/paper") -> list[str]:
    """The optimizers in the published order of rows."""
    return _read(paper)["optimizer"].unique().tolist()


def summary(task: str, paper: str | Path = "results/paper") -> pd.DataFrame:
    """The published table of a task in the columns of ``statistics.summary``; empty if it has none."""
    tables = _read(paper)
    table = tables[tables["task"] == task].set_index("optimizer")
    return table.drop(columns=["task", "table", "metric"]).assign(n=RUNS_SUMMARISED)


def number(task: str, paper: str | Path = "results/paper") -> int | None:
    """The number of a task's table in the paper; None where it has none."""
    tables = _read(paper)
    numbers = tables.loc[tables["task"] == task, "table"]
    return None if numbers.empty else int(numbers.iloc[0])
