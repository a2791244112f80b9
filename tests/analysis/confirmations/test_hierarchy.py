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
    found = hierarchy.estimate(values)
    assert found.mean == pytest.approx(values.mean())
    assert found.error == pytest.approx(stats.sem(values[0]))
    assert found.freedom == 49
    assert found.of_studies == 0
    low, high = stats.t.interval(0.95, 49, values.mean(), found.error)
    assert found.interval(0.95) == pytest.approx((low, high))
    assert found.p_value() == pytest.approx(stats.ttest_1samp(values[0], 0).pvalue)


@pytest.mark.parametrize(("of_study", "of_seed"), [(1.0, 0.0), (0.0, 1.0), (1.0, 1.0), (0.0, 0.0)])
def test_the_error_is_that_of_the_analysis_of_variance(of_study, of_seed) -> None:
    values = cells(6, 30, of_study=of_study, of_seed=of_seed)
    a, b = values.mean(axis=1) - values.mean(), values.mean(axis=0) - values.mean()
    rest = values - values.mean() - a[:, None] - b
    squares = 30 * (a @ a) / 5, 6 * (b @ b) / 29, (rest**2).sum() / 145
    found = hierarchy.estimate(values)
    variance = (squares[0] + squares[1] - min(squares)) / 180
    assert found.error**2 == pytest.approx(variance)


@pytest.mark.parametrize(("of_study", "of_seed"), [(1.0, 0.0), (0.0, 1.0), (1.0, 1.0)])
def test_a_bootstrap_of_studies_then_seeds_has_the_same_error(of_study, of_seed) -> None:
    """Effects drawn with replacement, scaled to the variances that the analysis of variance estimates."""
    values = cells(6, 30, of_study=of_study, of_seed=of_seed)
    a, b = values.mean(axis=1) - values.mean(), values.mean(axis=0) - values.mean()
    rest = (values - values.mean() - a[:, None] - b).ravel()
    squares = 30 * (a @ a) / 5, 6 * (b @ b) / 29, rest @ rest / 145
    shared = min(squares)
    parts = ((a, (squares[0] - shared) / 30), (b, (squares[1] - shared) / 6), (rest, shared))
    rng = np.random.default_rng(0)
    drawn = sum(
        rng.multinomial(len(each), np.full(len(each), 1 / len(each)), 4000)
        / len(each)
        @ (each * np.sqrt(variance / np.mean(each**2)))
        for each, variance in parts
    )
    assert np.std(drawn) == pytest.approx(hierarchy.estimate(values).error, rel=0.05)


@pytest.mark.parametrize(("studies", "of_study"), [(2, 0.5), (5, 0.0), (5, 0.5), (12, 0.2)])
def test_intervals_hold_the_truth_as_often_as_they_say_or_more(studies: int, of_study: float) -> None:
    held = 0
    for seed in range(300):
        values = cells(studies, 20, of_study=of_study, of_seed=0.3, seed=seed)
        low, high = hierarchy.estimate(values).interval(0.95)
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


def differences(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return one[:, None] - other[None]


def test_a_contrast_does_not_depend_on_which_search_has_which_number() -> None:
    one, other = (cells(5, 20, of_study=1.0, seed=seed) for seed in (0, 1))
    found = hierarchy.contrast(differences(one, other))
    again = hierarchy.contrast(differences(one, other[[3, 0, 4, 1, 2]]))
    assert again == pytest.approx(found)


def test_with_many_seeds_a_contrast_is_welchs_test_of_the_studies() -> None:
    one, other = cells(7, 2000, of_study=1.0, seed=0), cells(5, 2000, of_study=0.4, seed=1)
    found = hierarchy.contrast(differences(one, other))
    welch = stats.ttest_ind(one.mean(axis=1), other.mean(axis=1), equal_var=False)
    assert found.p_value() == pytest.approx(welch.pvalue, rel=0.05)
    assert found.freedom == pytest.approx(welch.df, rel=0.05)


def test_the_error_of_a_contrast_is_that_of_its_parts() -> None:
    one, other = cells(5, 12, of_study=0.8, of_seed=0.5), cells(4, 12, of_study=0.3, of_seed=0.5, seed=1)
    found = hierarchy.contrast(one[:, None] - other[None])
    of_studies, interactions = 0.0, 0.0
    for values in (one, other):
        studies, seeds = values.shape
        a, b = values.mean(axis=1) - values.mean(), values.mean(axis=0) - values.mean()
        rest = values - values.mean() - a[:, None] - b
        of_studies += (a @ a) / (studies - 1) / studies
        interactions += (rest**2).sum() / ((studies - 1) * (seeds - 1)) / (studies * seeds)
    of_seeds = (one.mean(axis=0) - other.mean(axis=0)).var(ddof=1) / 12
    shared = min(of_studies, of_seeds, interactions)
    assert found.error**2 == pytest.approx(of_studies + of_seeds - shared)
    assert found.of_studies == pytest.approx(of_studies - shared)
    assert found.of_seeds == pytest.approx(of_seeds - shared)
    assert found.mean == pytest.approx(one.mean() - other.mean())


def test_what_a_seed_does_to_both_is_no_error_of_a_contrast() -> None:
    of_seed = 100 * np.random.default_rng(2).normal(size=20)
    one, other = (cells(5, 20, of_study=1.0, seed=seed) for seed in (0, 1))
    found = hierarchy.contrast(differences(one + of_seed, other + of_seed))
    assert found == pytest.approx(hierarchy.contrast(differences(one, other)))


def test_of_one_study_each_a_contrast_is_the_paired_test_over_seeds() -> None:
    one, other = (cells(1, 30, of_study=0.0, seed=seed) for seed in (0, 1))
    found = hierarchy.contrast(differences(one, other))
    assert found.p_value() == pytest.approx(stats.ttest_rel(one[0], other[0]).pvalue)


@pytest.mark.parametrize(
    ("studies", "of_study", "of_other"), [(5, 0.0, 0.0), (5, 0.5, 0.5), (5, 1.0, 0.1), (3, 0.5, 0.5)]
)
def test_contrasts_hold_the_truth_as_often_as_they_say_or_more(studies, of_study, of_other) -> None:
    held = 0
    for seed in range(300):
        one = cells(studies, 20, of_study=of_study, of_seed=0.3, seed=2 * seed)
        other = cells(studies, 20, of_study=of_other, of_seed=0.3, seed=2 * seed + 1)
        low, high = hierarchy.contrast(differences(one, other)).interval(0.95)
        held += low <= 0 <= high
    assert held >= 277
