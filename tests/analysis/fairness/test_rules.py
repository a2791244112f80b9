"""Each rule fires on what is planted for it, and none does without."""

import pandas as pd
import pytest
from planted import OPTIMIZERS, compared, study

from induced_metric.analysis.fairness import RULES, lint
from induced_metric.analysis.fairness.comparison import Study
from induced_metric.analysis.fairness.spaces import role

PAPER = ("protocol=paper", "task=regression")


def found(comparison) -> dict[str, str]:
    """What was found, with its numbers, by rule."""
    table = lint(comparison)
    return {rule: " | ".join(own["found"] + ": " + own["numbers"]) for rule, own in table.groupby("rule")}


def test_a_fair_comparison_lints_clean() -> None:
    assert found(compared()) == {}


def space(**ranges):
    def change(config):
        config["search_space"] |= ranges

    return change


def late(optimizer="sgd"):
    return study(optimizer, best_epoch=199)


def at_the_upper_bound():
    trials = study("sgd_metric")
    best = trials["value"].nsmallest(10).index[:6]
    trials.loc[best, "learning_rate"] = 99.0
    return trials


def piled_up(pruner="successive_halving"):
    trials = study("adamw", settings=("protocol=fair", "task=regression", f"pruner={pruner}"))
    best = trials["value"].nsmallest(10).index[:6]
    trials.loc[best, "best_epoch"] = 59
    return trials


def some(column, value, optimizer="sgd", number=3, **columns):
    trials = study(optimizer, **columns)
    trials.loc[trials["value"].nlargest(number).index, column] = value
    return trials


def loaded():
    trials = study("muon")
    return trials.assign(seconds=trials["seconds"].where(trials.index % 2 == 0, 2 * trials["seconds"]))


NESTEROV = {"_target_": "induced_metric.optimizers.descend", "direction": {"_target_": "optax.trace"}}
PLANTED = {
    "a narrower range": (
        {"sgd_rms": study("sgd_rms", change=space(learning_rate={"low": 1e-5, "high": 1.0, "log": True}))},
        {
            "unequal spaces": "SGD_RMS 1e-05 to 1 (log)",
            "not nested": "learning_rate from 1e-05 to 100: only 1e-05 to 1 is searched",
        },
    ),
    "another range of integers": (
        {
            name: study(name, change=space(hidden=given), hidden=16)
            for name, given in {
                "adamw": {"type": "int", "low": 8, "high": 64, "step": 8},
                "muon": {"type": "int", "low": 8, "high": 128, "log": True},
                "sgd": {"choices": [16, None]},
            }.items()
        },
        {"unequal spaces": "ADAMW 8 to 64 in steps of 8; MUON 8 to 128 (log); SGD one of 16, null"},
    ),
    "no xi of 0": (
        {"sgd_metric": study("sgd_metric", change=space(xi={"low": 1e-3, "high": 1e4, "log": True}))},
        {
            "unequal spaces": "SGD_METRIC 0.001 to 10000",
            "not nested": "does not contain SGD, which SGD_METRIC extends: xi of 0: the least is 0.001",
        },
    ),
    "no weight decay": (
        {"adamw": study("adamw", weight_decay=float("nan"))},
        {"unequal spaces": "not for: ADAMW"},
    ),
    "the best at a bound": (
        {"sgd_metric": at_the_upper_bound()},
        {"bound": "SGD_METRIC learning_rate 100 (6 of 10)"},
    ),
    "an average of gradients": (
        {"sgd_metric": study("sgd_metric", change=lambda c: c["optimizer"].update(heavy_ball=False))},
        {"momentum": "momentum is a sum of gradients in SGD, SGD_LOG_METRIC, an average in SGD_METRIC"},
    ),
    "a trace of gradients, and an average": (
        {
            "sgd": study("sgd", change=lambda c: c["optimizer"].update(NESTEROV)),
            "sgd_metric": study("sgd_metric", change=lambda c: c["optimizer"].update(heavy_ball=False)),
        },
        {"momentum": "momentum is a sum of gradients in SGD, SGD_LOG_METRIC, an average in SGD_METRIC"},
    ),
    "fewer trials": ({"muon": study("muon", trials=30)}, {"budget": "MUON 30"}),
    "fewer epochs": (
        {"muon": study("muon", change=lambda c: c["task"].update(epochs=150))},
        {"budget": "MUON 150"},
    ),
    "still improving": ({"sgd": late()}, {"last epoch": "SGD 100% of the best"}),
    "stopped early": ({"sgd": some("state", "pruned")}, {"early stopping": "SGD 8%"}),
    "best epochs before a rung": (
        {"adamw": piled_up()},
        {"early stopping": "ADAMW: best epochs pile up just before the rungs"},
    ),
    "diverged": ({"sgd": some("diverged", True)}, {"lost trials": "SGD 3 of 40"}),
    "load": ({"muon": loaded()}, {"load": "MUON 2."}),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_rule_finds_what_is_planted_and_no_other_finds_anything(name) -> None:
    changed, expected = PLANTED[name]
    table = found(compared(changed))
    assert table.keys() == expected.keys()
    for rule, words in expected.items():
        assert words in table[rule]


def test_a_study_without_early_stopping_has_no_rungs_before_which_best_epochs_pile_up() -> None:
    assert found(compared({"adamw": piled_up("none")})) == {}


def test_a_test_split_that_selects_is_found() -> None:
    table = found(compared(settings=PAPER))
    assert "the test split, which is reported, also chose" in table["selection"]
    assert "SGD 0.1 to 0.99" in table["unequal spaces"]
    assert "100 times at 0.99" in table["momentum"]


def test_a_search_that_ends_with_its_start_up_is_found() -> None:
    assert found(compared(sampler="tpe", trials=17)) == {}
    table = found(compared(sampler="tpe", trials=16))
    assert list(table) == ["random draws"]
    assert "16 trials: 10 start-up trials and 8 in flight" in table["random draws"]


def accuracies(task, **changed):
    """Studies of an accuracy task with these means, else a twentieth apart."""
    apart = dict(zip(OPTIMIZERS, (0.95, 0.9, 0.85, 0.8, 0.75, 0.7), strict=True)) | changed
    settings = ("protocol=fair", f"task={task}")
    return {name: study(name, settings=settings, value=value) for name, value in apart.items()}


@pytest.mark.slow
def test_differences_below_the_error_of_an_accuracy_are_found() -> None:
    assert found(compared(accuracies("mnist_small"), task="mnist_small")) == {}
    # One standard error of 0.95 on 8,192 examples is 0.0024.
    table = found(compared(accuracies("mnist_small", muon=0.945), task="mnist_small"))
    assert list(table) == ["sampling error"]
    assert "1 of 15 pairs" in table["sampling error"]
    assert "on 8,192 examples" in table["sampling error"]
    assert found(compared(accuracies("mnist_small", muon=0.943), task="mnist_small")) == {}


@pytest.mark.slow
def test_an_optimiser_of_which_every_trial_diverged_has_no_sampling_error() -> None:
    changed = accuracies("mnist_small", muon=0.945)
    table = found(compared(changed | {"sgd": changed["sgd"].assign(diverged=True)}, task="mnist_small"))
    assert "1 of 10 pairs" in table["sampling error"]
    assert "nan" not in table["sampling error"]


def test_best_runs_nearer_than_two_seeds_are_found() -> None:
    spread = {"adamw": 0.3, "sgd": 0.4}
    changed = {"adamw": study("adamw", value=0.2), "sgd": study("sgd", value=0.69)}
    assert "1 of 1 pairs" in found(compared(changed, spread=spread))["sampling error"]
    apart = {"adamw": study("adamw", value=0.2), "sgd": study("sgd", value=0.71)}
    assert found(compared(apart, spread=spread)) == {}


def test_a_network_that_is_not_muons_is_found() -> None:
    changed = accuracies("cifar10_small")
    table = found(compared(changed, task="cifar10_small"))
    assert "Muon updates 1.590% of 20,122 parameters" in table["Muon's share"]
    # Of another network nothing is known.
    settings = ("protocol=fair", "task=cifar10_small")
    other = study("muon", settings=settings, value=0.9, change=lambda c: c["task"].update(widths=[4]))
    table = found(compared(changed | {"muon": other}, task="cifar10_small"))
    assert "not on record" in table["Muon's share"]


def test_confirmations_are_not_linted_as_a_search() -> None:
    changed = {
        name: study(name).assign(sampler="tpe-confirmed", objective="test/loss", best_epoch=199)
        for name in OPTIMIZERS
    }
    assert found(compared(changed)) == {}
    fixed = {name: study(name, settings=PAPER).assign(sampler="fixed") for name in OPTIMIZERS}
    table = found(compared(fixed))
    assert list(table) == ["momentum", "selection"]
    assert "also chose the epoch of each value" in table["selection"]


def test_every_rule_has_a_plant() -> None:
    elsewhere = {"selection", "random draws", "sampling error", "Muon's share"}
    planted = {rule for _, expected in PLANTED.values() for rule in expected}
    assert planted | elsewhere == {rule.name for rule in RULES}


@pytest.mark.parametrize(
    ("target", "name", "does"),
    [
        ("optax.lion", "b1", "the first momentum"),
        ("induced_metric.optimizers.descend", "direction.b2", "the second momentum"),
        ("optax.contrib.prodigy", "betas.b1", "the first momentum"),
        ("optax.adan", "b2", "the first momentum"),
        ("induced_metric.muon", "beta", "the first momentum"),
        ("induced_metric.sgd_metric", "beta", "the average of the metric"),
        ("optax.adafactor", "weight_decay_rate", "weight decay"),
        ("induced_metric.sgd_metric", "embedding.p", "embedding.p"),
    ],
)
def test_what_a_hyperparameter_does_is_known_by_the_names_that_optax_gives_it(target, name, does) -> None:
    assert role(made_by(_target_=target), name) == does


@pytest.mark.parametrize(("target", "does"), [("trace", "first"), ("scale_by_rms", "second")])
def test_what_a_decay_averages_depends_on_the_direction_that_has_it(target, does) -> None:
    mine = made_by(_target_="induced_metric.optimizers.descend", direction={"_target_": f"optax.{target}"})
    assert role(mine, "direction.decay") == f"the {does} momentum"


def made_by(**optimizer) -> Study:
    none = pd.DataFrame()
    return Study("mine", {"optimizer": optimizer}, {}, none, none, 0.0, 1)
