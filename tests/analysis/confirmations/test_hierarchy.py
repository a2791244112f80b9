"""The error of a mean over studies and seeds."""

import numpy as np
import pytest
from scipy import stats

from induced_metric.analysis.confirmations import hierarchy


def cells(studies: int, seeds: int, *, of_study: float, of_seed: float = 0.0, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    a, b = of_study * rng.normal(size=(studies, 1)), of_seed * rng.normal(size=seeds)
    return rng.normal(size=(studies, seeds)) + a + b


def test_with_one_study_it_is_the_error_of_a_mean() -> None:
    values = cells(1, 50, of_study=0.0)
    found = hierarchy.estimate(values, resamples=20_000)
    assert found.mean == pytest.approx(values.mean())
    assert found.error == pytest.approx(stats.sem(values[0]), rel=0.02)
    assert found.freedom == 49
    assert found.of_studies == 0
    low, high = stats.t.interval(0.95, 49, values.mean(), found.error)
    assert found.interval(0.95) == pytest.approx((low, high))
    assert found.p_value() == pytest.approx(stats.ttest_1samp(values[0], 0).pvalue, abs=0.02)


@pytest.mark.parametrize(("of_study", "of_seed"), [(1.0, 0.0), (0.0, 1.0), (1.0, 1.0), (0.0, 0.0)])
def test_the_bootstrap_has_the_variance_of_the_analysis_of_variance(of_study, of_seed) -> None:
    values = cells(6, 30, of_study=of_study, of_seed=of_seed)
    a, b = values.mean(axis=1) - values.mean(), values.mean(axis=0) - values.mean()
    rest = values - values.mean() - a[:, None] - b
    squares = 30 * (a @ a) / 5, 6 * (b @ b) / 29, (rest**2).sum() / 145
    found = hierarchy.estimate(values, resamples=20_000)
    variance = (squares[0] + squares[1] - min(squares)) / 180
    assert found.error**2 == pytest.approx(variance, rel=0.05)


@pytest.mark.parametrize(("studies", "of_study"), [(2, 0.5), (5, 0.0), (5, 0.5), (12, 0.2)])
def test_intervals_hold_the_truth_as_often_as_they_say_or_more(studies: int, of_study: float) -> None:
    held = 0
    for seed in range(300):
        values = cells(studies, 20, of_study=of_study, of_seed=0.3, seed=seed)
        low, high = hierarchy.estimate(values, resamples=200).interval(0.95)
        held += low <= 0 <= high
    assert held >= 277  # 285 expected, less two standard errors of it


def test_more_seeds_do_not_wear_down_the_luck_of_few_studies() -> None:
    few, many = (hierarchy.estimate(cells(5, seeds, of_study=1.0)) for seeds in (10, 1000))
    assert many.error > 0.5 * few.error
    assert many.of_studies == pytest.approx(many.error**2, rel=0.1)


def test_a_constant_has_no_error() -> None:
    nothing = hierarchy.estimate(np.zeros((5, 4)))
    assert (nothing.mean, nothing.error, nothing.p_value()) == (0, 0, 1)
    assert hierarchy.estimate(np.ones((1, 4))).p_value() == 0
    with pytest.raises(ValueError, match="at least 2 seeds, got 1"):
        hierarchy.estimate(np.ones((5, 1)))


def test_the_same_seed_gives_the_same_error() -> None:
    values = cells(5, 10, of_study=1.0)
    one, again, other = (hierarchy.estimate(values, seed=seed).error for seed in (0, 0, 1))
    assert one == again != other
