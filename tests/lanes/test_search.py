"""Any JAX program under Optuna."""

import jax.numpy as jnp
import optuna
import pytest

from induced_metric import lanes as package
from induced_metric.lanes import Lanes

SPACE = {"rate": optuna.distributions.FloatDistribution(0.0, 2.0)}


def advance(x, h):
    x = x - h["rate"] * x  # falls for rates below 2, fastest at 1
    return x, {"loss": jnp.where(h["rate"] > h["wall"], jnp.nan, jnp.abs(x))}


@pytest.fixture(scope="module")
def lanes():
    with Lanes(
        lambda h, seed: jnp.float32(8.0), advance, hyperparameters=["rate", "wall"], steps_per_dispatch=2
    ) as lanes:
        yield lanes


def run(study, lanes, wall=3.0, trials=30):
    package.search(
        study,
        lanes,
        SPACE,
        value=lambda metrics: metrics["loss"],
        steps=6,
        trials=trials,
        fixed={"wall": wall},
    )
    return study.get_trials()


def test_the_value_is_the_last_steps(lanes):
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=0), pruner=optuna.pruners.NopPruner())
    trials = run(study, lanes)
    assert len(trials) == 30
    for trial in trials:
        assert trial.value == pytest.approx(8 * abs(1 - trial.params["rate"]) ** 6, rel=1e-3, abs=1e-6)
    assert study.best_params["rate"] == pytest.approx(1, abs=0.3)


def test_a_second_search_goes_on_with_the_study(lanes):
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    run(study, lanes, trials=5)
    assert [trial.number for trial in run(study, lanes, trials=4)] == list(range(9))


def test_what_is_not_finite_failed_and_the_worse_are_pruned(lanes):
    study = optuna.create_study(
        sampler=optuna.samplers.RandomSampler(seed=1),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=8, n_warmup_steps=2),
    )
    trials = run(study, lanes, wall=1.5, trials=60)
    states = {state.name: [t for t in trials if t.state == state] for state in optuna.trial.TrialState}
    assert all(trial.params["rate"] > 1.5 for trial in states["FAIL"])
    assert all(trial.params["rate"] <= 1.5 for trial in states["COMPLETE"] + states["PRUNED"])
    assert min(map(len, (states["FAIL"], states["COMPLETE"], states["PRUNED"]))) >= 3
    worst = max(abs(1 - trial.params["rate"]) for trial in states["PRUNED"])
    assert worst > max(abs(1 - trial.params["rate"]) for trial in states["COMPLETE"][10:])


def test_values_for_which_there_is_no_program_fail_and_the_others_complete():
    def begun(h, seed):
        return jnp.zeros((2, 3) if h["shape"] == "plain" else (2, -1))

    space = {**SPACE, "shape": optuna.distributions.CategoricalDistribution(["plain", "impossible"])}
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    with Lanes(
        begun,
        lambda x, h: (x, {"loss": h["rate"] + x.sum()}),
        hyperparameters=["rate"],
        static=["shape"],
        steps_per_dispatch=2,
    ) as lanes:
        package.search(study, lanes, space, value=lambda metrics: metrics["loss"], steps=4, trials=12)
    states = {(trial.params["shape"], trial.state.name) for trial in study.get_trials()}
    assert states == {("plain", "COMPLETE"), ("impossible", "FAIL")}
