"""How many parameters the networks of the tasks have, and how many of these are in matrices.

``models.csv`` has what the networks themselves say (a test counts them): the analysis starts no JAX.
"""

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd


class Model(NamedTuple):
    """The size of a network: its parameters, and those in arrays of two dimensions, which are Muon's."""

    parameters: int
    matrices: int


@functools.cache
def models() -> pd.DataFrame:
    """By ``task``: ``settings``, those of the task that shape the network, as JSON; and its ``Model``."""
    return pd.read_csv(Path(__file__).with_suffix(".csv"), index_col="task")


def model(task: str, settings: Mapping[str, Any]) -> Model | None:
    """The size of a task's network; None where it is not known, or the settings are others."""
    if task not in models().index:
        return None
    row = models().loc[[task]].iloc[0].to_dict()
    shaping = json.loads(row["settings"])
    # A configuration may be older than the name of a setting.
    if any(settings.get(name, value) != value for name, value in shaping.items()):
        return None
    return Model(int(row["parameters"]), int(row["matrices"]))
