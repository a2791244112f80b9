"""The fairness linter: what a reader of a comparison must know before believing it.

A rule is a function from a comparison to what it found; the list ``RULES`` has all of them with the reason
why each matters. It judges nobody: a finding says that numbers do not compare as they seem to, and how far.
"""

from induced_metric.analysis.fairness.comparison import Comparison, Finding
from induced_metric.analysis.fairness.linter import RULES, Rule, lint
from induced_metric.analysis.fairness.paper import PUBLISHED
from induced_metric.analysis.fairness.report import (
    comparisons,
    fairness_table,
    findings,
    notes,
    source_of,
)

__all__ = [
    "PUBLISHED",
    "RULES",
    "Comparison",
    "Finding",
    "Rule",
    "comparisons",
    "fairness_table",
    "findings",
    "lint",
    "notes",
    "source_of",
]
