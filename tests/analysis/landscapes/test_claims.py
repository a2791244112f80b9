"""Verdicts on synthetic evidence: each of them can come out each way."""

import pandas as pd
import pytest

from induced_metric.analysis import paper_claims
from induced_metric.analysis.claims import Evidence, decide
from induced_metric.analysis.landscapes import report
from induced_metric.analysis.landscapes.claims import (
    ALL,
    CLAIMS,
    FIVE,
    complete,
    fair_evidence,
    finds,
    grid_evidence,
    verdicts,
)

DOES, DOES_NOT, MAYBE = (0.9, 0.95), (0.0, 0.1), (0.4, 0.6)


def evidence(success=None, iterations=None, seconds=None):
    """All find all minima equally fast, but for what is said: {(function, optimizer): interval}."""
    rows = []
    for function in FIVE:
        for optimizer in ALL:
            row = {"function": function, "optimizer": optimizer}
            for measure, said, usual in (
                ("success", success, DOES),
                ("iterations", iterations, (100.0, 110.0)),
                ("seconds", seconds, (1.0, 1.1)),
            ):
                low, high = (said or {}).get((function, optimizer), usual)
                row |= {f"{measure}_low": low, f"{measure}_high": high}
            rows.append(row)
    return Evidence(pd.DataFrame(rows), ALL, problem="function")


def verdict(number, given):
    table = decide(CLAIMS, {"synthetic": given}).set_index("claim")
    return table.loc[number, "verdict"]


def others_on_ackley(interval):
    return {("ackley", name): interval for name in ALL if name != "sgd_log_metric"}


def quick(function, *names, measures=("iterations", "seconds")):
    return {measure: {(function, name): (0.1, 0.2) for name in names} for measure in measures}


@pytest.mark.parametrize(
    ("number", "given", "expected"),
    [
        (1, evidence(others_on_ackley(DOES_NOT)), "supported"),
        (1, evidence(), "contradicted"),
        (1, evidence(others_on_ackley(MAYBE)), "unresolved"),
        (1, evidence({("beale", "sgd_log_metric"): DOES_NOT} | others_on_ackley(MAYBE)), "contradicted"),
        (2, evidence(seconds={(f, "sgd_metric"): (0.1, 0.2) for f in FIVE}), "supported"),
        (2, evidence(seconds={("beale", "adam"): (0.1, 0.2)}), "contradicted"),
        (2, evidence(), "unresolved"),
        (3, evidence(**quick("rosenbrock", "sgd_metric")), "supported"),
        (
            3,
            evidence({("rosenbrock", "sgd"): DOES_NOT}, **quick("rosenbrock", "sgd_metric")),
            "contradicted",
        ),
        (3, evidence(), "unresolved"),
        (4, evidence({("rastrigin", "adam"): DOES_NOT}, **quick("rastrigin", "sgd")), "supported"),
        (4, evidence(**quick("rastrigin", "sgd")), "contradicted"),
        (4, evidence({("rastrigin", "adam"): MAYBE}, **quick("rastrigin", "sgd")), "unresolved"),
        (5, evidence(**quick("himmelblau", "adam", "muon")), "supported"),
        (5, evidence(**quick("himmelblau", "sgd")), "contradicted"),
        (5, evidence(), "unresolved"),
        (6, evidence(**quick("beale", "sgd_log_metric")), "supported"),
        (6, evidence(**quick("beale", "muon")), "contradicted"),
        (6, evidence(**quick("beale", "sgd_log_metric", measures=["seconds"])), "unresolved"),
        (7, evidence(others_on_ackley(DOES_NOT)), "supported"),
        (7, evidence(), "contradicted"),
        (7, evidence(others_on_ackley(DOES_NOT) | {("ackley", "sgd_log_metric"): MAYBE}), "unresolved"),
    ],
)
def test_verdicts(number, given, expected):
    assert verdict(number, given) == expected


def test_there_is_a_verdict_with_numbers_for_each_claim():
    table = decide(CLAIMS, {"synthetic": evidence()})
    assert table["claim"].tolist() == [claim.number for claim in CLAIMS] == list(range(1, 8))
    assert table["numbers"].str.contains("adam").all()


def timing():
    return pd.DataFrame(
        [
            {"function": f, "optimizer": o, "mode": m, "low": 2.0 if m == "compiled" else 9.0, "high": 3.0}
            for f in FIVE
            for o in ALL
            for m in ("compiled", "stepped")
        ]
    )


def test_rounding_makes_the_intervals_of_the_grid():
    common = {"function": "beale", "optimizer": "adam", "tolerance": "notebook", "configuration": 0}
    runs = pd.DataFrame([{**common, "converged": True, "iterations": 10, "final_value": 0.0}])
    nudged = pd.DataFrame(
        [
            {**common, "nudge": 1, "iterations": 12, "final_value": 0.0},
            {**common, "nudge": 2, "iterations": 0, "final_value": 1.0},
        ]
    )
    found = grid_evidence(runs, nudged, timing())
    assert found.interval("beale", "adam", "success") == (0.0, 1.0)
    assert found.interval("beale", "adam", "iterations") == (10.0, float("inf"))
    assert found.interval("beale", "adam", "seconds") == (20.0, float("inf"))
    assert finds(found, "adam", "beale") is None


def test_the_fair_study_gives_expected_iterations_times_cost():
    summary = pd.DataFrame(
        [
            {
                "function": "beale",
                "optimizer": "adam",
                "tolerance": "notebook",
                "arm": "tuned",
                "success_low": 0.6,
                "success_high": 0.7,
                "expected_low": 100.0,
                "expected_high": 120.0,
            }
        ]
    )
    found = fair_evidence(summary, timing())
    assert found.interval("beale", "adam", "seconds") == (200.0, 360.0)
    assert finds(found, "adam", "beale") is True


def test_the_published_verdicts_follow_from_the_published_records(published):
    table = verdicts(published, published["fair"])
    pd.testing.assert_frame_equal(table, published["verdicts"])


def test_a_run_of_some_functions_decides_no_claim_and_stops_no_report(published, tmp_path):
    assert complete(published)
    assert not complete({name: table for name, table in published.items() if name != "timing"})
    folder = tmp_path / "landscapes"
    folder.mkdir()
    for name in ("grid", "nudged", "timing"):
        published[name].to_parquet(folder / f"{name}.parquet")
    for name in ("fair_runs", "fair_settings"):
        table = published[name]
        table[table["function"] == "beale"].to_parquet(folder / f"{name}.parquet")
    written = {path.name for path in report.write(tmp_path)}
    assert {"comparison.csv", "fair.csv"} <= written
    assert "verdicts.csv" not in written
    decided = paper_claims.decide_all(tmp_path)
    assert set(decided.loc[decided["claim"].isin(list("1234567")), "verdict"]) == {paper_claims.NOT_RUN}
