"""The fairness linter: what a reader of a comparison must know before believing it.

A rule is a function that takes a comparison and yields findings; the list ``RULES`` has every rule with the
reason why it matters. The linter does not rank optimisers: a finding says that numbers are less comparable
than they seem, and by how much.
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
