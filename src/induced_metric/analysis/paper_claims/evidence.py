"""Sources of evidence on a claim: each compares two optimizers by what it has, with an interval where it can.

An interval holds for all comparisons of a claim at once with 95% (Bonferroni), but for verdicts, which hold
for all pairs of a study. Where no interval is valid there is none, and what would need it stays unresolved.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol, TypeAlias

from induced_metric.analysis import style
from induced_metric.analysis.claims import Effect, Truth
from induced_metric.analysis.confirmations import verdicts
from induced_metric.analysis.fairness.spaces import NONE
from induced_metric.analysis.paper_claims.statements import Measure, Relation
from induced_metric.analysis.statistics import CONFIDENCE
from induced_metric.records import Records

Pair: TypeAlias = tuple[str, str]
EQUAL = verdicts.MARGIN
"""Two means are equal that differ by less than this much of the standard deviation of a run."""


class Compared(NamedTuple):
    """What a source says of some pairs: an effect each, of how much, and how it was found."""

    effects: list[Effect]
    n: str
    method: str


class Source(Protocol):
    """Evidence on the claims about a task."""

    @property
    def optimizers(self) -> Sequence[str]:
        """Those on record."""

    def compare(self, pairs: Sequence[Pair], measure: Measure, relation: Relation) -> Compared | None:
        """The difference of each pair; None where the source cannot know the measure."""


def judged(
    pair: Pair, value: float, ends: tuple[float, float], *, relation: Relation, minimize: bool, margin: float
) -> Effect:
    """A difference with its interval as an effect: what the interval says of the relation."""
    low, high = ends
    sign = -1 if minimize and relation == "better" else 1
    truth: Truth = None
    if relation == "equal":
        gain = margin - abs(value)
        truth = True if -margin < low and high < margin else False if max(low, -high) > margin else None
    else:
        gain = sign * value
        truth = (
            True if min(sign * low, sign * high) > 0 else False if max(sign * low, sign * high) < 0 else None
        )
    return Effect(named(pair), value, low, high, gain, truth)


def named(pair: Pair) -> str:
    """``SGD_RMS - ADAMW``."""
    return " - ".join(map(style.label, pair))


def simultaneous(number: int) -> float:
    """The level of each of so many intervals that hold with 95% together."""
    return 1 - (1 - CONFIDENCE) / max(number, 1)


def stands_for(studies: Mapping[str, Records]) -> dict[str, str]:
    """Which optimizer is another's case: AdamW is Adam's where the weight decay searched contains none."""
    for study in studies.values():
        trials = study.trials[study.trials["optimizer"] == "adamw"]
        for text in trials["config"].unique():
            decay = json.loads(text).get("search_space", {}).get("weight_decay", {})
            if decay.get("low", 1.0) <= NONE:
                return {"adam": "adamw"}
    return {}


def on_record(pairs: Iterable[Pair], optimizers: Sequence[str], stands_for: Mapping[str, str]) -> list[Pair]:
    """The pairs, with another in the place of an optimizer not on record for which it stands."""
    replaced = {name: other for name, other in stands_for.items() if name not in optimizers}
    found = [(replaced.get(one, one), replaced.get(other, other)) for one, other in pairs]
    return list(dict.fromkeys(pair for pair in found if pair[0] != pair[1]))
