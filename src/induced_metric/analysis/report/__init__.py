"""The interactive report: one HTML file that needs no network, made from the records alone.

``write`` makes it. ``assemble.SECTIONS`` lists its sections on each task under each protocol.
"""

from induced_metric.analysis.report.page import write

__all__ = ["write"]
