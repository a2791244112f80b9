"""Sources of evidence on a claim: each compares pairs of optimisers, with an interval where one is valid.

The intervals hold with 95% for all comparisons of a claim together (Bonferroni); those of verdicts over fresh
seeds hold for all pairs of a study. Where no interval is valid there is none, and a comparison that would
need one stays unresolved.
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
"""Two means are equal if they differ by less than this share of the standard deviation of a run."""


class Compared(NamedTuple):
    """What a source says of some pairs: an effect for each, the sample size, and the method."""

    effects: list[Effect]
    n: str
    method: str


class Source(Protocol):
    """Evidence on the claims about a task."""

    @property
    def optimizers(self) -> Sequence[str]:
        """The optimisers on record."""

    def compare(self, pairs: Sequence[Pair], measure: Measure, relation: Relation) -> Compared | None:
        """The difference of each pair; None if the source does not have the measure."""


def judged(
    pair: Pair, value: float, ends: tuple[float, float], *, relation: Relation, minimize: bool, margin: float
) -> Effect:
    """Turns a difference and its interval into an effect: what the interval says of the relation."""
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
    """The level that each of ``number`` intervals needs for all of them to hold with 95% together."""
    return 1 - (1 - CONFIDENCE) / max(number, 1)


def stands_for(studies: Mapping[str, Records]) -> dict[str, str]:
    """Which optimiser stands for another: AdamW for Adam, if weight decay was searched down to (almost) 0."""
    for study in studies.values():
        trials = study.trials[study.trials["optimizer"] == "adamw"]
        for text in trials["config"].unique():
            decay = json.loads(text).get("search_space", {}).get("weight_decay", {})
            if decay.get("low", 1.0) <= NONE:
                return {"adam": "adamw"}
    return {}


def on_record(pairs: Iterable[Pair], optimizers: Sequence[str], stands_for: Mapping[str, str]) -> list[Pair]:
    """The pairs, in which an optimiser not on record is replaced by the one that stands for it."""
    replaced = {name: other for name, other in stands_for.items() if name not in optimizers}
    substituted = [(replaced.get(one, one), replaced.get(other, other)) for one, other in pairs]
    return list(dict.fromkeys(pair for pair in substituted if pair[0] != pair[1]))
