"""The report to explore: one HTML file without network, made from the records alone.

``write`` makes it. ``assemble.SECTIONS`` lists what it says of each task under each protocol.
"""

from induced_metric.analysis.report.page import write

__all__ = ["write"]
