"""A candidate is compared with what is on record, if the rules were the same."""

import shutil

import pytest
from tuned import SPACE, write

from induced_metric.analysis import compare
from induced_metric.errors import UserError
from induced_metric.records import CONFIRMED, WITHOUT
from induced_metric.space import Float
from induced_metric.studies.compatibility import differences

PLANNED = {
    "protocol": {"name": "fair"},
    "task": {"name": "regression", "epochs": 4},
    "sampler": {"create": {"_target_": "optuna.samplers.TPESampler", "n_startup_trials": 2}, "in_flight": 1},
    "optimizer": {"_target_": "optax.lion"},
    "search_space": {"b1": SPACE["beta1"]},
    "seed": 0,
}
RATE = {"learning_rate": Float(**SPACE["learning_rate"])}


def read(mine, baselines, candidates=("lion",), against=("adamw", "sgd"), task="regression"):
    return compare.read(
        task,
        list(candidates),
        list(against),
        protocol="fair",
        results=mine,
        baselines=baselines,
        differences=differences,
    )


def test_candidates_stand_beside_the_baselines_and_are_paired_with_them_alone(mine, baselines) -> None:
    found = read(mine, baselines)
    assert found.pairs == [("lion", "adamw"), ("lion", "sgd")]
    assert list(found.searches) == ["tpe", "tpe-seed1"]
    assert list(found.confirmations) == [name + CONFIRMED for name in found.searches]
    for records in (*found.searches.values(), *found.confirmations.values()):
        assert (
            set(records.trials["optimizer"]) == set(records.curves["optimizer"]) == {"lion", "adamw", "sgd"}
        )
    for records in found.confirmations.values():  # of the baselines there are 20
        assert (records.trials.groupby("optimizer")["seed"].nunique() == 15).all()
        assert (records.curves.groupby("optimizer")["trial"].nunique() == 15).all()
    assert found.remarks == [
        "Only the seeds that all optimisers have are compared. Seeds per study: ADAMW 20, SGD 20, LION 15. "
        "SEEDS=20 trains more."
    ]


def test_winners_without_a_hyperparameter_are_no_part_of_it(mine, baselines) -> None:
    before = read(mine, baselines)
    for sampler in ("tpe", "tpe-seed1"):
        write(baselines, "adamw", f"{sampler}{CONFIRMED}{WITHOUT}xi", 20)
    found = read(mine, baselines)
    assert list(found.searches) == list(before.searches)
    assert list(found.confirmations) == list(before.confirmations)


def test_a_candidate_that_is_a_baseline_too_is_judged_by_its_own_records(baselines, tmp_path) -> None:
    for sampler in ("tpe", "tpe-seed1"):
        write(tmp_path / "again", "adamw", sampler, 12, rate=0.5)
        write(tmp_path / "again", "adamw", sampler + CONFIRMED, 15)
    found = read(tmp_path / "again", baselines, candidates=["adamw"])
    assert found.pairs == [("adamw", "sgd")]
    trials = found.searches["tpe"].trials
    assert (trials.loc[trials["optimizer"] == "adamw", "learning_rate"] == 0.5).all()
    with pytest.raises(UserError, match=r"adamw would be compared only with itself"):
        read(tmp_path / "again", baselines, candidates=["adamw"], against=["adamw"])


def test_what_was_trained_under_other_rules_is_refused_with_the_difference(mine, baselines) -> None:
    write(mine, "sgd", "tpe", 12, epochs=3)
    write(mine, "sgd", f"tpe{CONFIRMED}", 15, epochs=3)
    with pytest.raises(
        UserError, match=r"SGD cannot be compared with the baselines, .*: task.epochs: 4 -> 3"
    ):
        read(mine, baselines, candidates=["sgd"], against=["adamw"])


def test_before_anything_is_trained_the_planned_configuration_is_compared(baselines) -> None:
    def check(space=RATE, **changed):
        return compare.check_planned(
            "regression",
            {"lion": PLANNED | changed},
            {"lion": space},
            ["adamw", "sgd"],
            protocol="fair",
            baselines=baselines,
            differences=differences,
        )

    assert check() == []
    (finding,) = check(space={"learning_rate": Float(low=0.01, high=0.1)})
    assert finding.found == "the range of the learning rate differs between optimisers"
    assert "LION 0.01 to 0.1" in finding.numbers
    check(optimizer={"_target_": "my_package.mine"}, search_space={})
    with pytest.raises(UserError, match=r"LION cannot be compared .*: seed: 0 -> 7"):
        check(seed=7)
    with pytest.raises(UserError, match=r"sampler.in_flight: 1 -> absent"):
        check(sampler={"create": PLANNED["sampler"]["create"]})


def test_what_is_missing_is_said_with_what_there_is(mine, baselines) -> None:
    with pytest.raises(
        UserError,
        match=r"no confirmed baselines of mnist .*; tasks with confirmed baselines: regression; make fair",
    ):
        read(mine, baselines, task="mnist")
    with pytest.raises(
        UserError, match=r"no records of muon .*there are: adamw, sgd.*AGAINST must name baselines on record"
    ):
        read(mine, baselines, against=["muon"])
    with pytest.raises(
        UserError, match=r'no records of yogi .*there are: lion .*OPTIMIZERS="yogi" makes them'
    ):
        read(mine, baselines, candidates=["yogi"])
    shutil.rmtree(baselines)
    with pytest.raises(UserError, match=r"tasks with confirmed baselines: none"):
        read(mine, baselines)


def test_other_budgets_are_compared_and_said(mine, baselines, tmp_path) -> None:
    write(tmp_path / "short", "lion", "tpe", 5)
    write(tmp_path / "short", "lion", f"tpe{CONFIRMED}", 15)
    unequal, fewer, _ = read(tmp_path / "short", baselines).remarks
    assert unequal.endswith("Trials per study: LION 5, ADAMW 12, SGD 12.")
    assert fewer.startswith("Only 1 of the 2 studies of the baselines are compared")
