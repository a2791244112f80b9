"""How many parameters the networks of the tasks have, and how many of these are in matrices.

``models.csv`` has the counts, so that the analysis need not import JAX; a test counts the networks' own.
"""

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd


class Model(NamedTuple):
    """The size of a network: its parameters, and those in arrays of two dimensions, which Muon updates."""

    parameters: int
    matrices: int


@functools.cache
def models() -> pd.DataFrame:
    """One row per ``task``: the ``settings`` that determine the network, as JSON, and its ``Model``."""
    return pd.read_csv(Path(__file__).with_suffix(".csv"), index_col="task")


def model(task: str, settings: Mapping[str, Any]) -> Model | None:
    """The size of a task's network; None if it is not known, or if the settings differ from those counted."""
    if task not in models().index:
        return None
    row = models().loc[[task]].iloc[0].to_dict()
    shaping = json.loads(row["settings"])
    # A configuration may be older than a setting, and then lacks it.
    if any(settings.get(name, value) != value for name, value in shaping.items()):
        return None
    return Model(int(row["parameters"]), int(row["matrices"]))
