"""One searched dimension: from end to end, nothing outside, and what makes a program of its own."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from induced_metric.space import Choice, Float, Int, programs

shares = st.floats(0, 1)


@st.composite
def floats(draw):
    kind = draw(st.sampled_from(["linear", "log", "complement", "log complement"]))
    low, high = {
        "linear": (-1e3, 1e3),
        "log": (1e-8, 1e3),
        "complement": (-1e3, 1e3),
        "log complement": (0.0, 1 - 1e-8),
    }[kind]
    # Two ends that are the same to the last bits are no range to search.
    first = draw(st.floats(low, high))
    second = draw(st.floats(low, high).filter(lambda each: abs(each - first) > 1e-6 * (high - low)))
    ends = sorted((first, second))
    return Float(*ends, log="log" in kind, complement="complement" in kind)


@st.composite
def ints(draw):
    low = draw(st.integers(1, 100))
    high = draw(st.integers(low + 1, low + 200))
    log = draw(st.booleans())
    return Int(low, high, log=log, step=1 if log else draw(st.integers(1, 7)))


choices = st.lists(st.integers(-5, 5), min_size=2, max_size=6, unique=True).map(tuple).map(Choice) | st.lists(
    st.text(max_size=3), min_size=2, max_size=6, unique=True
).map(tuple).map(Choice)
dimensions = floats() | ints() | choices


@given(dimensions, shares)
def test_every_quantile_is_contained(dimension, share):
    assert dimension.contains(dimension.quantile(share))


@given(floats(), shares)
def test_the_share_below_a_quantile_is_its_own(dimension, share):
    assert dimension.share(dimension.quantile(share)) == pytest.approx(share, abs=1e-4)


@given(dimensions)
def test_ends_are_contained(dimension):
    assert all(map(dimension.contains, dimension.ends))


@given(floats() | ints())
def test_quantiles_reach_from_end_to_end(dimension):
    low, high = dimension.ends
    assert dimension.quantile(0.0) == pytest.approx(low, rel=1e-9, abs=1e-9)
    assert dimension.quantile(1.0) == pytest.approx(high, rel=1e-9, abs=1e-9)


@given(floats() | ints(), shares, shares)
def test_quantiles_never_decrease(dimension, one, other):
    low, high = sorted((one, other))
    # To a rounding: that of a complement is of 1.
    assert dimension.quantile(low) <= dimension.quantile(high) + 1e-9 * max(map(abs, dimension.ends))


@given(st.floats(1e-6, 1e3), st.floats(1.1, 1e3), shares)
def test_logarithms_are_searched_evenly(low, factor, share):
    value = Float(low, low * factor, log=True).quantile(share)
    assert math.log(value / low) == pytest.approx(share * math.log(factor), abs=1e-9)


@given(st.floats(0.5, 0.9), st.floats(0.91, 0.999), shares)
def test_the_complement_is_searched_evenly_from_the_other_end(low, high, share):
    mirrored = Float(1 - high, 1 - low, log=True).quantile(1 - share)
    assert Float(low, high, log=True, complement=True).quantile(share) == pytest.approx(1 - mirrored)


@given(ints().filter(lambda each: not each.log) | choices)
def test_each_value_has_the_same_share(dimension):
    found = [dimension.quantile((k + 0.5) / dimension.count) for k in range(dimension.count)]
    assert len(set(found)) == dimension.count


@pytest.mark.parametrize(
    ("dimension", "value"),
    [
        (Float(0.0, 1.0), 1.1),
        (Float(0.0, 1.0), "0.5"),
        (Int(1, 9, step=2), 2),
        (Int(1, 9), 2.5),
        (Int(0, 9), True),
        (Int(1, 9), 10),
        (Choice((0, 1)), False),
        (Choice((True, False)), 1),
        (Choice(("a", "b")), "c"),
    ],
)
def test_what_is_no_value_of_it_is_not_contained(dimension, value):
    assert not dimension.contains(value)


def test_what_is_no_number_makes_a_program_of_its_own():
    assert [each.static for each in (Float(0.0, 1.0), Int(1, 2), Choice((1, 2)))] == [False] * 3
    assert all(each.static for each in (Choice(("a", "b")), Choice((True, False)), Choice((1, None))))
    space = {
        "rate": Float(0.0, 1.0),
        "width": Int(1, 9, step=2, static=True),
        "steps": Int(1, 3),
        "nesterov": Choice((True, False)),
    }
    assert programs(space) == 5 * 2
    assert programs({}) == 1


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Float(1.0, 1.0), "low < high"),
        (lambda: Float(float("nan"), 1.0), "low < high"),
        (lambda: Float(0.0, 1.0, log=True), "low > 0 with log"),
        (lambda: Float(0.0, 1.0, log=True, complement=True), "high < 1 with log"),
        (lambda: Int(3, 3), "low < high"),
        (lambda: Int(0, 3, log=True), "low >= 1"),
        (lambda: Int(1, 3, step=0), "step >= 1"),
        (lambda: Int(1, 9, log=True, step=2), "step 1 with log"),
        (lambda: Choice((1,)), "at least two different"),
        (lambda: Choice(("a", "a")), "at least two different"),
        (lambda: Choice((1, "a")), "of one kind"),
    ],
)
def test_what_is_no_range_is_refused(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()
