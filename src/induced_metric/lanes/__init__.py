"""Many trials at once in one compiled program; knows nothing of tasks or optimizers."""

from induced_metric.lanes.engine import Lanes
from induced_metric.lanes.group import Assignment, Report

__all__ = ["Assignment", "Lanes", "Report"]
