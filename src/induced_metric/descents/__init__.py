"""Many descents on functions of two variables: the published grid, its timing, and the fair study.

The lane engine (``induced_metric.lanes``) suits steps that take milliseconds. A step here takes tens of
nanoseconds, so all runs of an optimizer on a function are one compiled program of their own
(``descents.program``); the optimizers and the functions are the same as everywhere.
"""
