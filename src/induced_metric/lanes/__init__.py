"""Many trials at once in one compiled program; knows nothing of tasks or optimisers."""

from typing import Any

from induced_metric.lanes.engine import Lanes
from induced_metric.lanes.group import Assignment, Report

__all__ = ["Assignment", "Lanes", "Report", "search"]


def __getattr__(name: str) -> Any:
    if name == "search":  # on first use, so that the lanes alone need no Optuna
        from induced_metric.lanes._search import search

        return search
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
