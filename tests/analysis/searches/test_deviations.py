"""What a change of a protocol's rules does: planted effects, by seed and by draw."""

import json

import numpy as np
import pandas as pd
import pytest

from induced_metric.analysis import making
from induced_metric.analysis.searches import deviations
from induced_metric.records import Records, RecordStore, StudyKey

TARGETS = {"random": "optuna.samplers.RandomSampler", "tpe": "optuna.samplers.TPESampler"}


def study(protocol: str, sampler: str, values: np.ndarray, optimizer: str = "adam") -> Records:
    config = {
        "protocol": {"name": protocol, "changes": f"what {protocol} changes"},
        "sampler": {"create": {"_target_": TARGETS.get(sampler, TARGETS["random"])}},
        "pruner": {"name": None},
    }
    lost = ~np.isfinite(values)
    trials = pd.DataFrame(
        {
            "optimizer": optimizer, "trial": range(len(values)), "seed": range(len(values)),
            "state": "complete", "diverged": lost, "value": np.where(lost, 1e30, values),
            "objective": "test/loss", "direction": "minimize", "learning_rate": 0.1, "task": "regression",
            "protocol": protocol, "sampler": sampler, "config": json.dumps(config), "epochs": 2,
            "best_epoch": 1, "seconds": 0.1, "finished": "2026-01-01T00:00:00+00:00", "provenance": "{}",
        }
    )  # fmt: skip
    return Records(trials, pd.DataFrame())


def noise(seed: int, size: int = 60) -> np.ndarray:
    return np.random.default_rng(seed).normal(1.0, 0.2, size)


def test_of_fixed_settings_the_same_seeds_are_compared() -> None:
    base = noise(0)
    changed = base + 0.05 + 0.01 * np.random.default_rng(1).normal(size=base.size)
    row = deviations.effects(study("paper", "fixed", base), study("paper_x", "fixed", changed), 10).iloc[0]
    assert row["difference"] == pytest.approx((changed - base).mean())
    assert 0.04 < row["low"] < 0.05 < row["high"] < 0.06  # of pairs: the values themselves spread by 0.2
    assert row["trials"] == 60


def test_a_seed_that_diverged_under_either_is_left_out_of_both() -> None:
    base, changed = noise(0), noise(0)
    base[3] = changed[7] = np.inf
    row = deviations.effects(study("paper", "fixed", base), study("paper_x", "fixed", changed), 10).iloc[0]
    assert (row["difference"], row["trials"]) == (0, 58)
    assert (row["lost"], row["lost_changed"]) == (1, 1)
    changed[8] = np.inf
    studies = {"paper": study("paper", "fixed", base), "paper_x": study("paper_x", "fixed", changed)}
    table = deviations.deviations_table("regression", studies, n=10)
    assert (
        "or was pruned (ADAM 1 without and 2 with the change: what paper_x changes); pruned" in table.notes[0]
    )


def test_of_random_search_the_best_of_the_same_draws_are() -> None:
    base = noise(0)
    row = deviations.effects(study("paper", "random", base), study("paper_x", "random", 2 * base), 10).iloc[0]
    best = np.sort(base)[:10].mean()
    assert row["base"] == pytest.approx(best)
    assert row["difference"] == pytest.approx(best)
    assert 0 < row["low"] < row["high"]


def test_a_search_that_adapts_has_no_pairs() -> None:
    assert deviations.effects(study("paper", "tpe", noise(0)), study("paper_x", "tpe", noise(1)), 10).empty


def test_every_change_on_record_is_in_the_table_and_others_are_not() -> None:
    known = [
        study("paper", "fixed", noise(0)),
        study("paper", "random", noise(1)),
        study("paper_x", "fixed", noise(2)),
        study("paper_y", "random", noise(3)),
        study("paper_z", "tpe", noise(4)),
    ]
    table = deviations.deviations_table("regression", {str(k): each for k, each in enumerate(known)}, n=10)
    assert table is not None
    assert table.data["changes"].tolist() == ["what paper_x changes", "what paper_y changes"]
    assert table.cells["Based on"].tolist() == ["60 seeds", "best 10 of 60"]
    assert deviations.deviations_table("regression", {"": known[0]}, n=10) is None


def test_a_change_that_says_not_what_it_is_has_the_name_of_its_protocol() -> None:
    unchanged, changed = study("fair", "random", noise(0)), study("fair_x", "random", noise(1))
    undescribed = changed.trials.assign(
        config=changed.trials["config"].str.replace(', "changes": "what fair_x changes"', "")
    )
    ours = {"": unchanged, "x": changed._replace(trials=undescribed)}
    table = deviations.deviations_table("regression", ours, n=10)
    assert table is not None
    assert table.data["changes"].tolist() == ["fair_x"]


def test_the_report_finds_the_changes_of_its_protocol(tmp_path) -> None:
    for protocol in ("paper", "paper_x", "fair"):
        made = study(protocol, "random", noise(0)).trials
        store = RecordStore(StudyKey(protocol, "regression", "random", "adam").directory(tmp_path))
        for row in made.drop(columns="optimizer").assign(optimizer="adam").to_dict("records"):
            curve = {"epoch": np.arange(2), "seconds": np.ones(2), "test/loss": np.ones(2, np.float32)}
            store.append([row], [curve])
    names = [stem.name for stem, _ in making.make("tables", "regression", results=tmp_path)]
    assert "paper-regression-deviations" in names
    names = [stem.name for stem, _ in making.make("tables", "regression", protocol="fair", results=tmp_path)]
    assert "fair-regression-deviations" not in names
