"""One optimiser against baselines that are already tuned, confirmed and on record."""

from induced_metric.analysis.compare.evidence import Evidence, check_planned, read
from induced_metric.analysis.compare.made import Made, make

__all__ = ["Evidence", "Made", "check_planned", "make", "read"]
