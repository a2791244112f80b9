"""The rule that decides claims: statements about intervals, and what is composed of them."""

import pandas as pd
import pytest

from induced_metric.analysis.claims import Claim, Effect, Evidence, all_of, below, decide, deciding, negation


def evidence(**intervals: tuple[float, float]) -> Evidence:
    """Seconds of each optimizer on one task; ``other`` is not compared."""
    table = pd.DataFrame(
        {"task": "digits", "optimizer": name, "seconds_low": low, "seconds_high": high}
        for name, (low, high) in {"other": (0.0, 0.0), **intervals}.items()
    )
    return Evidence(table, list(intervals), problem="task")


def test_kleene_logic() -> None:
    assert all_of([True, None, False]) is False
    assert all_of([True, None]) is None
    assert all_of([]) is True
    assert negation(None) is None
    assert negation(True) is False


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [((0, 1), (2, 3), True), ((2, 3), (0, 1), False), ((0, 2), (1, 3), None), ((0, 1), (1, 2), None)],
)
def test_intervals_that_overlap_decide_nothing(one, other, expected) -> None:
    assert below(one, other) is expected


def test_a_group_is_compared_with_all_outside_it() -> None:
    found = evidence(a=(1.0, 2.0), b=(3.0, 4.0), c=(3.5, 9.0))
    assert found.least_is_among(["a", "b"], "digits", "seconds") is True
    assert found.least_is_among(["c"], "digits", "seconds") is False
    assert found.all_below_the_rest(["a"], "digits", "seconds") is True
    assert found.all_below_the_rest(["a", "b"], "digits", "seconds") is None
    assert found.exceeds("digits", "b", "seconds", 2.5) is True
    assert found.exceeds("digits", "b", "seconds", 3.5) is None


def test_verdicts_name_the_numbers_behind_them() -> None:
    claim = Claim(
        number=1,
        text="a is the fastest",
        holds=lambda e: e.all_below_the_rest(["a"], "digits", "seconds"),
        problems=["digits"],
        measures=["seconds"],
    )
    sources = {
        "ours": evidence(a=(1.0, 2.0), b=(3.0, 3.0)),
        "theirs": evidence(a=(4.0, 5.0), b=(3.0, 3.0)),
    }
    table = decide([claim], sources)
    assert table["verdict"].tolist() == ["supported", "contradicted"]
    assert table["numbers"].tolist() == ["digits seconds: a 1-2, b 3", "digits seconds: a 4-5, b 3"]


def effect(gain, truth):
    return Effect("a - b", gain, gain - 1, gain + 1, gain, truth)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([(3, True), (2, True)], 2),  # the least that supports
        ([(3, True), (-0.5, None), (0.5, None)], -0.5),  # the least in favour of what is open
        ([(3, True), (0.1, None), (-2, False), (-4, False)], -4),  # the greatest that contradicts
        ([(float("nan"), None), (0.5, None)], 0.5),
    ],
)
def test_one_effect_decides_what_several_must_hold_for(given, expected) -> None:
    assert deciding([effect(*each) for each in given]).gain == expected
