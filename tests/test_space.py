"""One searched dimension: from end to end, nothing outside, and what makes a program of its own."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from induced_metric.space import Choice, Float, Int, dimensions, from_word, programs

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


@given(floats(), shares)
def test_every_quantile_lies_in_the_range(dimension, share):
    assert dimension.low <= dimension.quantile(share) <= dimension.high


@given(floats(), shares)
def test_the_share_below_a_quantile_is_its_own(dimension, share):
    assert dimension.share(dimension.quantile(share)) == pytest.approx(share, abs=1e-4)


@given(floats())
def test_quantiles_reach_from_end_to_end(dimension):
    low, high = dimension.ends
    assert dimension.quantile(0.0) == pytest.approx(low, rel=1e-9, abs=1e-9)
    assert dimension.quantile(1.0) == pytest.approx(high, rel=1e-9, abs=1e-9)


@given(floats(), shares, shares)
def test_quantiles_never_decrease(dimension, one, other):
    low, high = sorted((one, other))
    # To a rounding: that of a complement is of 1.
    assert dimension.quantile(low) <= dimension.quantile(high) + 1e-9 * max(map(abs, dimension.ends))


@given(st.integers(1, 100), st.integers(1, 200), st.integers(1, 7))
def test_integers_end_at_their_last_step(low, length, step):
    dimension = Int(low, low + length, step=step)
    values = range(low, low + length + 1, step)
    assert dimension.ends == (values[0], values[-1])
    assert dimension.count == len(values)


@given(st.floats(1e-6, 1e3), st.floats(1.1, 1e3), shares)
def test_logarithms_are_searched_evenly(low, factor, share):
    value = Float(low, low * factor, log=True).quantile(share)
    assert math.log(value / low) == pytest.approx(share * math.log(factor), abs=1e-9)


@given(st.floats(0.5, 0.9), st.floats(0.91, 0.999), shares)
def test_the_complement_is_searched_evenly_from_the_other_end(low, high, share):
    mirrored = Float(1 - high, 1 - low, log=True).quantile(1 - share)
    assert Float(low, high, log=True, complement=True).quantile(share) == pytest.approx(1 - mirrored)


def test_a_recorded_search_space_is_read_with_dotted_names():
    recorded = {
        "learning_rate": {"low": 1e-4, "high": 1.0, "log": True},
        "direction": {"decay": {"low": 0.5, "high": 0.99, "log": True, "complement": True}},
        "task": {
            "width": {"type": "int", "low": 8, "high": 24},
            "layers": {"choices": [[32, 1], [64, 64, 1]]},
        },
    }
    found = dimensions(recorded)
    assert found == {
        "learning_rate": Float(1e-4, 1.0, log=True),
        "direction.decay": Float(0.5, 0.99, log=True, complement=True),
        "task.width": Int(8, 24),
        "task.layers": Choice(("[32, 1]", "[64, 64, 1]")),
    }
    assert list(map(from_word, found["task.layers"].choices)) == recorded["task"]["layers"]["choices"]
    assert dimensions({}) == {}


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
        (lambda: Float(1.0, float("inf")), "a range must have finite ends, got 1.0 and inf"),
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
