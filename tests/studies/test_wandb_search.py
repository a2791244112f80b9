"""The published search: what its sampler proposes and whom its pruner stops."""

import copy
import functools
from pathlib import Path

import hydra
import numpy as np
import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from optuna.distributions import FloatDistribution, IntDistribution
from optuna.trial import TrialState, create_trial

from induced_metric.errors import UserError
from induced_metric.studies.wandb_hyperband import WandbHyperbandPruner
from induced_metric.studies.wandb_search import WandbBayesSampler

DIVERGED = float(np.finfo(np.float32).max)
CONF = Path(__file__).parents[2] / "conf"
NUMBERS = dict(OmegaConf.load(CONF / "sampler" / "wandb_bayes.yaml").create)
NUMBERS = {name: value for name, value in NUMBERS.items() if not name.startswith("_")}
SPACE = {"x": FloatDistribution(-2.0, 3.0), "lr": FloatDistribution(1e-5, 1.0, log=True)}
STATES = [TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.RUNNING]


def bowl(params):
    return (params["x"] - 0.5) ** 2 + (np.log10(params["lr"]) + 2) ** 2


def trial(params, value=None, state=TrialState.COMPLETE, reports=None):
    return create_trial(
        state=state,
        value=value if state is TrialState.COMPLETE else None,
        params=params,
        distributions=SPACE if params else {},
        intermediate_values=reports or {},
    )


def points(n, seed=0):
    rng = np.random.default_rng(seed)
    return [{"x": rng.uniform(-2, 3), "lr": 10 ** rng.uniform(-5, 0)} for _ in range(n)]


def study_of(trials, direction="minimize"):
    study = optuna.create_study(direction=direction)
    study.add_trials(trials)
    return study


def propose(study, seed=0, space=SPACE, **options):
    study = copy.deepcopy(study)
    study.sampler = WandbBayesSampler(seed=seed, **{**NUMBERS, **options})
    return study.ask(dict(space)).params


def bowl_study(n, direction="minimize", sign=1, seed=0):
    return study_of([trial(p, sign * bowl(p)) for p in points(n, seed)], direction)


def unit(params):
    return np.array([(params["x"] + 2) / 5, (np.log10(params["lr"]) + 5) / 5])


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 12), st.integers(0, 2**32 - 1), st.floats(1e-8, 1.0), st.floats(1.5, 1e6))
def test_proposals_lie_in_the_space(n, seed, low, factor):
    space = {"x": FloatDistribution(-low, low * factor), "lr": FloatDistribution(low, low * factor, log=True)}
    study = optuna.create_study(sampler=WandbBayesSampler(seed=seed, **NUMBERS))
    for k in range(n + 1):
        params = study.ask(space).params
        assert all(space[name].low <= value <= space[name].high for name, value in params.items())
        study.tell(k, np.sin(1e3 * k))


def test_a_proposal_follows_from_seed_and_history():
    study = bowl_study(12)
    assert propose(study) == propose(study)
    assert propose(study) != propose(study, seed=1)
    assert propose(study) != propose(bowl_study(12, sign=-1))


def test_before_two_trials_have_finished_proposals_are_uniform():
    rng = np.random.default_rng(7)
    params = points(1)[0]
    expected = rng.random(2)
    for n in (0, 1):
        found = unit(propose(study_of([trial(params, 1.0)] * n), seed=7))
        np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.slow
def test_it_beats_random_search_at_equal_trials():
    def best(create, seed):
        study = optuna.create_study()
        for k in range(30):
            study.sampler = create(seed=100 * seed + k)
            asked = study.ask(SPACE)
            study.tell(asked, bowl(asked.params))
        return study.best_value

    ours = np.median([best(functools.partial(WandbBayesSampler, **NUMBERS), seed) for seed in range(3)])
    assert ours < 0.2 * np.median([best(optuna.samplers.RandomSampler, seed) for seed in range(3)])


@pytest.mark.parametrize("stopped", ["worst", "value"])
def test_maximising_mirrors_minimising(stopped):
    def study(direction, sign):
        ps = points(9)
        trials = [trial(p, sign * bowl(p)) for p in ps[:6]]
        trials.append(trial(ps[6], sign * DIVERGED))
        trials.append(trial(ps[7], state=TrialState.PRUNED, reports={20: sign * 5.0, 40: sign * 4.0}))
        trials.append(trial(ps[8], state=TrialState.RUNNING))
        return study_of(trials, direction)

    assert propose(study("minimize", 1), stopped=stopped) == propose(study("maximize", -1), stopped=stopped)


@pytest.mark.parametrize(
    "bad",
    [
        {"value": DIVERGED},
        {"value": np.inf},
        {"state": TrialState.FAIL},
        {"state": TrialState.PRUNED, "reports": {20: 0.1}},
    ],
)
def test_diverged_failed_and_stopped_trials_count_with_the_worst_of_the_others(bad):
    ps = points(9)
    others = [trial(p, bowl(p)) for p in ps[:8]]
    worst = max(bowl(p) for p in ps[:8])
    found = propose(study_of([*others, trial(ps[8], **bad)]))
    assert found == propose(study_of([*others, trial(ps[8], worst)]))
    assert found != propose(study_of([*others, trial(ps[8], worst / 2)]))


def test_what_a_stopped_trial_reported_can_be_the_worst():
    ps = points(8)
    others = [trial(p, bowl(p)) for p in ps[:7]]
    stopped = trial(ps[7], state=TrialState.PRUNED, reports={20: 99.0, 40: 1.0})
    assert propose(study_of([*others, stopped])) == propose(study_of([*others, trial(ps[7], 99.0)]))


def test_a_stopped_trial_can_count_with_its_best_report():
    ps = points(8)
    others = [trial(p, bowl(p)) for p in ps[:7]]
    stopped = trial(ps[7], state=TrialState.PRUNED, reports={20: 3.0, 40: 2.0})
    expected = propose(study_of([*others, trial(ps[7], 2.0)]), stopped="value")
    assert propose(study_of([*others, stopped]), stopped="value") == expected


@pytest.mark.parametrize("history", range(3))
def test_running_trials_push_proposals_away(history):
    # Few points: what is proposed is the unknown, not a place predicted to be better than the best so far,
    # which stays the best to try also while it is being tried.
    study = bowl_study(6, seed=history)
    first = propose(study)
    study.add_trial(trial(first, state=TrialState.RUNNING))
    assert np.linalg.norm(unit(first) - unit(propose(study))) > 0.05


def test_a_kernel_at_its_bound_gives_one_of_the_points_at_random():
    study = study_of([trial(p, 1.0) for p in points(6)])  # constant values: no length scale is too long
    rng = np.random.default_rng(5)
    candidates = rng.random((1000, 2))
    expected = candidates[rng.integers(1000)]
    np.testing.assert_allclose(unit(propose(study, seed=5)), expected, rtol=1e-9)


def test_of_a_long_history_a_part_is_drawn():
    study = bowl_study(130)
    assert propose(study) != propose(study, max_history=200)
    assert bowl(propose(study)) < 0.5


def test_trials_of_another_space_are_ignored():
    study = bowl_study(5)
    other = create_trial(value=-9.0, params={"y": 0.5}, distributions={"y": FloatDistribution(0, 1)})
    expected = propose(study)
    study.add_trial(other)
    assert propose(study) == expected


def test_an_empty_space_and_a_fixed_range_need_no_proposal():
    study = study_of([create_trial(value=1.0), create_trial(value=2.0)])
    assert propose(study, space={}) == {}
    assert propose(study, space={"x": FloatDistribution(2.0, 2.0)}) == {"x": 2.0}


def test_only_floats_can_be_searched():
    with pytest.raises(UserError, match="only floats"):
        propose(optuna.create_study(), space={"n": IntDistribution(1, 5)})
    with pytest.raises(UserError, match="worst or value"):
        WandbBayesSampler(seed=0, **{**NUMBERS, "stopped": "best"})


def restated(costs, mine, min_iter, eta):
    """Whether to stop ``mine`` of ``costs``, dictionaries epoch -> cost, by the definition."""
    bands = [min_iter * eta**k for k in range(12)]
    if not mine or max(mine) < bands[0]:
        return False
    band = max(b for b in bands if b <= max(mine))
    at_band = sorted(c[band] for c in costs if band in c)
    return bool(at_band) and mine[max(mine)] > at_band[int(1 / eta * len(at_band))]


values = st.one_of(st.integers(-3, 3).map(float), st.just(np.nan), st.just(np.inf))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.lists(values, max_size=10), st.sampled_from(STATES)), min_size=1, max_size=9))
def test_the_pruner_stops_whom_the_definition_stops(runs):
    def study(direction, sign):
        params = points(1)[0]
        return study_of(
            [
                trial(params, 0.0, state, {2 * k + 2: sign * v for k, v in enumerate(reports)})
                for reports, state in runs
            ],
            direction,
        )

    costs = [{2 * k + 2: v if np.isfinite(v) else np.inf for k, v in enumerate(r)} for r, _ in runs]
    pruner = WandbHyperbandPruner(min_iter=2, eta=3)
    for direction, sign in (("minimize", 1), ("maximize", -1)):
        made = study(direction, sign)
        before = repr(made.get_trials())
        found = [pruner.prune(made, one) for one in made.get_trials()]
        assert found == [restated(costs, mine, 2, 3) for mine in costs]
        assert repr(made.get_trials()) == before


def test_of_two_the_worse_is_stopped():
    study = optuna.create_study(pruner=WandbHyperbandPruner(min_iter=20, eta=3))
    good, bad = study.ask(), study.ask()
    good.report(1.0, 20)
    bad.report(2.0, 20)
    assert bad.should_prune()
    assert not good.should_prune()
    bad.report(0.5, 40)  # better than the threshold of its last band by now
    assert not bad.should_prune()


@pytest.mark.parametrize("options", [{"min_iter": 0}, {"eta": 1}])
def test_bands_must_grow(options):
    with pytest.raises(UserError, match="must be >="):
        WandbHyperbandPruner(**{"min_iter": 20, "eta": 3, **options})


def test_the_configurations_make_both():
    sampler = OmegaConf.load(CONF / "sampler" / "wandb_bayes.yaml")
    pruner = OmegaConf.load(CONF / "pruner" / "wandb_hyperband.yaml")
    study = bowl_study(6)
    study.sampler = hydra.utils.instantiate(sampler.create)(seed=0)
    assert study.ask(SPACE).params == propose(bowl_study(6))
    assert isinstance(hydra.utils.instantiate(pruner.create)(), WandbHyperbandPruner)
    assert list(pruner.rungs) == list(range(20, 400, 20))
    assert sampler.in_flight == pruner.in_flight
