"""Verdicts: calibrated on the records under other names, and on planted differences."""

import functools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from induced_metric import records
from induced_metric.analysis import runs
from induced_metric.analysis.confirmations import hierarchy, verdicts
from induced_metric.analysis.confirmations.hierarchy import Estimate

PUBLISHED = Path(__file__).parents[3] / "results" / "published"
NAMES = ("a", "b", "c")
LEARNT_NOTHING = 0.9


@functools.cache
def of_seeds() -> np.ndarray:
    """Deviations from their mean of three optimizers on the same 100 seeds; shape=(seeds, 3)."""
    trials = records.load("regression", sampler="fixed", results=PUBLISHED).trials
    wide = trials.pivot_table(index="seed", columns="optimizer", values="value")[["adam", "adamw", "sgd_rms"]]
    return (wide - wide.mean()).to_numpy()


@functools.cache
def of_trials() -> np.ndarray:
    """The values of Adam's random search."""
    trials = records.load("regression", sampler="random", results=PUBLISHED, optimizers=["adam"]).trials
    return trials["value"].where(runs.eligible(trials), LEARNT_NOTHING).to_numpy()


def under_other_names(rng: np.random.Generator, *, studies: int, seeds: int) -> np.ndarray:
    """One optimizer's confirmations three times, resampled from the records; shape=(3, studies, seeds).

    What a study found is the best of 100 of the trials on record; what a seed does are the deviations of
    three trainings from it, which of them has which name being drawn for every seed.
    """
    found = rng.choice(of_trials(), size=(3, studies, 100)).min(axis=2)
    drawn = rng.permuted(of_seeds()[rng.choice(100, size=(studies, seeds))], axis=2)
    if studies == 1:
        found[:] = found[0]
    return found[:, :, None] + np.moveaxis(drawn, 2, 0)


def table(values: np.ndarray, names: tuple[str, ...] = NAMES) -> pd.DataFrame:
    _, studies, seeds = values.shape
    index = pd.MultiIndex.from_product(
        [names, range(studies), range(seeds)], names=["optimizer", "study", "seed"]
    )
    return pd.Series(values.ravel(), index, name="value").reset_index()


def without_nesting(values: np.ndarray) -> np.ndarray:
    """Every cell a seed of its own: what the cells of a study share is forgotten."""
    return values.reshape(len(values), 1, -1)


def false_verdicts(replications: int, change=lambda values: values) -> float:
    """The share of tables with any verdict of better or worse, where there is no difference."""
    rng = np.random.default_rng(0)
    wrong = 0
    for _ in range(replications):
        values = change(under_other_names(rng, studies=5, seeds=20))
        found = verdicts.compare(table(values), minimize=True)
        wrong += found["verdict"].isin(["better", "worse"]).any()
    return wrong / replications


@pytest.mark.slow
def test_an_optimizer_under_other_names_is_neither_better_nor_worse() -> None:
    share = false_verdicts(200)
    assert share <= 0.05


def test_without_the_nesting_it_is_called_better_or_worse() -> None:
    assert false_verdicts(40, without_nesting) > 0.3


def planted(rng: np.random.Generator, shift: float, *, seeds: int = 40) -> np.ndarray:
    """Two names on the same seeds, of which the first is lower by the shift; shape=(2, 1, seeds)."""
    values = under_other_names(rng, studies=1, seeds=seeds)[:2]
    values[0] -= shift
    return values


def found_share(change=lambda rng, values: values) -> float:
    """How often a difference is called better that should be found with the stated power."""
    rng = np.random.default_rng(0)
    pair = functools.partial(verdicts.compare, minimize=True, margin=0.0)
    detectable = np.mean([pair(table(planted(rng, 0.0), NAMES[:2]))["detectable"] for _ in range(50)])
    hits = 0
    for _ in range(150):
        values = change(rng, planted(rng, detectable))
        hits += pair(table(values, NAMES[:2]))["verdict"].item() == "better"
    return hits / 150


@pytest.mark.slow
def test_planted_differences_are_found_at_the_stated_power() -> None:
    assert found_share() == pytest.approx(verdicts.POWER, abs=0.08)


@pytest.mark.slow
def test_without_the_pairing_they_are_not() -> None:
    def without_pairing(rng: np.random.Generator, values: np.ndarray) -> np.ndarray:
        return np.stack([values[0], rng.permuted(values[1], axis=1)])

    assert found_share(without_pairing) < verdicts.POWER - 0.2


def test_a_difference_within_the_margin_is_none() -> None:
    values = planted(np.random.default_rng(0), 0.001)
    found = verdicts.compare(table(values, NAMES[:2]), minimize=True, margin=0.02).iloc[0]
    assert found["verdict"] == "equivalent"
    assert -0.02 < found["low"] < found["difference"] < found["high"] < 0.02
    same = verdicts.compare(table(np.stack([values[0]] * 2), NAMES[:2]), minimize=True).iloc[0]
    assert (same["verdict"], same["difference"], same["superiority"]) == ("equivalent", 0, 0.5)


def test_the_direction_decides_who_is_better() -> None:
    values = table(planted(np.random.default_rng(0), 0.05), NAMES[:2])
    lower = verdicts.compare(values, minimize=True).iloc[0]
    higher = verdicts.compare(values, minimize=False).iloc[0]
    assert (lower["verdict"], higher["verdict"]) == ("better", "worse")
    assert lower["superiority"] == pytest.approx(1 - higher["superiority"])
    assert lower["superiority"] > 0.9


def test_what_it_would_take_decides() -> None:
    rng = np.random.default_rng(0)
    pilot = verdicts.compare(table(planted(rng, 0.004, seeds=20), NAMES[:2]), minimize=True, margin=0.0)
    assert pilot["verdict"].item() == "undecided"
    assert pilot["more_seeds"].item() > 0
    assert pilot["more_studies"].isna().item()
    enough = 20 + int(pilot["more_seeds"].item())
    shift = -pilot["difference"].item()
    decided = [
        verdicts.compare(table(planted(rng, shift, seeds=enough), NAMES[:2]), minimize=True, margin=0.0)[
            "verdict"
        ].item()
        for _ in range(50)
    ]
    assert decided.count("better") >= 30


def test_the_luck_of_few_studies_needs_studies_and_not_seeds() -> None:
    values = under_other_names(np.random.default_rng(3), studies=3, seeds=100)[:2]
    found = verdicts.compare(table(values, NAMES[:2]), minimize=True, margin=1e-4).iloc[0]
    assert found["verdict"] == "undecided"
    assert found["more_studies"] > 0
    assert pd.isna(found["more_seeds"])


def test_holm_adjusts_as_published() -> None:
    adjusted = verdicts.holm(np.array([0.01, 0.04, 0.03, 0.005]))
    np.testing.assert_allclose(adjusted, [0.03, 0.06, 0.06, 0.02])


def test_pairs_are_of_the_studies_and_seeds_that_both_have() -> None:
    values = table(planted(np.random.default_rng(0), 0.0, seeds=6), NAMES[:2])
    fewer = values[(values["optimizer"] == "a") | (values["seed"] < 4)]
    assert verdicts.compare(fewer, minimize=True)["seeds"].item() == 4
    apart = values.assign(seed=values["seed"].where(values["optimizer"] == "a", values["seed"] + 100))
    with pytest.raises(ValueError, match="a and b share 0 seeds of 1 studies"):
        verdicts.compare(apart, minimize=True)
    with pytest.raises(ValueError, match="a was trained more than once from the same seed"):
        verdicts.compare(pd.concat([values, values.head(1)]), minimize=True)
    with pytest.raises(ValueError, match="the margin must be >= 0, got -1"):
        verdicts.compare(values, minimize=True, margin=-1)


def test_fewer_pairs_are_judged_with_less_correction() -> None:
    rng = np.random.default_rng(3)
    values = table(under_other_names(rng, studies=3, seeds=20))
    every = verdicts.compare(values, minimize=True).set_index(["optimizer", "other"])
    some = verdicts.compare(values, minimize=True, pairs=[("c", "a")])
    assert some[["optimizer", "other"]].to_numpy().tolist() == [["c", "a"]]
    one, same = some.iloc[0], every.loc[("a", "c")]
    assert one["difference"] == pytest.approx(-same["difference"])
    assert one["high"] - one["low"] < same["high"] - same["low"]


def test_the_papers_are_judged_in_pairs_and_each_other_against_the_baseline_and_what_it_extends() -> None:
    names = ["lion_metric", "sgd", "adamw", "lion", "sgd_metric_beta0", "sgd_metric", "nadamw"]
    names += ["adamw_metric"]
    first, second, third = verdicts.families(names)
    assert first == [("adamw", "sgd"), ("adamw", "sgd_metric"), ("sgd", "sgd_metric")]
    assert second == [
        (name, "adamw") for name in ("adamw_metric", "lion", "lion_metric", "nadamw", "sgd_metric_beta0")
    ]
    assert third == [("lion_metric", "lion"), ("sgd_metric_beta0", "sgd"), ("sgd_metric_beta0", "sgd_metric")]
    assert verdicts.families(["mine", "yours"]) == [[("mine", "yours")], [], []]
    assert verdicts.families(["sgd_rms", "sgd_log_rms", "adamw"])[2] == [("sgd_log_rms", "sgd_rms")]


def test_what_is_needed_counts_with_the_degrees_of_freedom_of_the_larger_design() -> None:
    # Of two studies each, t at one degree of freedom is 12.7: with that, 90 more would be needed.
    few = Estimate(mean=1.0, error=0.5, freedom=1.0, of_studies=0.25, of_seeds=0.0)
    found = verdicts.needed(few, margin=0.0, level=0.95, shape=(2, 20))
    assert 1 < found["more_studies"] < 10
    assert np.isnan(found["more_seeds"])
    # One study: the seeds alone. By the usual table, a paired t-test of effect 0.5 takes 34.
    pilot = Estimate(mean=0.5, error=1 / np.sqrt(4), freedom=3.0, of_studies=0.0, of_seeds=0.25)
    assert verdicts.needed(pilot, 0.0, 0.95, (1, 4))["more_seeds"] == pytest.approx(34 - 4, abs=2)
    same = Estimate(mean=0.0, error=0.0, freedom=3.0, of_studies=0.0, of_seeds=0.0)
    assert all(np.isnan(value) for value in verdicts.needed(same, 0.0, 0.95, (1, 4)).values())


def test_more_studies_do_not_wear_down_the_luck_of_the_same_seeds() -> None:
    both = {"mean": 0.3, "error": 0.5, "freedom": 8.0, "of_studies": 0.2}
    alone = verdicts.needed(Estimate(**both, of_seeds=0.0), 0.0, 0.95, (5, 10))
    assert alone["more_studies"] > 1
    assert np.isnan(alone["more_seeds"])
    together = verdicts.needed(Estimate(**both, of_seeds=0.04), 0.0, 0.95, (5, 10))
    assert together["more_seeds"] == 2 * together["more_studies"] > alone["more_studies"]


def test_a_plan_to_show_equivalence_allows_for_both_ends() -> None:
    found = Estimate(mean=0.0, error=0.5, freedom=19.0, of_studies=0.0, of_seeds=0.25)
    seeds = 20 + verdicts.needed(found, 1.0, 0.95, (1, 20))["more_seeds"]
    error = 0.5 * np.sqrt(20 / seeds)
    reach = 1.0 - stats.t.isf(0.025, seeds - 1) * error  # of a difference that is still equivalent
    assert 1 - 2 * stats.norm.sf(reach / error) == pytest.approx(verdicts.POWER, abs=0.03)


def test_one_that_always_wins_has_no_interval_of_how_often() -> None:
    values = np.stack([np.zeros((3, 8)), np.ones((3, 8))]) + 1e-3 * np.arange(24).reshape(3, 8)
    row = verdicts.compare(table(values, ("a", "b")), minimize=True).iloc[0]
    assert row["superiority"] == 1
    assert np.isnan([row["superiority_low"], row["superiority_high"]]).all()


def test_optimizers_that_do_the_same_are_equivalent_even_if_nothing_varies() -> None:
    same = verdicts.compare(table(np.ones((2, 3, 8)), ("a", "b")), minimize=True)
    assert same[["verdict", "margin"]].to_numpy().tolist() == [["equivalent", 0.0]]


def test_what_is_needed_is_what_a_larger_design_has() -> None:
    rng = np.random.default_rng(5)
    of_study, of_seed = rng.normal(size=(400, 1)), 0.3 * rng.normal(size=10)
    wide = of_study + of_seed + 0.1 * rng.normal(size=(400, 10))
    found = hierarchy.estimate(wide[:20])
    lasting = found.of_seeds + (found.error**2 - found.of_seeds) * 20 / 400
    assert hierarchy.estimate(wide).error ** 2 == pytest.approx(lasting, rel=0.3)


def test_the_default_margin_is_a_fifth_of_the_usual_spread_over_seeds() -> None:
    spreads = {"a": (1.0, 3.0), "b": (5.0, 7.0), "c": (100.0, 300.0)}  # of each study
    values = np.array([[[-s, s] for s in own] for own in spreads.values()]) / np.sqrt(2)
    assert verdicts.default_margin(table(values)) == pytest.approx(0.2 * 6.0)


def test_the_share_of_pairs_has_the_interval_of_its_mean() -> None:
    rng = np.random.default_rng(3)
    values = rng.normal(size=(2, 4, 9)) + np.array([0.0, 0.7])[:, None, None]
    row = verdicts.compare(table(values, ("a", "b")), minimize=True).iloc[0]
    wins = (values[0][:, None] < values[1][None]).astype(float)
    assert row["superiority"] == pytest.approx(wins.mean())
    low, high = hierarchy.contrast(wins).interval(0.95)
    assert (row["superiority_low"], row["superiority_high"]) == pytest.approx((max(low, 0), min(high, 1)))


@pytest.mark.slow
def test_what_differs_by_the_margin_is_seldom_called_equivalent() -> None:
    rng = np.random.default_rng(0)
    margin, wrong, told = 1.0, 0, 0
    for _ in range(400):
        values = rng.normal(scale=0.3, size=(2, 5, 20)) + 0.2 * rng.normal(size=(2, 5, 1))
        values[1] += margin
        (verdict,) = verdicts.compare(table(values, ("a", "b")), minimize=True, margin=margin)["verdict"]
        wrong += verdict == "equivalent"
        values[1] -= margin
        (verdict,) = verdicts.compare(table(values, ("a", "b")), minimize=True, margin=margin)["verdict"]
        told += verdict == "equivalent"
    assert wrong <= 0.05 * 400
    assert told > 0.9 * 400
