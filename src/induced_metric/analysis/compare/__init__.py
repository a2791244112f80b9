"""One optimiser against baselines that are already tuned, confirmed and on record."""

from induced_metric.analysis.compare.evidence import Evidence, read, tasks_with_baselines
from induced_metric.analysis.compare.made import Made, make
from induced_metric.analysis.compare.planned import check_planned

__all__ = ["Evidence", "Made", "check_planned", "make", "read", "tasks_with_baselines"]
