"""Differences to a baseline: calibrated on planted ones, and the published study's."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from induced_metric import records
from induced_metric.analysis.searches import differences
from induced_metric.records import Records

PUBLISHED = Path(__file__).parents[3] / "results" / "published"
RANDOM = json.dumps(
    {"sampler": {"create": {"_target_": "optuna.samplers.RandomSampler"}}, "pruner": {"name": None}}
)


def study(**values: np.ndarray) -> pd.DataFrame:
    """Trials of random search by their values."""
    parts = [
        pd.DataFrame(
            {
                "optimizer": name, "trial": range(len(given)), "seed": range(len(given)), "state": "complete",
                "diverged": False, "value": given, "objective": "test/loss", "direction": "minimize",
                "learning_rate": 0.1, "task": "regression", "config": RANDOM,
            }
        )
        for name, given in values.items()
    ]  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def losses(seed: int, trials: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Two optimizers alike in everything but their noise: what they share is most of the spread."""
    rng = np.random.default_rng(seed)
    shared = np.exp(rng.normal(size=trials))
    return shared * np.exp(0.3 * rng.normal(size=trials)), shared * np.exp(0.3 * rng.normal(size=trials))


def test_the_difference_is_that_of_the_means_of_the_best() -> None:
    trials = study(adam=np.array([4.0, 1, 2, 9]), sgd=np.array([3.0, 5, 7, 2]))
    row = differences.to_baseline(trials, "adam", 2).loc["sgd"]
    assert row["difference"] == 2.5 - 1.5
    assert row["trials"] == 4
    higher = differences.to_baseline(trials.assign(direction="maximize"), "adam", 2).loc["sgd"]
    assert higher["difference"] == 6.0 - 6.5


def test_a_copy_does_not_differ_and_a_planted_difference_is_found() -> None:
    adam, other = losses(0)
    table = differences.to_baseline(study(adam=adam, copy=adam, other=other, worse=1.5 * adam), "adam", 20)
    assert table.loc["copy", ["difference", "low", "high"]].tolist() == [0, 0, 0]
    assert table.loc["other", "low"] < 0 < table.loc["other", "high"]
    worse = table.loc["worse"]
    assert 0 < worse["low"] < worse["difference"] < worse["high"]
    assert worse["difference"] == pytest.approx(0.5 * np.sort(adam)[:20].mean())


@pytest.mark.slow
def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    held = 0
    for seed in range(100):
        adam, other = losses(seed)
        row = differences.to_baseline(study(adam=adam, other=other), "adam", 20, resamples=400).loc["other"]
        held += row["low"] <= 0 <= row["high"]
    assert 88 <= held <= 99


def test_what_the_optimizers_share_narrows_the_interval() -> None:
    adam, other = losses(0)
    together = differences.to_baseline(study(adam=adam, other=other), "adam", 50).loc["other"]
    mixed = np.random.default_rng(1).permutation(other)
    apart = differences.to_baseline(study(adam=adam, other=mixed), "adam", 50).loc["other"]
    assert apart["difference"] == pytest.approx(together["difference"])
    assert apart["high"] - apart["low"] > 1.5 * (together["high"] - together["low"])


def test_to_diverge_gains_nothing() -> None:
    adam, other = losses(0)
    lost = study(adam=adam, other=other)
    best = lost[lost["optimizer"] == "other"].nsmallest(20, "value").index
    lost.loc[best, "diverged"] = True
    row = differences.to_baseline(lost, "adam", 20).loc["other"]
    assert row["trials"] == 200
    assert row["difference"] == pytest.approx(np.sort(other)[20:40].mean() - np.sort(adam)[:20].mean())
    assert row["low"] > 0


def test_where_few_trials_end_the_means_are_over_as_many_of_both() -> None:
    few = np.where(np.arange(40) < 10, 0.05, np.inf)
    trials = study(adam=np.linspace(0.03, 0.08, 40), few=few)
    trials["diverged"] = ~np.isfinite(trials["value"])
    row = differences.to_baseline(trials, "adam", 20).loc["few"]
    assert row["n"] == 10
    assert row["difference"] == pytest.approx(0.05 - np.linspace(0.03, 0.08, 40)[:10].mean())
    turned = differences.to_baseline(trials, "few", 20).loc["adam"]
    assert (turned["n"], turned["difference"]) == (10, pytest.approx(-row["difference"]))


def test_the_same_seed_gives_the_same_interval() -> None:
    adam, other = losses(0)
    one, again, two = (
        differences.to_baseline(study(adam=adam, other=other), "adam", 20, seed=seed, resamples=200)
        for seed in (0, 0, 1)
    )
    assert one.equals(again)
    assert not one.equals(two)


def test_what_depends_on_each_other_is_refused() -> None:
    trials = study(adam=np.ones(3), sgd=np.ones(3))
    for config in (
        {"sampler": {"create": {"_target_": "optuna.samplers.TPESampler"}}},
        {
            "sampler": {"create": {"_target_": "optuna.samplers.RandomSampler"}},
            "pruner": {"name": "hyperband"},
        },
        {},
    ):
        dependent = trials.assign(config=json.dumps(config))
        with pytest.raises(ValueError, match="trials that do not depend on each other"):
            differences.to_baseline(dependent, "adam", 2)
        ours = {"tpe": Records(dependent, pd.DataFrame())}
        assert differences.differences_table("regression", ours, n=2) is None
    with pytest.raises(ValueError, match="baseline must be one of adam, sgd, got 'muon'"):
        differences.to_baseline(trials, "muon", 2)
    with pytest.raises(ValueError, match="different seeds"):
        differences.to_baseline(trials.assign(seed=range(6)), "adam", 2)
    apart = trials[(trials["optimizer"] == "adam") == (trials["trial"] == 1)]
    with pytest.raises(ValueError, match="adam, sgd have no trial number in common"):
        differences.to_baseline(apart, "adam", 2)
    assert (
        differences.differences_table("regression", {"random": Records(apart, pd.DataFrame())}, n=2) is None
    )


def test_the_published_random_search_is_as_audited() -> None:
    trials, _ = records.load("regression", sampler="random", results=PUBLISHED)
    table = differences.to_baseline(trials, "adam", 50)
    expected = {
        "sgd_rms": (0.0017, -0.0007, 0.0040),
        "adamw": (0.0007, -0.0002, 0.0018),
        "muon": (0.0044, 0.0014, 0.0075),
    }
    for name, numbers in expected.items():
        assert table.loc[name, ["difference", "low", "high"]].tolist() == pytest.approx(numbers, abs=1.5e-4)


def test_the_table_names_its_baseline_and_marks_what_differs() -> None:
    adam, other = losses(0)
    trials = study(other=other, sgd=2 * adam, adam=adam)
    table = differences.differences_table("regression", {"random": Records(trials, pd.DataFrame())}, n=20)
    assert "minus that of ADAM: below 0 is better" in table.title
    lines = table.markdown().splitlines()
    assert lines[0] == "| Optimiser | Source | n | Trials | Difference | 95% interval |"
    assert [line.split(" | ")[0].strip("| ") for line in lines[2:]] == ["SGD", "OTHER"]
    assert ["**" in line for line in lines[2:]] == [True, False]
    assert table.latex().count(r"\\") >= 3
    alone = Records(study(adam=adam), pd.DataFrame())
    assert differences.differences_table("regression", {"random": alone}, n=20) is None
