"""The functions as data: their minima, starts, domains and gradients."""

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from induced_metric.landscapes import LANDSCAPES

each = pytest.mark.parametrize("landscape", LANDSCAPES.values(), ids=LANDSCAPES)
unit = st.floats(0, 1)


def inside(landscape, u, v):
    low, high = np.array(landscape.domain).T
    return low + np.array([u, v]) * (high - low)


def test_there_are_the_papers_five_and_five_others():
    published = [name for name, landscape in LANDSCAPES.items() if landscape.published]
    assert sorted(published) == ["ackley", "beale", "himmelblau", "rastrigin", "rosenbrock"]
    assert len(LANDSCAPES) - len(published) >= 5


@each
def test_value_at_the_minima_is_the_minimum(landscape):
    for point in landscape.minima:
        assert float(landscape.fn(np.array(point))) == pytest.approx(landscape.minimum, abs=1e-12)


@each
def test_minima_are_stationary(landscape):
    if landscape is LANDSCAPES["ackley"]:
        pytest.skip("its minimum is a cusp")
    for point in landscape.minima:
        np.testing.assert_allclose(jax.grad(landscape.fn)(np.array(point)), 0, atol=1e-6)


@each
def test_start_and_minima_lie_in_the_domain(landscape):
    low, high = np.array(landscape.domain).T
    for point in (landscape.start, *landscape.minima):
        assert np.all((low <= point) & (point <= high))


@each
@settings(max_examples=40, deadline=None)
@given(u=unit, v=unit)
def test_nothing_in_the_domain_lies_below_the_minimum(landscape, u, v):
    assert float(landscape.fn(inside(landscape, u, v))) >= landscape.minimum - 1e-9


@each
@settings(max_examples=25, deadline=None)
@given(u=unit, v=unit)
def test_gradient_agrees_with_central_differences(landscape, u, v):
    point = inside(landscape, u, v)
    if landscape is LANDSCAPES["ackley"] and np.linalg.norm(point) < 1e-2:
        return  # the cusp
    step = 1e-6 * max(1.0, np.abs(point).max())
    differences = [
        (float(landscape.fn(point + move)) - float(landscape.fn(point - move))) / (2 * step)
        for move in step * np.eye(2)
    ]
    scale = 1 + np.abs(differences).max() + abs(float(landscape.fn(point)))
    np.testing.assert_allclose(jax.grad(landscape.fn)(point), differences, atol=2e-6 * scale)


@pytest.mark.parametrize(
    ("name", "start", "tolerance"),
    [
        ("beale", (0, 0), 1e-7),
        ("rosenbrock", (0, 0), 1e-7),
        ("himmelblau", (0, 0), 1e-6),
        ("ackley", (2, 2), 1e-6),
        ("rastrigin", (2, 2), 1e-6),
    ],
)
def test_published_starts_and_tolerances(name, start, tolerance):
    assert LANDSCAPES[name].start == start
    assert LANDSCAPES[name].tolerance == tolerance
