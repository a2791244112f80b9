"""Winners of searches trained again: from whose seeds, with which settings, judged by what."""

import json
import sys
import types

import numpy as np
import optax
import pytest

import induced_metric
from induced_metric import records
from induced_metric.records import CONFIRMED, WITHOUT, RecordStore, StudyKey

pytestmark = pytest.mark.slow

TRIALS, SEEDS = 5, 4
SETTINGS = [
    "protocol=fair",
    "task.train_examples=64",
    "task.test_examples=32",
    "task.fresh_examples=48",
    "task.batch_size=16",
    "task.widths=[4,1]",
    "task.epochs=6",
    "lanes.devices=2",
    "search_space.learning_rate.high=1e-3",  # where nothing diverges
]
CONFIRM = ["sampler=confirmed", "sampler.of=random", f"sampler.searched={TRIALS}", "studies=2"]


@pytest.fixture
def sweep(here):
    def run(results, *arguments):
        done = here("sweeps/sweep.py", *SETTINGS, f"results={results}", *arguments)
        return done.returncode, done.stderr.strip()

    return run


def search(sweep, results, *arguments):
    assert sweep(results, "sampler=random", f"trials={TRIALS}", "studies=2", *arguments) == (0, "")


def load(results, sampler):
    return records.load("regression", protocol="fair", sampler=sampler, results=results)


def test_winners_are_trained_again_from_seeds_that_all_share(tmp_path, sweep):
    search(sweep, tmp_path, "optimizer=adamw,sgd")
    assert sweep(tmp_path, "optimizer=adamw,sgd", *CONFIRM, f"trials={SEEDS}") == (0, "")
    names = records.confirmations("regression", protocol="fair", results=tmp_path)
    assert names == [f"random{CONFIRMED}", f"random-seed1{CONFIRMED}"]
    seeds = set()
    for name in names:
        trials, curves = load(tmp_path, name)
        chosen_from, their_curves = load(tmp_path, name.removesuffix(CONFIRMED))
        assert {column.split("/")[0] for column in their_curves if "/" in column} == {"train", "validation"}
        for optimizer, own in trials.groupby("optimizer"):
            seeds.add(tuple(own["seed"]))
            assert not set(own["seed"]) & set(chosen_from["seed"])
            theirs = chosen_from[chosen_from["optimizer"] == optimizer]
            best = theirs.loc[theirs["value"].idxmin()]
            for column in ("learning_rate", "weight_decay"):
                assert (own[column] == best[column]).all()
            source = json.loads(own["config"].iloc[0])["source"]
            assert source == {
                "sampler": name.removesuffix(CONFIRMED), "trial": best["trial"], "value": best["value"]
            }  # fmt: skip
            # The value is that of the test split where the validation split was at its best.
            assert set(own["objective"]) == {"test/loss"}
            for row in own.itertuples():
                curve = curves[(curves["optimizer"] == optimizer) & (curves["trial"] == row.trial)]
                at = int(np.argmin(curve["validation/loss"]))
                assert (row.best_epoch, row.value) == (at, curve["test/loss"].iloc[at])
    assert len(seeds) == 1
    # More seeds continue it, as more trials continue any study.
    before, _ = load(tmp_path, names[0])
    assert sweep(tmp_path, "optimizer=sgd", *CONFIRM, f"trials={SEEDS + 2}") == (0, "")
    after, _ = load(tmp_path, names[0])
    assert after.groupby("optimizer").size().tolist() == [SEEDS, SEEDS + 2]
    kept = after[after["trial"] < SEEDS].reset_index(drop=True)
    assert kept["value"].tolist() == before["value"].tolist()


def test_winners_are_trained_again_without_a_hyperparameter_from_the_same_seeds(tmp_path, sweep):
    confirm = ["optimizer=sgd_metric", *CONFIRM, f"trials={SEEDS}"]
    for arguments, sentence in [
        (["optimizer=sgd"], "sampler.without=xi is not a hyperparameter of sgd, which has learning_rate, mo"),
        ([], f"fair-regression-random-sgd_metric has 0 of its {TRIALS} trials"),
    ]:
        code, said = sweep(tmp_path, *confirm, "sampler.without=xi", *arguments)
        assert (code, sentence in said) == (2, True), said
    search(sweep, tmp_path, "optimizer=sgd_metric")
    assert sweep(tmp_path, *confirm, "sampler.without=xi") == (0, "")
    plain = [f"random{CONFIRMED}", f"random-seed1{CONFIRMED}"]
    reduced = [f"{name}{WITHOUT}xi" for name in plain]
    place = {"protocol": "fair", "results": tmp_path}
    assert records.confirmations("regression", **place) == []
    # Neither is a study of the other, whichever was first.
    assert sweep(tmp_path, *confirm) == (0, "")
    assert records.confirmations("regression", **place) == plain
    assert records.ablations("regression", **place) == reduced
    assert records.searches("regression", **place) == ["random", "random-seed1"]
    for name, other in zip(plain, reduced, strict=True):
        ours, theirs = (load(tmp_path, each).trials for each in (name, other))
        assert (ours["xi"] > 0).all()
        assert (theirs["xi"] == 0).all()
        for column in ("seed", "learning_rate", "momentum", "beta", "weight_decay", "objective"):
            assert ours[column].tolist() == theirs[column].tolist()
        assert (ours["value"] != theirs["value"]).any()
        source, again = (json.loads(trials["config"].iloc[0])["source"] for trials in (ours, theirs))
        assert source == again


def test_a_winner_is_trained_again_only_by_the_code_of_its_search(tmp_path, sweep, monkeypatch):
    mine = types.ModuleType("mine")
    monkeypatch.setitem(sys.modules, "mine", mine)
    # A searched setting of the task makes a task of its own for every value.
    batch_size = "+search_space.task.batch_size={choices: [8, 16]}"
    chosen = ["optimizer=sgd", "optimizer._target_=mine.make", "seed=5", batch_size]

    def make(learning_rate, momentum, weight_decay):
        return induced_metric.sgd(learning_rate, momentum, weight_decay=weight_decay)

    def edited(learning_rate, momentum, weight_decay):
        return optax.chain(make(learning_rate, momentum, weight_decay), optax.clip(1.0))

    mine.make = make
    search(sweep, tmp_path, *chosen)
    mine.make = edited
    code, said = sweep(tmp_path, *chosen, *CONFIRM, "trials=2")
    assert code == 2
    assert "fair-regression-random-sgd was begun with other code" in said
    assert said.endswith("go back to that code, or search again under another name")
    mine.make = make
    assert sweep(tmp_path, *chosen, *CONFIRM, "trials=2") == (0, "")


@pytest.mark.exhaustive
def test_what_is_not_the_winner_of_a_finished_search_of_this_pairing_is_refused(tmp_path, sweep):
    confirm = ["optimizer=sgd", *CONFIRM, "trials=2"]
    search(sweep, tmp_path, "optimizer=sgd")
    for arguments, sentence in [
        (
            [f"sampler.searched={TRIALS + 1}"],
            f"fair-regression-random-sgd has {TRIALS} of its {TRIALS + 1} tr",
        ),
        (["sampler.of=tpe"], f"fair-regression-tpe-sgd has 0 of its {TRIALS} trials"),
        (["task.batch_size=32"], "begun with another configuration (task.batch_size: 16 -> 32)"),
        # The seeds of a search are those of its own seed.
        (["sampler.seed=1"], "gives trial 0 a seed that fair-regression-random-seed1-sgd used"),
    ]:
        code, said = sweep(tmp_path, *confirm, *arguments)
        assert (code, sentence in said) == (2, True), said
    assert sweep(tmp_path, *confirm) == (0, "")
    other, winner = with_another_winner(tmp_path)
    code, said = sweep(tmp_path, *confirm)
    assert (code, f"confirms trial {winner} of a search whose winner is now trial {other}" in said) == (
        2,
        True,
    ), said


@pytest.mark.exhaustive
def test_a_hyperparameter_that_cannot_be_0_is_refused(tmp_path, sweep):
    search(sweep, tmp_path, "optimizer=sgd_metric_power")
    for optimizer, name, sentence in [
        ("sgd_metric_power", "embedding.p", "embedding.p cannot be 0 with sgd_metric_power: p must be > 0"),
        (
            "sgd_metric_power",
            "task.epochs",
            "task.epochs is not a hyperparameter of sgd_metric_power, which has",
        ),
        ("adamw_metric", "embedding.height", "embedding.height cannot be 0 with adamw_metric: it was chosen"),
    ]:
        heights = ["++search_space.embedding.height.choices=[log,sqrt]"] * (name == "embedding.height")
        code, said = sweep(
            tmp_path, *CONFIRM, f"optimizer={optimizer}", "trials=2", f"sampler.without={name}", *heights
        )
        assert (code, f"sampler.without={sentence}" in said) == (2, True), said


def with_another_winner(results):
    """Changes the first study: the number of the trial that is best by now, and of that before."""
    store = RecordStore(StudyKey("fair", "regression", "random", "sgd").directory(results))
    trials, curves = store.read()
    winner = int(trials.loc[trials["value"].idxmin(), "trial"])
    other = (winner + 1) % TRIALS
    trials.loc[trials["trial"] == other, "value"] = 1e-9
    for path in store.directory.glob("*.parquet"):
        path.unlink()
    by_trial = dict(iter(curves.groupby("trial")))
    rows = trials.to_dict("records")
    store.append(rows, [by_trial[row["trial"]].drop(columns="trial").to_dict("list") for row in rows])
    return other, winner
