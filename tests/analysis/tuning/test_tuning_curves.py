"""Tuning curves: against opda, all subsets and planted differences, and on the published records."""

import itertools
import json
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from opda.nonparametric import EmpiricalDistribution

from induced_metric import records
from induced_metric.analysis import runs
from induced_metric.analysis.support import Support, counted, support
from induced_metric.analysis.tuning import bands, estimates, tuning_curves, tuning_differences
from induced_metric.records import Records

PUBLISHED = Path(__file__).parents[3] / "results" / "published"
RANDOM = json.dumps(
    {"sampler": {"create": {"_target_": "optuna.samplers.RandomSampler"}}, "pruner": {"name": None}}
)
TPE = json.dumps({"sampler": {"create": {"_target_": "optuna.samplers.TPESampler"}}})
UNIT = Support(0.0, 1.0)


def study(config: str = RANDOM, direction: str = "minimize", **values: np.ndarray) -> pd.DataFrame:
    """Trials by their values."""
    objective = "test/loss" if direction == "minimize" else "test/accuracy"
    parts = [
        pd.DataFrame(
            {
                "optimizer": name, "trial": range(len(given)), "seed": range(len(given)), "state": "complete",
                "diverged": False, "value": given, "objective": objective, "direction": direction,
                "learning_rate": 0.1, "task": "regression", "config": config,
                "protocol": "paper", "sampler": "random" if config == RANDOM else "tpe",
            }
        )
        for name, given in values.items()
    ]  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def uniform(size: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(size)


@pytest.mark.parametrize("minimize", [True, False])
def test_the_median_best_lies_beside_opdas_which_draws_with_replacement(minimize: bool) -> None:
    values, budgets = uniform(400), np.arange(1, 41)
    expected = EmpiricalDistribution(values).quantile_tuning_curve(budgets, q=0.5, minimize=minimize)
    found = estimates.median_best(values, budgets, minimize=minimize)
    ranks = (np.sort(values).searchsorted(own) for own in (found, expected))
    assert np.abs(np.subtract(*ranks)).max() <= 2


@pytest.mark.parametrize("minimize", [True, False])
def test_a_band_for_the_distribution_gives_opdas_for_the_median_best(
    minimize: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the band of Dvoretzky, Kiefer and Wolfowitz, which opda has in closed form."""
    values, budgets = uniform(60), np.arange(1, 61)
    share, epsilon = np.arange(61) / 60, np.sqrt(np.log(2 / 0.05) / 120)
    dkw = bands.Band(np.clip(share - epsilon, 0, 1), np.clip(share + epsilon, 0, 1))
    monkeypatch.setattr(bands, "band", lambda number, level: dkw)
    lower, _, upper = EmpiricalDistribution.confidence_bands(values, 0.95, a=0.0, b=1.0, method="dkw")
    ends = [band.quantile_tuning_curve(budgets, q=0.5, minimize=minimize) for band in (upper, lower)]
    bounds = UNIT if minimize else Support(1.0, 0.0)
    low, high = estimates.median_band(values, budgets, bounds)
    np.testing.assert_allclose(low, ends[0], atol=1e-9, rtol=0)
    np.testing.assert_allclose(high, ends[1], atol=1e-9, rtol=0)


def test_the_median_best_is_the_median_over_all_subsets() -> None:
    values = uniform(7)
    for k in (1, 3, 7):
        subsets = [min(subset) for subset in itertools.combinations(values, k)]
        found = estimates.median_best(values, [k], minimize=True)[0]
        assert found == np.quantile(subsets, 0.5, method="inverted_cdf")


def test_the_whole_band_holds_as_often_as_it_says_or_more() -> None:
    budgets = np.arange(1, 51)
    truth = 1 - 0.5 ** (1 / budgets)  # the median of the least of k uniform ones
    held = 0
    for seed in range(200):
        low, high = estimates.median_band(uniform(50, seed), budgets, UNIT, level=0.9)
        held += bool(((low <= truth) & (truth <= high)).all())
    assert held >= 175  # 180 expected at the least: a curve may hold where its distribution does not


def test_a_few_searches_that_found_nothing_decide_nothing() -> None:
    values = np.concatenate([uniform(90), np.full(10, 1e9)])
    low, high = estimates.median_band(values, [2, 10], Support(0.0, 1e9))
    assert (high < 1).all()
    assert (low > 0).all()
    assert (estimates.median_best(values, [1, 2, 10], minimize=True) < 1).all()


def test_to_diverge_counts_as_the_worst_and_gains_nothing() -> None:
    trials = study(a=uniform(20), b=uniform(20))
    trials.loc[(trials["optimizer"] == "b") & (trials["value"] > 0.5), "diverged"] = True
    trials.loc[trials["diverged"], "value"] = float(np.finfo(np.float32).max)
    bounds = support(trials, worst=2.0)
    assert bounds == Support(0.0, 2.0)
    table = estimates.of_random(trials, bounds).set_index(["optimizer", "trials"])["best"]
    assert (table["b"] >= table["a"] - 1e-12).all()
    assert table["b", 1] > table["a", 1] + 0.3
    assert np.isfinite(table).all()


def test_the_support_is_an_accuracys_or_the_typical_worst() -> None:
    assert support(study(direction="maximize", a=uniform(9))) == Support(1.0, 0.0)
    trials = study(a=np.array([1.0, 3]), b=np.array([1.0, 4]), c=np.array([2.0, 1e9]))
    assert support(trials) == Support(0.0, 4.0)
    assert (
        support(trials.assign(objective="test/perplexity")).worst
        == trials.groupby("optimizer")["value"].max().min()
    )
    assert support(trials.assign(value=-trials["value"])).best == -np.inf
    with pytest.raises(ValueError, match="no complete trial"):
        support(trials.assign(diverged=True))


def test_a_bound_beyond_the_values_is_an_end_of_the_support() -> None:
    low, high = estimates.median_band(uniform(3), [1, 3], Support(-np.inf, 2.0))
    assert low.tolist() == [-np.inf, -np.inf]
    assert high.tolist()[0] == 2.0


def test_curves_of_a_search_that_learns_are_of_whole_studies() -> None:
    studies = {
        "tpe": study(TPE, a=np.array([3.0, 1, 2])),
        "tpe-seed1": study(TPE, a=np.array([5.0, 4, 0.5, 0.1])),
    }
    table = estimates.of_studies(studies, Support(0.0, 9.0))
    assert table["trials"].tolist() == [1, 2, 3]
    assert table["best"].tolist() == [4.0, 2.5, 0.75]
    assert table[["low", "high"]].iloc[1].tolist() == [1.0, 4.0]
    for make in (
        lambda: estimates.of_random(studies["tpe"], UNIT),
        lambda: estimates.paired(study(TPE, a=uniform(9), b=uniform(9)), "a", UNIT, [1]),
    ):
        with pytest.raises(ValueError, match="trials that do not depend on each other"):
            make()


def planted(shift: float, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    shared = rng.random(300)
    a, b = (np.clip(shared + 0.05 * rng.normal(size=300), 0, 1) for _ in range(2))
    return study(a=a, b=np.clip(b + shift, 0, 2))


def test_common_draws_find_a_difference_that_single_bands_do_not() -> None:
    bounds, budgets = Support(0.0, 2.0), [1, 5, 20, 60, 100]
    same, other = (estimates.paired(planted(shift), "a", bounds, budgets) for shift in (0.0, 0.08))
    assert same["trials"].tolist() == [1, 5, 20, 60]  # a fifth of 300
    assert ((same["low"] < 0) & (same["high"] > 0)).all()
    assert (other["low"] > 0).all()
    curves = estimates.of_random(planted(0.08), bounds, budgets=[20]).set_index("optimizer")
    assert curves.loc["a", "high"] > curves.loc["b", "low"]
    mixed = planted(0.08)
    own = mixed["optimizer"] == "b"
    mixed.loc[own, "value"] = np.random.default_rng(1).permutation(mixed.loc[own, "value"])
    apart = estimates.paired(mixed, "a", bounds, budgets)
    np.testing.assert_allclose(apart["difference"], other["difference"])
    assert (apart["high"] - apart["low"])[0] > 2 * (other["high"] - other["low"])[0]


def test_paired_bands_hold_for_all_budgets_at_once() -> None:
    held = 0
    for seed in range(60):
        table = estimates.paired(planted(0.0, seed), "a", Support(0.0, 2.0), [1, 20, 60], resamples=100)
        held += bool(((table["low"] <= 0) & (table["high"] >= 0)).all())
    assert held >= 54


def test_bad_pairs_are_refused() -> None:
    trials = study(a=uniform(9), b=uniform(9))
    with pytest.raises(ValueError, match="baseline must be one of a, b, got 'muon'"):
        estimates.paired(trials, "muon", UNIT, [1])
    with pytest.raises(ValueError, match="different seeds"):
        estimates.paired(trials.assign(seed=range(18)), "a", UNIT, [1])


def test_a_shorter_search_is_paired_over_the_trials_that_both_have() -> None:
    trials = study(adam=uniform(100), sgd=uniform(20, 1))
    table = tuning_differences.differences({"random": Records(trials, pd.DataFrame())}, (10, 30, 100))
    assert table[["trials", "n"]].to_numpy().tolist() == [[4, 20]]  # a fifth of the 20 they share
    apart = trials.assign(trial=trials["trial"].where(trials["optimizer"] == "adam", trials["trial"] + 500))
    assert tuning_differences.differences({"random": Records(apart, pd.DataFrame())}, (10,)).empty


def test_the_published_curves_are_opdas_and_take_no_second() -> None:
    trials, _ = records.load("regression", sampler="random", results=PUBLISHED)
    bounds = support(trials)
    started = time.process_time()
    table = estimates.of_random(trials, bounds)
    assert time.process_time() - started < 1
    best = estimates.of_random(trials, bounds, budgets=[30]).set_index("optimizer")["best"]
    for name, own in trials.groupby("optimizer"):
        values = counted(own, bounds).to_numpy()
        assert best[name] == pytest.approx(
            EmpiricalDistribution(values).quantile_tuning_curve(30, q=0.5, minimize=True), rel=0.03
        )
    assert (table["low"] <= table["best"]).all()
    assert (table["best"] <= table["high"]).all()


def test_the_tables_say_what_each_number_rests_on() -> None:
    ours = {
        "random": Records(study(adam=uniform(40), sgd=uniform(40, 1)), pd.DataFrame()),
        "tpe": Records(study(TPE, adam=uniform(40, 2), sgd=uniform(40, 3)), pd.DataFrame()),
        "tpe-seed1": Records(study(TPE, adam=uniform(40, 4), sgd=uniform(40, 5)), pd.DataFrame()),
    }
    table = tuning_curves.tuning_table("regression", ours)
    assert table.cells["From"].tolist() == ["40 trials", "2 studies"] * 2
    assert table.cells.columns[3::2].tolist() == ["Best of 10", "Best of 30"]
    assert any("independent studies" in note for note in table.notes)
    differences = tuning_differences.paired_table("regression", ours)
    assert differences is not None
    assert differences.cells["Source"].tolist() == ["random"]
    alone = {"tpe": ours["tpe"]}
    single = tuning_curves.tuning_table("regression", alone)
    assert set(single.cells["10: band"]) == {"–"}
    assert not single.bold.to_numpy().any()
    assert tuning_differences.paired_table("regression", alone) is None


@pytest.mark.parametrize(
    ("objective", "value", "which"),
    [("test/loss", "0.5", "the median"), ("validation/perplexity", "0.2", "the least")],
)
def test_the_note_on_lost_trials_says_what_they_count_as(objective, value, which) -> None:
    worst = {"adam": 0.2, "sgd": 0.5, "muon": 0.9}
    trials = study(**{name: np.linspace(0.1, last, 12) for name, last in worst.items()})
    ours = {"random": Records(trials.assign(objective=objective), pd.DataFrame())}
    text = " ".join(tuning_curves.tuning_table("regression", ours).notes)
    assert f"A trial that diverged or failed counts as {value}, and so " in text
    assert f"This is {which} over the optimisers of their worst finite values" in text


def test_the_figure_has_a_panel_an_optimizer_and_one_of_all() -> None:
    ours = runs.load_samplers("regression", ["random", "tpe"], results=PUBLISHED)
    figure = tuning_curves.tuning_figure(ours)
    titles = [axes.get_title() for axes in figure.axes]
    assert titles[:3] == ["all, random", "ADAM", "ADAMW"]
    assert len(figure.axes[0].lines) == 7
    assert len(figure.axes[1].collections) == 1  # the band of random search, none of a single study
    assert figure.axes[1].get_ylim()[0] > 0
