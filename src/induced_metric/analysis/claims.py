"""Claims and their verdicts, computed from records by one rule for all evidence.

Evidence is either a table of intervals with one row per problem (a function or a task) and optimiser, or the
difference of two optimisers with its interval (``Effect``). A statement about intervals is true, false or,
where the intervals overlap, undecided. The same holds for statements composed of such statements.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import pandas as pd

Truth: TypeAlias = bool | None  # None: undecided
VERDICTS = {True: "supported", False: "contradicted", None: "unresolved"}


def all_of(truths: Iterable[Truth]) -> Truth:
    """Kleene's conjunction: false if any is false, else undecided if any is undecided."""
    truths = list(truths)
    if False in truths:
        return False
    return None if None in truths else True


def negation(truth: Truth) -> Truth:
    """Kleene's negation."""
    return None if truth is None else not truth


def below(one: tuple[float, float], other: tuple[float, float]) -> Truth:
    """Whether an interval lies below another; undecided where they overlap."""
    return True if one[1] < other[0] else False if other[1] < one[0] else None


class Effect(NamedTuple):
    """A difference of two optimisers that a claim is about.

    Attributes:
        of: what it is the difference of.
        value: the difference; NaN where it is not on record.
        low: lower end of its interval; NaN where there is none.
        high: upper end of its interval; NaN where there is none.
        gain: ``value`` with its sign chosen so that positive favours the claim.
        truth: whether the claim holds for it.
    """

    of: str
    value: float
    low: float
    high: float
    gain: float
    truth: Truth


def deciding(effects: Sequence[Effect]) -> Effect:
    """The effect that decides a claim which must hold for all of them.

    If any effects contradict the claim, it is the one furthest against it. Otherwise, if any leave the claim
    undecided, it is the one of these least in its favour. Otherwise it is the smallest effect.
    """
    truth = all_of(effect.truth for effect in effects)
    matching = [effect for effect in effects if effect.truth is truth]
    return min(matching, key=lambda effect: (effect.gain != effect.gain, effect.gain))


class Evidence:
    """Intervals of measures by (problem, optimiser).

    Args:
        table: the columns that ``problem`` names, ``optimizer`` and, for each measure, ``<measure>_low`` and
            ``<measure>_high``.
        optimizers: the optimisers to compare; any others in the table are ignored.
        problem: the name of the column that holds the problems.
    """

    def __init__(self, table: pd.DataFrame, optimizers: Sequence[str], *, problem: str) -> None:
        self.optimizers = tuple(optimizers)
        self._rows: dict[tuple[str, str], dict[Any, Any]] = {
            (row[problem], row["optimizer"]): row for row in table.to_dict("records")
        }

    def interval(self, problem: str, optimizer: str, measure: str) -> tuple[float, float]:
        """The interval of one measure."""
        row = self._rows[problem, optimizer]
        return float(row[f"{measure}_low"]), float(row[f"{measure}_high"])

    def exceeds(self, problem: str, optimizer: str, measure: str, value: float) -> Truth:
        """Whether the measure is greater than a value."""
        return below((value, value), self.interval(problem, optimizer, measure))

    def least_is_among(self, group: Collection[str], problem: str, measure: str) -> Truth:
        """Whether the smallest of the group lies below every optimiser outside it."""
        inside = [self.interval(problem, name, measure) for name in self.optimizers if name in group]
        outside = [self.interval(problem, name, measure) for name in self.optimizers if name not in group]
        low, high = (min(ends) for ends in zip(*inside, strict=True))
        other_low, other_high = (min(ends) for ends in zip(*outside, strict=True))
        return below((low, high), (other_low, other_high))

    def all_below_the_rest(self, group: Collection[str], problem: str, measure: str) -> Truth:
        """Whether every optimiser of the group lies below every optimiser outside it."""
        rest = [name for name in self.optimizers if name not in group]
        return all_of(
            below(self.interval(problem, name, measure), self.interval(problem, other, measure))
            for name in group
            for other in rest
        )


class Claim(NamedTuple):
    """A claim of the paper, with the rule that decides it and the numbers behind it."""

    number: int
    text: str
    holds: Callable[[Evidence], Truth]
    problems: Sequence[str]
    measures: Sequence[str]


def decide(claims: Sequence[Claim], sources: Mapping[str, Evidence]) -> pd.DataFrame:
    """Verdicts, one row per claim and source: ``claim``, ``text``, ``source``, ``verdict``, ``numbers``."""
    return pd.DataFrame(
        {
            "claim": claim.number,
            "text": claim.text,
            "source": source,
            "verdict": VERDICTS[claim.holds(evidence)],
            "numbers": numbers(claim, evidence),
        }
        for claim in claims
        for source, evidence in sources.items()
    )


def numbers(claim: Claim, evidence: Evidence) -> str:
    """The intervals that decide a claim, as text."""
    parts = []
    for problem in claim.problems:
        for measure in claim.measures:
            cells = ", ".join(
                f"{name} {_range(*evidence.interval(problem, name, measure))}"
                for name in sorted(evidence.optimizers)
            )
            parts.append(f"{problem} {measure}: {cells}")
    return "; ".join(parts)


def _range(low: float, high: float) -> str:
    return f"{low:.3g}" if low == high else f"{low:.3g}-{high:.3g}"
