"""The paper's claims 1-7, as data, and the evidence on them.

The evidence is the probability of finding the minimum, and the iterations and seconds that this takes. The
published grid gives one table of it, whose intervals are what rounding alone can change. The fair study gives
others, with confidence intervals over random starts.
"""

from collections.abc import Iterable, Mapping

import pandas as pd

from induced_metric.analysis.claims import Claim, Evidence, Truth, all_of, decide, negation
from induced_metric.analysis.landscapes.comparison import PAIR, best, best_nudged

FIVE = ("beale", "rosenbrock", "himmelblau", "ackley", "rastrigin")
CUSTOM = ("sgd_metric", "sgd_log_metric", "sgd_rms")
OTHERS = ("adam", "sgd", "muon")
ALL = (*CUSTOM, *OTHERS)
ARMS = ("tuned", "shared")
"""The arms of the fair study that decide the claims."""
TOLERANCES = {"notebook": "", "paper_text": ", 1e-10"}
"""The tolerances, each with what the name of a source says of it."""
FINDS = 0.5
"""An optimiser finds a minimum if it reaches it from more than this share of the starts."""


def finds(evidence: Evidence, optimizer: str, function: str) -> Truth:
    """Whether the optimiser finds the minimum from more than half of the starts."""
    return evidence.exceeds(function, optimizer, "success", FINDS)


def finds_all(evidence: Evidence, optimizer: str, functions: Iterable[str] = FIVE) -> Truth:
    """Whether the optimiser finds the minimum of each function."""
    return all_of(finds(evidence, optimizer, function) for function in functions)


def fastest(evidence: Evidence, optimizer: str, function: str) -> Truth:
    """Whether the optimiser needs the fewest iterations and the least time."""
    return all_of(
        evidence.all_below_the_rest([optimizer], function, measure) for measure in ("iterations", "seconds")
    )


CLAIMS = (
    Claim(
        1,
        "SGD_LOG_METRIC is the only optimiser that finds the global minimum of all five functions",
        lambda e: all_of(
            [
                finds_all(e, "sgd_log_metric"),
                *(negation(finds_all(e, name)) for name in ALL if name != "sgd_log_metric"),
            ]
        ),
        FIVE,
        ("success",),
    ),
    Claim(
        2,
        "A custom optimiser is the fastest in run time on every function but Rastrigin",
        lambda e: all_of(e.least_is_among(CUSTOM, name, "seconds") for name in FIVE if name != "rastrigin"),
        [name for name in FIVE if name != "rastrigin"],
        ("seconds",),
    ),
    Claim(
        3,
        "Rosenbrock: all optimisers converge, and SGD_METRIC is the fastest",
        lambda e: all_of(
            [*(finds(e, name, "rosenbrock") for name in ALL), fastest(e, "sgd_metric", "rosenbrock")]
        ),
        ["rosenbrock"],
        ("success", "iterations", "seconds"),
    ),
    Claim(
        4,
        "Rastrigin: all optimisers but Adam converge, and SGD is the fastest",
        lambda e: all_of(
            [
                negation(finds(e, "adam", "rastrigin")),
                *(finds(e, name, "rastrigin") for name in ALL if name != "adam"),
                fastest(e, "sgd", "rastrigin"),
            ]
        ),
        ["rastrigin"],
        ("success", "iterations", "seconds"),
    ),
    Claim(
        5,
        "Himmelblau: Muon and Adam need the fewest iterations",
        lambda e: e.all_below_the_rest(["muon", "adam"], "himmelblau", "iterations"),
        ["himmelblau"],
        ("iterations",),
    ),
    Claim(
        6,
        "Beale: SGD_LOG_METRIC is the fastest",
        lambda e: fastest(e, "sgd_log_metric", "beale"),
        ["beale"],
        ("iterations", "seconds"),
    ),
    Claim(
        7,
        "Ackley: only SGD_LOG_METRIC converges",
        lambda e: all_of(
            [
                finds(e, "sgd_log_metric", "ackley"),
                *(negation(finds(e, name, "ackley")) for name in ALL if name != "sgd_log_metric"),
            ]
        ),
        ["ackley"],
        ("success",),
    ),
)


def complete(tables: Mapping[str, pd.DataFrame]) -> bool:
    """Whether ``verdicts`` can be reached: every optimiser on all five functions, in the grid and fairly.

    A run of some functions or optimisers alone decides none of the claims.
    """
    if not {"grid", "nudged", "timing", "fair_runs"} <= set(tables):
        return False
    wanted = {(function, optimizer) for function in FIVE for optimizer in ALL}
    fair = tables["fair_runs"]
    compared = [tables["grid"], *(fair[fair["arm"] == arm] for arm in ARMS)]
    return all(
        wanted <= set(runs.loc[runs["tolerance"] == tolerance, PAIR].itertuples(index=False, name=None))
        for runs in compared
        for tolerance in TOLERANCES
    )


def verdicts(tables: Mapping[str, pd.DataFrame], summary: pd.DataFrame) -> pd.DataFrame:
    """Verdicts on claims 1-7 by the published grid and by the two arms of the fair study, for each tolerance.

    Args:
        tables: the records ``grid``, ``nudged`` and ``timing``, which are ``complete``.
        summary: ``success.summary`` of the fair study.
    """
    timing = tables["timing"]
    return pd.concat(
        [
            decide(
                CLAIMS,
                {
                    f"published start{suffix}": grid_evidence(
                        tables["grid"], tables["nudged"], timing, tolerance
                    ),
                    **{f"{arm}{suffix}": fair_evidence(summary, timing, arm, tolerance) for arm in ARMS},
                },
            )
            for tolerance, suffix in TOLERANCES.items()
        ],
        ignore_index=True,
    )


def grid_evidence(
    runs: pd.DataFrame, nudged: pd.DataFrame, timing: pd.DataFrame, tolerance: str = "notebook"
) -> Evidence:
    """The best runs of the published grid; intervals span these and the repeats from nudged starts."""
    best_runs = best(runs[runs["tolerance"] == tolerance])
    all_runs = pd.concat([best_runs, best_nudged(nudged[nudged["tolerance"] == tolerance])])
    all_runs["iterations"] = all_runs["iterations"].where(all_runs["converged"], float("inf")).astype(float)
    all_runs["success"] = all_runs["converged"].astype(float)
    spread = all_runs.groupby(PAIR).agg(
        success_low=("success", "min"),
        success_high=("success", "max"),
        iterations_low=("iterations", "min"),
        iterations_high=("iterations", "max"),
    )
    return _evidence(_with_seconds(spread.reset_index(), timing))


def fair_evidence(
    summary: pd.DataFrame, timing: pd.DataFrame, arm: str = "tuned", tolerance: str = "notebook"
) -> Evidence:
    """The fair study; iterations are the expected iterations to success, failures included."""
    chosen = summary[(summary["arm"] == arm) & (summary["tolerance"] == tolerance)]
    columns = {
        "success_low": chosen["success_low"],
        "success_high": chosen["success_high"],
        "iterations_low": chosen["expected_low"],
        "iterations_high": chosen["expected_high"],
    }
    return _evidence(_with_seconds(chosen[PAIR].assign(**columns), timing))


def _evidence(table: pd.DataFrame) -> Evidence:
    # Only these are compared: the control, which the table has too, is evidence about itself alone.
    return Evidence(table, ALL, problem="function")


def _with_seconds(table: pd.DataFrame, timing: pd.DataFrame) -> pd.DataFrame:
    """Adds seconds: iterations times the measured cost of one, from its lower to its upper quartile."""
    compiled = timing[timing["mode"] == "compiled"][[*PAIR, "low", "high"]]
    # Where no cost was measured, as for the control, there are no seconds.
    table = table.merge(compiled, on=PAIR, how="left")
    table["seconds_low"] = table["iterations_low"] * table.pop("low")
    table["seconds_high"] = table["iterations_high"] * table.pop("high")
    return table
