"""Functions of two variables, and many descents on them: the published grid, its timing, the fair study.

The lane engine (``induced_metric.lanes``) suits steps that take milliseconds. A step here takes tens of
nanoseconds, so all runs of an optimizer on a function are one compiled program of their own
(``landscapes.descent``); the optimizers and the functions are the same as everywhere.
"""

from induced_metric.landscapes.functions import LANDSCAPES, Landscape, Point, raised

__all__ = ["LANDSCAPES", "Landscape", "Point", "raised"]
