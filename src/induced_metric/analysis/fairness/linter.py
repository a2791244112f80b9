"""The rules, and what they find: a new rule is a function and a line in ``RULES``."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import pandas as pd

from induced_metric.analysis.fairness import effort, measurement, spaces
from induced_metric.analysis.fairness.comparison import Comparison, Finding

_COLUMNS = ["rule", "source", "found", "numbers", "why"]


class Rule(NamedTuple):
    """A way in which a comparison can favour an optimiser.

    Attributes:
        name: its name in tables.
        why: why a finding matters.
        check: yields the findings.
    """

    name: str
    why: str
    check: Callable[[Comparison], Iterable[Finding]]


RULES = (
    Rule("selection", "a choice is partly luck on its split, so the value on that split is optimistic",
         measurement.selection),
    Rule("unequal spaces", "an optimiser may win because its range contains the best values", spaces.unequal),
    Rule("not nested", "an optimiser that extends another can lose to it only because of its space or of "
         "what the search costs; this space leaves out the special case in which they are equal",
         spaces.not_nested),
    Rule("bound", "a better setting may lie beyond the bound, so the range decides, not the optimiser",
         spaces.at_a_bound),
    Rule("momentum", "equal ranges of the learning rate are then unequal ranges of the step size",
         spaces.momenta),
    Rule("budget", "more trials, studies or epochs find better values", effort.budgets),
    Rule("random draws", "the search bears the name of a sampler that chose none of its trials",
         effort.random_draws),
    Rule("last epoch", "the number of epochs decides: more epochs would change the value", effort.last_epoch),
    Rule("early stopping", "an adaptive rule favours an optimiser that is fast at first, and spends unequal "
         "budgets", effort.bands),
    Rule("lost trials", "a mean of the best trials leaves them out, so diverging costs nothing there; "
         "elsewhere they count as worst", effort.lost),
    Rule("Muon's share", "the result is that of a mixture of Muon and Adam", measurement.muons_share),
    Rule("sampling error", "other examples or seeds may give another order", measurement.sampling_error),
    Rule("load", "seconds then depend on the machine's other work; epochs, and costs measured apart, do not",
         measurement.seconds),
)  # fmt: skip


def lint(comparison: Comparison, rules: Iterable[Rule] = RULES) -> pd.DataFrame:
    """The findings of all rules, one row each: ``rule``, ``source``, ``found``, ``numbers``, ``why``."""
    rows = [
        (rule.name, comparison.source, finding.found, finding.numbers, rule.why)
        for rule in rules
        for finding in rule.check(comparison)
    ]
    return pd.DataFrame(rows, columns=_COLUMNS)
