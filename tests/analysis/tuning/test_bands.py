"""Bands of a distribution function: against opda, against simulation, and where the answer is known."""

import numpy as np
import pytest
from opda.nonparametric import EmpiricalDistribution
from opda.utils import beta_equal_tailed_interval

from induced_metric.analysis.tuning import bands


def test_the_crossing_probability_is_right_where_it_is_known() -> None:
    assert bands.crossing(np.array([0.2]), np.array([0.7])) == pytest.approx(0.5)
    # Both of two below 1/2; the lesser of two below 1/2.
    assert bands.crossing(np.zeros(2), np.array([0.5, 0.5])) == pytest.approx(0.25)
    assert bands.crossing(np.zeros(2), np.array([0.5, 1.0])) == pytest.approx(0.75)
    assert bands.crossing(np.zeros(300), np.ones(300)) == pytest.approx(1)
    assert bands.crossing(np.array([0.6, 0.6]), np.array([0.5, 1.0])) == 0


@pytest.mark.parametrize("number", [3, 60])
def test_the_band_holds_for_all_draws_at_once_as_often_as_it_says(number: int) -> None:
    found = bands.band(number, 0.9)
    draws = np.sort(np.random.default_rng(0).random((20_000, number)), axis=1)
    held = ((draws >= found.lower[1:]) & (draws <= found.upper[:-1])).all(axis=1).mean()
    assert held == pytest.approx(0.9, abs=0.007)  # three standard errors


def test_the_band_is_opdas_with_its_critical_value_computed() -> None:
    number = 20
    lower, _, upper = EmpiricalDistribution.confidence_bands(
        np.arange(1.0, number + 1), 0.95, a=0.0, b=21.0, method="ld_equal_tailed", n_jobs=1,
        generator=np.random.default_rng(0),
    )  # fmt: skip
    found = bands.band(number, 0.95)
    between = np.arange(number + 1) + 0.5
    np.testing.assert_allclose(found.lower, lower.cdf(between), atol=0.003)  # opda simulates
    np.testing.assert_allclose(found.upper, upper.cdf(between), atol=0.003)
    # And exactly, given that value.
    place = np.arange(1, number + 1)
    low, high = beta_equal_tailed_interval(place, number + 1 - place, 1 - bands._pointwise(number, 0.95))
    np.testing.assert_allclose(found.lower[1:], low, atol=1e-9)
    np.testing.assert_allclose(found.upper[:-1], high, atol=1e-9)


def test_it_is_narrower_than_dkw_where_the_best_of_many_lies() -> None:
    """Than the band of Dvoretzky, Kiefer and Wolfowitz, which is as wide everywhere."""
    narrow, wide = bands.band(500, 0.95), np.sqrt(np.log(2 / 0.05) / (2 * 500))
    assert narrow.upper[0] < 0.25 * wide
    assert narrow.lower[10] > 0 > 10 / 500 - wide


@pytest.mark.parametrize(("number", "level"), [(0, 0.9), (5, 1.0)])
def test_what_is_no_band_is_refused(number: int, level: float) -> None:
    with pytest.raises(ValueError, match="needs draws and a level"):
        bands.band(number, level)
