"""What each kind of evidence says of a pair: the difference that is there, a valid interval or none."""

import math

import numpy as np
import pandas as pd
import planted
import pytest
import synthetic
from scipy import stats

from induced_metric.analysis.paper_claims.evidence import judged, on_record, stands_for
from induced_metric.analysis.paper_claims.ours import Independent, Studies, Trained, independent
from induced_metric.analysis.paper_claims.quoted import Published
from induced_metric.records import CONFIRMED, Records, published

TRIALS = 60


def study(sampler="random", **values) -> Records:
    """A search in memory: trial k of every optimizer has the same seed."""
    parts = []
    for name, own in values.items():
        rows = [synthetic.trial(k, optimizer=name, sampler=sampler, epochs=2)[0] for k in range(len(own))]
        parts.append(pd.DataFrame(rows).assign(value=own, seed=range(len(own))))
    return Records(pd.concat(parts, ignore_index=True), pd.DataFrame())


def of(source, pair=("sgd_rms", "adamw"), measure="mean", relation="better"):
    (effect,) = source.compare([pair], measure, relation).effects
    return effect


@pytest.mark.parametrize(
    ("ends", "relation", "minimize", "truth"),
    [
        ((-2.0, -1.0), "better", True, True),
        ((-2.0, -1.0), "better", False, False),
        ((-2.0, 1.0), "better", True, None),
        ((1.0, 2.0), "more", True, True),
        ((-2.0, -1.0), "more", True, False),
        ((-0.2, 0.3), "equal", True, True),
        ((-0.2, 0.9), "equal", True, None),
        ((0.6, 0.9), "equal", True, False),
        ((math.nan, math.nan), "better", True, None),
    ],
)
def test_an_interval_decides_a_relation(ends, relation, minimize, truth) -> None:
    effect = judged(("sgd", "adam"), sum(ends) / 2, ends, relation=relation, minimize=minimize, margin=0.5)
    assert effect.truth is truth
    assert effect.of == "SGD - ADAM"


def test_the_interval_of_published_means_is_welchs(monkeypatch) -> None:
    rng = np.random.default_rng(0)
    one, other = rng.normal(0.030, 0.002, 50), rng.normal(0.034, 0.006, 50)
    columns = {"metric_mean": [one.mean(), other.mean()], "metric_std": [one.std(), other.std()]}
    table = pd.DataFrame({**columns, "n": 50, "direction": "minimize"}, index=["sgd_rms", "adamw"])
    monkeypatch.setattr(published, "summary", lambda task: table)
    effect = of(Published("regression"))
    expected = stats.ttest_ind(one, other, equal_var=False).confidence_interval(0.95)
    assert (effect.low, effect.high) == pytest.approx((expected.low, expected.high))
    assert effect.truth is True
    spread = of(Published("regression"), ("adamw", "sgd_rms"), "spread", "more")
    assert spread.truth is True
    assert spread.value == pytest.approx(other.std() - one.std())
    # For six comparisons at once each is wider.
    six = Published("regression").compare([("sgd_rms", "adamw")] * 6, "mean", "better")
    assert six.effects[0].high > effect.high


def test_an_order_that_the_published_numbers_lack_is_contradicted() -> None:
    cifar10 = Published("cifar10")
    contradicted = of(cifar10, ("sgd_rms", "muon"))  # the text says that SGD_RMS has the best mean
    assert contradicted.truth is False
    assert contradicted.low < 0 < contradicted.high
    single = of(cifar10, ("sgd_rms", "adamw"), "best")
    assert (single.truth, math.isnan(single.low)) == (None, True)
    assert of(cifar10, ("adamw", "sgd_rms"), "best").truth is False
    assert of(Published("mnist"), ("sgd_metric", "adam"), "seconds").truth is None


def test_random_search_is_compared_over_the_numbers_of_trials_that_all_share() -> None:
    values = np.random.default_rng(1).uniform(0.1, 1, TRIALS)
    records = study(sgd_rms=values - 0.01, adamw=values)
    source = Independent({"random": records}, n=10)
    effect = of(source)
    assert (effect.value, effect.truth) == (pytest.approx(-0.01), True)
    assert effect.high - effect.low < 1e-9  # what the draws did they did to both
    swapped = of(source, ("adamw", "sgd_rms"))
    assert (swapped.value, swapped.truth) == (pytest.approx(0.01), False)
    both = source.compare([("adamw", "sgd_rms"), ("sgd_rms", "adamw")], "best", "better")
    assert [each.truth for each in both.effects] == [False, True]
    assert "median best of 12 trials; bootstrap over trial numbers" in both.method
    assert both.n == "60 trials"
    assert of(source, measure="spread", relation="more").truth is None
    assert source.compare([("adamw", "sgd_rms")], "seconds", "better") is None


def test_trials_that_some_lack_are_left_out_of_a_comparison() -> None:
    whole = study(sgd_rms=np.linspace(0.1, 1, TRIALS), adamw=np.linspace(0.2, 2, TRIALS)).trials
    late = (whole["optimizer"] == "sgd_rms") & (whole["trial"] < TRIALS - 12)
    source = Independent({"random": Records(whole[~late], pd.DataFrame())}, 5)
    both = Independent({"random": Records(whole[whole["trial"] >= TRIALS - 12], pd.DataFrame())}, 5)
    for measure in ("best", "mean"):
        assert of(source, measure=measure).value == pytest.approx(of(both, measure=measure).value)
    assert source.compare([("sgd_rms", "adamw")], "best", "better").n == "12 trials"
    apart = whole[(whole["optimizer"] == "adamw") == (whole["trial"] < 30)]
    nothing = Independent({"random": Records(apart, pd.DataFrame())}, 5)
    assert nothing.compare([("sgd_rms", "adamw")], "mean", "better") is None


def test_several_baselines_or_one_give_the_same_differences() -> None:
    rng = np.random.default_rng(2)
    records = study(**{name: rng.uniform(0.1, 1, TRIALS) for name in ("sgd_rms", "adamw", "muon")})
    source = Independent({"random": records}, n=10)
    turned = source.compare([("sgd_rms", "adamw"), ("sgd_rms", "muon")], "mean", "better").effects
    straight = source.compare([("adamw", "sgd_rms"), ("muon", "sgd_rms")], "mean", "better").effects
    for one, other in zip(turned, straight, strict=True):
        assert (one.value, one.low, one.high) == pytest.approx((-other.value, -other.high, -other.low))


def test_one_study_of_a_search_that_learns_has_no_interval_and_several_have_students() -> None:
    rng = np.random.default_rng(3)
    one = {"tpe": study("tpe", sgd_rms=rng.uniform(0.1, 0.2, 20), adamw=rng.uniform(0.8, 0.9, 20))}
    effect = of(Studies(one, n=5))
    assert effect.value < -0.5
    assert (effect.truth, math.isnan(effect.low)) == (None, True)
    best = {f"tpe-seed{k}": rng.uniform(0.1, 0.3, 2) for k in range(5)}
    several = {
        name: study(name, sgd_rms=np.full(20, ends[0]), adamw=np.full(20, ends[1]))
        for name, ends in best.items()
    }
    effect = of(Studies(several, n=5), measure="best")
    one, other = zip(*best.values(), strict=True)
    expected = stats.ttest_ind(one, other, equal_var=False).confidence_interval(0.95)
    assert (effect.low, effect.high) == pytest.approx((expected.low, expected.high))


def test_studies_have_only_a_number_in_common_and_each_optimizer_has_its_own() -> None:
    rng = np.random.default_rng(3)
    values = {f"tpe-seed{k}": rng.uniform(0.1, 0.3, 2) for k in range(5)}

    def searches(order: list[int]) -> dict[str, Records]:
        """The searches, the other optimiser's in another order; a negative number: it has none."""
        ends = list(values.values())
        return {
            name: study(name, sgd_rms=np.full(20, own[0]))
            if place < 0
            else study(name, sgd_rms=np.full(20, own[0]), adamw=np.full(20, ends[place][1]))
            for (name, own), place in zip(values.items(), order, strict=True)
        }

    first, turned = (Studies(searches(order), n=5) for order in ([0, 1, 2, 3, 4], [3, 1, 0, 4, 2]))
    assert of(first, measure="best")[1:4] == pytest.approx(of(turned, measure="best")[1:4])
    fewer = Studies(searches([0, 1, 2, -1, -1]), n=5).compare([("sgd_rms", "adamw")], "best", "better")
    assert fewer.n == "3 or 5 studies"
    one, other = zip(*values.values(), strict=True)
    assert fewer.effects[0].value == pytest.approx(np.mean(one) - np.mean(other[:3]))


def test_trials_that_depend_on_each_other_or_share_no_seeds_are_not_drawn_anew() -> None:
    values = np.linspace(0.1, 1, 20)
    records = study(sgd_rms=values, adamw=values)
    assert independent({"random": records})
    assert not independent({"tpe": study("tpe", sgd_rms=values, adamw=values)})
    trials = records.trials
    other = trials.assign(seed=trials["seed"] + (trials["optimizer"] == "adamw"))
    assert not independent({"random": Records(other, records.curves)})


def test_confirmations_are_decided_by_their_verdicts() -> None:
    rng = np.random.default_rng(4)
    noise = rng.normal(scale=0.01, size=20)
    searches = {"tpe": study("tpe", sgd_rms=np.linspace(0.1, 0.9, 20), adamw=np.linspace(0.2, 0.9, 20))}
    name = f"tpe{CONFIRMED}"
    found = {name: study(name, sgd_rms=0.15 + noise, adamw=0.25 + noise[::-1], muon=0.15 + noise[::-1])}
    source = Trained(found, searches)
    compared = source.compare(
        [("sgd_rms", "adamw"), ("adamw", "sgd_rms"), ("sgd_rms", "muon")], "best", "better"
    )
    assert [effect.truth for effect in compared.effects] == [True, False, None]
    difference = np.log(0.15 + noise).mean() - np.log(0.25 + noise).mean()
    assert compared.effects[0].value == pytest.approx(difference)
    assert compared.effects[0].low < difference < compared.effects[0].high < 0
    assert compared.n == "1×20 seeds"
    assert source.compare([("sgd_rms", "adamw")], "spread", "more") is None


def reaching(**epochs) -> Records:
    """The published settings from a seed for each number: the epochs to 0.98, of 9 that are trained."""
    parts = [study("fixed", **{name: np.full(len(own), 0.9)}).trials for name, own in epochs.items()]
    curves = [
        {"optimizer": name, "trial": k, "epoch": epoch, "seconds": 1.0,
         "test/accuracy": 0.99 if epoch + 1 == first else 0.9}
        for name, own in epochs.items() for k, first in enumerate(own) for epoch in range(9)
    ]  # fmt: skip
    trials = pd.concat(parts, ignore_index=True).assign(objective="test/accuracy", direction="maximize")
    return Records(trials, pd.DataFrame(curves))


def test_who_reaches_a_target_sooner_is_decided_seed_by_seed() -> None:
    never = 99
    records = reaching(sgd_rms=[2] * 10 + [never, never], adamw=[5] * 9 + [never, 1, never])
    source = Trained({"fixed": records}, {}, target=0.98)
    effect = of(source, measure="seconds")
    # Fewer epochs on 10 seeds, more on one, and on the last neither gets there.
    assert effect.value == pytest.approx(9 / 12)
    interval = stats.binomtest(10, 11).proportion_ci(0.95)
    assert (effect.low, effect.high) == pytest.approx(
        (11 / 12 * (2 * interval.low - 1), 11 / 12 * (2 * interval.high - 1))
    )
    assert effect.truth is True
    assert of(source, ("adamw", "sgd_rms"), "seconds").truth is False
    assert (
        "reaches 0.98 in fewer epochs" in source.compare([("adamw", "sgd_rms")], "seconds", "better").method
    )
    same = Trained({"fixed": reaching(sgd_rms=[3, never], adamw=[3, never])}, {}, target=0.98)
    assert (of(same, measure="seconds").value, of(same, measure="seconds").truth) == (0, None)
    seeds = records.trials["seed"] + 100 * (records.trials["optimizer"] == "adamw")
    apart = records._replace(trials=records.trials.assign(seed=seeds))
    effect = of(Trained({"fixed": apart}, {}, target=0.98), measure="seconds")
    assert (effect.value, effect.truth) == (0, None)
    assert Trained({"fixed": records}, {}).compare([("sgd_rms", "adamw")], "seconds", "better") is None


def test_adamw_stands_for_adam_where_its_space_contains_adam() -> None:
    fair, paper = (
        {
            "random": Records(
                planted.study("adamw", settings=(f"protocol={name}", "task=regression")), pd.DataFrame()
            )
        }
        for name in ("fair", "paper")
    )
    assert stands_for(fair) == {"adam": "adamw"}
    assert stands_for(paper) == {}
    pairs = [("adam", "sgd"), ("adam", "adamw"), ("adamw", "sgd")]
    assert on_record(pairs, ["adamw", "sgd"], {"adam": "adamw"}) == [("adamw", "sgd")]
    assert on_record(pairs, ["adam", "adamw", "sgd"], {"adam": "adamw"}) == pairs


@pytest.mark.parametrize(
    ("verdict", "ends", "truth"),
    [
        ("equivalent", (0.01, 0.1), True),
        ("worse", (0.01, 0.3), None),  # there is a difference, which may be too small to matter
        ("undecided", (-0.1, 0.3), None),
        ("worse", (0.3, 0.5), False),
        ("better", (-0.5, -0.3), False),
    ],
)
def test_equality_is_contradicted_only_by_a_difference_that_matters(
    verdict, ends, truth, monkeypatch
) -> None:
    low, high = ends
    row = {"difference": (low + high) / 2, "low": low, "high": high, "margin": 0.2, "verdict": verdict}
    monkeypatch.setattr(Trained, "_pairs", {("sgd", "sgd_log_metric"): row})
    records = study(sgd=np.linspace(1, 2, TRIALS), sgd_log_metric=np.linspace(1, 2, TRIALS))
    source = Trained({"fixed": records}, {})
    for pair in (("sgd", "sgd_log_metric"), ("sgd_log_metric", "sgd")):
        assert of(source, pair, relation="equal").truth is truth
