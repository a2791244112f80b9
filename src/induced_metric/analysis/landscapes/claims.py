"""Verdicts on the paper's claims 1-7, computed from records by one rule for all evidence.

Evidence is a table of intervals, one row a function and optimizer: the probability of finding the minimum and
the iterations and seconds that takes. The published grid gives one such table (its intervals are what
rounding alone can change), the fair study others (confidence intervals over random starts). A statement
about intervals is true, false, or, where they overlap, neither; so is what is composed of such statements.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, NamedTuple, TypeAlias

import pandas as pd

from induced_metric.analysis.landscapes.comparison import PAIR, best, best_nudged

Truth: TypeAlias = bool | None  # None: neither
FIVE = ("beale", "rosenbrock", "himmelblau", "ackley", "rastrigin")
CUSTOM = ("sgd_metric", "sgd_log_metric", "sgd_rms")
OTHERS = ("adam", "sgd", "muon")
ALL = (*CUSTOM, *OTHERS)
FINDS = 0.5
"""An optimizer finds a minimum where it does from more than half of the starts."""


def all_of(truths: Iterable[Truth]) -> Truth:
    """Kleene's conjunction: false if any is false, else undecided if any is."""
    truths = list(truths)
    if False in truths:
        return False
    return None if None in truths else True


def negation(truth: Truth) -> Truth:
    """Kleene's negation."""
    return None if truth is None else not truth


class Evidence:
    """Intervals of ``success``, ``iterations`` and ``seconds`` by (function, optimizer).

    Args:
        table: columns ``function``, ``optimizer`` and, for each measure, ``<measure>_low`` and ``_high``.
    """

    def __init__(self, table: pd.DataFrame) -> None:
        self._rows: dict[tuple[str, str], dict[Any, Any]] = {
            (row["function"], row["optimizer"]): row for row in table.to_dict("records")
        }

    def interval(self, function: str, optimizer: str, measure: str) -> tuple[float, float]:
        """The interval of one measure."""
        row = self._rows[function, optimizer]
        return float(row[f"{measure}_low"]), float(row[f"{measure}_high"])

    def finds(self, optimizer: str, function: str) -> Truth:
        """Whether the optimizer finds the minimum from more than half of the starts."""
        low, high = self.interval(function, optimizer, "success")
        return True if low > FINDS else False if high < FINDS else None

    def finds_all(self, optimizer: str, functions: Iterable[str] = FIVE) -> Truth:
        """Whether it finds the minimum of each function."""
        return all_of(self.finds(optimizer, function) for function in functions)

    def best_is_among(self, group: Collection[str], function: str, measure: str) -> Truth:
        """Whether the least of the group lies below all outside it."""
        inside = [self.interval(function, name, measure) for name in ALL if name in group]
        outside = [self.interval(function, name, measure) for name in ALL if name not in group]
        low, high = (min(ends) for ends in zip(*inside, strict=True))
        other_low, other_high = (min(ends) for ends in zip(*outside, strict=True))
        return True if high < other_low else False if other_high < low else None

    def all_beat_the_rest(self, group: Collection[str], function: str, measure: str) -> Truth:
        """Whether each of the group lies below all outside it."""
        rest = [name for name in ALL if name not in group]
        return all_of(
            True if high < other_low else False if other_high < low else None
            for low, high in (self.interval(function, name, measure) for name in group)
            for other_low, other_high in (self.interval(function, name, measure) for name in rest)
        )

    def fastest(self, optimizer: str, function: str) -> Truth:
        """Whether it needs the least iterations and the least time."""
        return all_of(
            self.all_beat_the_rest([optimizer], function, measure) for measure in ("iterations", "seconds")
        )


class Claim(NamedTuple):
    """A claim of the paper, with the rule that decides it and the numbers behind it."""

    number: int
    text: str
    holds: Callable[[Evidence], Truth]
    functions: Sequence[str]
    measures: Sequence[str]


CLAIMS = (
    Claim(
        1,
        "SGD_LOG_METRIC is the only optimiser that finds the global minimum of all five functions",
        lambda e: all_of(
            [
                e.finds_all("sgd_log_metric"),
                *(negation(e.finds_all(name)) for name in ALL if name != "sgd_log_metric"),
            ]
        ),
        FIVE,
        ("success",),
    ),
    Claim(
        2,
        "A custom optimiser is the fastest in run time on all but Rastrigin",
        lambda e: all_of(e.best_is_among(CUSTOM, name, "seconds") for name in FIVE if name != "rastrigin"),
        [name for name in FIVE if name != "rastrigin"],
        ("seconds",),
    ),
    Claim(
        3,
        "Rosenbrock: all converge, SGD_METRIC is the fastest",
        lambda e: all_of(
            [*(e.finds(name, "rosenbrock") for name in ALL), e.fastest("sgd_metric", "rosenbrock")]
        ),
        ["rosenbrock"],
        ("success", "iterations"),
    ),
    Claim(
        4,
        "Rastrigin: only Adam fails, SGD is the fastest",
        lambda e: all_of(
            [
                negation(e.finds("adam", "rastrigin")),
                *(e.finds(name, "rastrigin") for name in ALL if name != "adam"),
                e.fastest("sgd", "rastrigin"),
            ]
        ),
        ["rastrigin"],
        ("success", "iterations"),
    ),
    Claim(
        5,
        "Himmelblau: Muon and Adam need the fewest iterations",
        lambda e: e.all_beat_the_rest(["muon", "adam"], "himmelblau", "iterations"),
        ["himmelblau"],
        ("iterations",),
    ),
    Claim(
        6,
        "Beale: SGD_LOG_METRIC is the fastest",
        lambda e: e.fastest("sgd_log_metric", "beale"),
        ["beale"],
        ("iterations", "seconds"),
    ),
    Claim(
        7,
        "Ackley: only SGD_LOG_METRIC converges",
        lambda e: all_of(
            [
                e.finds("sgd_log_metric", "ackley"),
                *(negation(e.finds(name, "ackley")) for name in ALL if name != "sgd_log_metric"),
            ]
        ),
        ["ackley"],
        ("success",),
    ),
)


def verdicts(sources: dict[str, Evidence]) -> pd.DataFrame:
    """One row a claim and source: ``claim``, ``text``, ``source``, ``verdict``, ``numbers``."""
    words = {True: "supported", False: "contradicted", None: "unresolved"}
    return pd.DataFrame(
        {
            "claim": claim.number,
            "text": claim.text,
            "source": source,
            "verdict": words[claim.holds(evidence)],
            "numbers": numbers(claim, evidence),
        }
        for claim in CLAIMS
        for source, evidence in sources.items()
    )


def numbers(claim: Claim, evidence: Evidence) -> str:
    """The intervals that decide a claim, in words."""
    parts = []
    for function in claim.functions:
        for measure in claim.measures:
            cells = ", ".join(
                f"{name} {_range(*evidence.interval(function, name, measure))}" for name in sorted(ALL)
            )
            parts.append(f"{function} {measure}: {cells}")
    return "; ".join(parts)


def _range(low: float, high: float) -> str:
    return f"{low:.3g}" if low == high else f"{low:.3g}-{high:.3g}"


def grid_evidence(
    runs: pd.DataFrame, nudged: pd.DataFrame, timing: pd.DataFrame, tolerance: str = "notebook"
) -> Evidence:
    """The best runs of the published grid; intervals span the repeats from nudged starts."""
    ours = best(runs[runs["tolerance"] == tolerance])
    both = pd.concat([ours, best_nudged(nudged[nudged["tolerance"] == tolerance])])
    both["iterations"] = both["iterations"].where(both["converged"], float("inf")).astype(float)
    both["success"] = both["converged"].astype(float)
    spread = both.groupby(PAIR).agg(
        success_low=("success", "min"),
        success_high=("success", "max"),
        iterations_low=("iterations", "min"),
        iterations_high=("iterations", "max"),
    )
    return Evidence(_with_seconds(spread.reset_index(), timing))


def fair_evidence(
    summary: pd.DataFrame, timing: pd.DataFrame, arm: str = "tuned", tolerance: str = "notebook"
) -> Evidence:
    """The fair study; iterations are the expected ones, failures included."""
    chosen = summary[(summary["arm"] == arm) & (summary["tolerance"] == tolerance)]
    columns = {
        "success_low": chosen["success_low"],
        "success_high": chosen["success_high"],
        "iterations_low": chosen["expected_low"],
        "iterations_high": chosen["expected_high"],
    }
    return Evidence(_with_seconds(chosen[PAIR].assign(**columns), timing))


def _with_seconds(table: pd.DataFrame, timing: pd.DataFrame) -> pd.DataFrame:
    """Adds seconds: iterations times the measured cost of one, between its quartiles."""
    compiled = timing[timing["mode"] == "compiled"][[*PAIR, "low", "high"]]
    # Where a cost was not measured, as for the control, there are no seconds.
    table = table.merge(compiled, on=PAIR, how="left")
    table["seconds_low"] = table["iterations_low"] * table.pop("low")
    table["seconds_high"] = table["iterations_high"] * table.pop("high")
    return table
