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
    Rule("selection", "what was chosen on a split is partly luck on that split: the value is optimistic",
         measurement.selection),
    Rule("unequal spaces", "who may search where the best lie wins by its range", spaces.unequal),
    Rule("not nested", "an optimiser that extends another can lose to it only by its space or by the cost of "
         "the search; this space leaves the special case out", spaces.not_nested),
    Rule("bound", "a better setting may lie beyond: the range decides, not the optimiser", spaces.at_a_bound),
    Rule("momentum", "equal ranges of the learning rate are then unequal ranges of the step", spaces.momenta),
    Rule("budget", "more trials, studies or epochs find more", effort.budgets),
    Rule("random draws", "the sampler's name is on a search that it did not do", effort.random_draws),
    Rule("last epoch", "the number of epochs decides: more of them would change the value",
         effort.last_epoch),
    Rule("early stopping", "an adaptive rule favours what is fast early, and spends unequal budgets",
         effort.bands),
    Rule("lost trials", "a mean of the best leaves them out: to diverge costs nothing there, the worst "
         "elsewhere", effort.lost),
    Rule("Muon's share", "the result is that of a mixture, of which Muon is a part", measurement.muons_share),
    Rule("sampling error", "an order of such differences may be another on other examples, or seeds",
         measurement.sampling_error),
    Rule("load", "seconds then rank machines' other work; epochs, or costs measured apart, do not",
         measurement.seconds),
)  # fmt: skip


def lint(comparison: Comparison, rules: Iterable[Rule] = RULES) -> pd.DataFrame:
    """The findings of all rules, one row each: ``rule``, ``source``, ``found``, ``numbers``, ``why``."""
    rows = [
        (rule.name, comparison.source, found.found, found.numbers, rule.why)
        for rule in rules
        for found in rule.check(comparison)
    ]
    return pd.DataFrame(rows, columns=_COLUMNS)
