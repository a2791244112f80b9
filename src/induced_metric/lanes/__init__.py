"""Many trials at once in one compiled program; knows nothing of tasks or optimizers."""

from induced_metric.lanes.engine import Assignment, Lanes, Report

__all__ = ["Assignment", "Lanes", "Report"]
