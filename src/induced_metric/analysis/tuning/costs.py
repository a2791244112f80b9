"""The measured cost of an epoch, as ``make costs`` writes it."""

from pathlib import Path

import pandas as pd


def read_costs(path: Path, task: str) -> pd.Series:
    """Device seconds per epoch of each optimiser, from a table ``task,optimizer,seconds_per_epoch``.

    Returns:
        The costs by optimiser; empty where there is no such table, or the task is not in it.

    Raises:
        ValueError: if a column is missing, or a cost is not positive.
    """
    columns = ["task", "optimizer", "seconds_per_epoch"]
    table = pd.read_csv(path) if path.exists() else pd.DataFrame(columns=columns)
    if missing := [name for name in columns if name not in table]:
        raise ValueError(f"{path} needs the columns {', '.join(columns)}; there is no {missing[0]}")
    costs = table[table["task"] == task].set_index("optimizer")["seconds_per_epoch"].astype(float)
    if not (costs > 0).all():
        raise ValueError(f"a cost per epoch must be > 0, got {costs.min()} in {path}")
    return costs
