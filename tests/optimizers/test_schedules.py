"""Learning-rate schedules: their curves, under tracing, and in every optimizer."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from families import OPTIMIZERS, assert_trees_close, parameters, step
from hypothesis import given, settings
from hypothesis import strategies as st

import induced_metric
from induced_metric.optimizers import schedules

BASELINES = {
    "sgd": partial(induced_metric.sgd, 0.05),
    "adam": partial(induced_metric.adam, 0.05),
    "adamw": partial(induced_metric.adamw, 0.05),
    "muon": partial(induced_metric.muon, 0.05),
}
NUMBERS = {
    "constant": {},
    "cosine": {"final": 0.2},
    "linear": {"final": 0.2},
    "warmup_cosine": {"warmup": 0.25, "final": 0.2},
    "wsd": {"warmup": 0.25, "decay": 0.5, "final": 0.2},
}
QUICK = settings(max_examples=50, deadline=None, derandomize=True)
STEPS = 40
SHARE = st.floats(0, 1)
# steps=: of the peak at the beginning, a quarter, the half, three quarters, the end, and beyond.
VALUES = {
    "constant": [1, 1, 1, 1, 1, 1],
    "cosine": [1, 0.6 + 0.4 * 0.5**0.5, 0.6, 0.6 - 0.4 * 0.5**0.5, 0.2, 0.2],
    "linear": [1, 0.8, 0.6, 0.4, 0.2, 0.2],
    "warmup_cosine": [0, 1, 0.2 + 0.8 * 0.75, 0.2 + 0.8 * 0.25, 0.2, 0.2],
    "wsd": [0, 1, 1, 0.6, 0.2, 0.2],
}
OPTAX = {
    "constant": optax.constant_schedule(0.3),
    "cosine": optax.cosine_decay_schedule(0.3, STEPS, alpha=0.2),
    "linear": optax.linear_schedule(0.3, 0.06, STEPS),
    "warmup_cosine": optax.warmup_cosine_decay_schedule(0.0, 0.3, 10, STEPS, end_value=0.06),
    "wsd": optax.join_schedules(
        [
            optax.linear_schedule(0.0, 0.3, 10),
            optax.constant_schedule(0.3),
            optax.linear_schedule(0.3, 0.06, 20),
        ],
        [10, 20],
    ),
}


def rates(name, learning_rate, steps, counts, **numbers):
    schedule = getattr(schedules, name)(learning_rate, steps, **numbers)
    return jnp.broadcast_to(schedule(jnp.asarray(counts)), len(counts))


@cache
def traced(name):
    """The rates at ``counts`` with all numbers traced: ``traced(name)(counts, numbers)``."""
    return jax.jit(lambda counts, numbers: rates(name, counts=counts, **numbers))


@pytest.mark.parametrize("name", NUMBERS)
def test_a_schedule_passes_through_the_values_of_its_formula(name):
    counts = [0, 10, 20, 30, 40, 55]
    actual = rates(name, 0.3, STEPS, counts, **NUMBERS[name])
    np.testing.assert_allclose(actual, 0.3 * np.array(VALUES[name]), rtol=1e-6)


@pytest.mark.parametrize("name", NUMBERS)
def test_a_schedule_is_that_of_optax_at_every_step(name):
    counts = range(STEPS + 5)
    actual = rates(name, 0.3, STEPS, counts, **NUMBERS[name])
    np.testing.assert_allclose(actual, [OPTAX[name](count) for count in counts], rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("name", NUMBERS)
def test_all_arguments_may_be_traced_and_mapped_over(name):
    counts = np.arange(0, 60, 3)
    trials = {"learning_rate": [0.3, 0.01, 0.0], "steps": [40, 50, 7]}
    trials |= {key: [value, 0.0, 1.0] for key, value in NUMBERS[name].items()}
    alone = [{key: values[k] for key, values in trials.items()} for k in range(3)]
    plain = [rates(name, counts=counts, **numbers) for numbers in alone]
    stacked = {key: jnp.asarray(values, jnp.float32) for key, values in trials.items()}
    compiled = traced(name)._cache_size()
    for k in range(3):
        one = traced(name)(counts, {key: values[k] for key, values in stacked.items()})
        np.testing.assert_allclose(one, plain[k], rtol=1e-5, atol=1e-8)
    assert traced(name)._cache_size() == compiled + 1
    mapped = jax.vmap(traced(name), in_axes=(None, 0))(counts, stacked)
    np.testing.assert_allclose(mapped, plain, rtol=1e-5, atol=1e-8)


@QUICK
@given(warmup=SHARE, decay=SHARE, final=SHARE, steps=st.integers(1, 500))
def test_rates_rise_then_stay_then_fall_between_zero_and_the_peak(warmup, decay, final, steps):
    numbers = {"learning_rate": 1.0, "steps": steps, "warmup": warmup, "decay": decay, "final": final}
    counts = np.linspace(0, steps, 41)
    for name, own in NUMBERS.items():
        curve = np.asarray(
            traced(name)(counts, {key: numbers[key] for key in ("learning_rate", "steps", *own)})
        )
        assert np.all((curve >= 0) & (curve <= 1 + 1e-6))
        peak_at = warmup * steps if "warmup" in own else 0
        slack = 1e-5
        assert np.all(np.diff(curve[counts < peak_at]) >= -slack)
        falling = counts >= np.nextafter(np.float32(peak_at), np.float32(np.inf))
        assert np.all(np.diff(curve[falling]) <= slack)
        assert np.all(curve[falling] >= (final if own else 1) - slack)
        if name == "wsd":
            stable = falling & (counts <= (1 - decay) * steps * (1 - slack))
            np.testing.assert_allclose(curve[stable], 1, atol=slack)


def test_without_a_warmup_warmup_cosine_is_cosine_and_wsd_that_only_decays_is_linear():
    counts, numbers = np.arange(STEPS), {"learning_rate": 0.3, "steps": STEPS, "final": 0.1}
    for name, more, same in [
        ("warmup_cosine", {"warmup": 0.0}, "cosine"),
        ("wsd", {"warmup": 0.0, "decay": 1.0}, "linear"),
    ]:
        curve, expected = traced(name)(counts, numbers | more), traced(same)(counts, numbers)
        np.testing.assert_allclose(curve, expected, rtol=1e-6)


def test_where_warmup_and_decay_overlap_the_peak_is_still_reached():
    numbers = {"learning_rate": 1.0, "steps": 100, "warmup": 0.6, "decay": 0.9, "final": 0.0}
    curve = traced("wsd")(np.array([30, 60, 80, 100]), numbers)
    np.testing.assert_allclose(curve, [0.5, 1.0, 0.5, 0.0], atol=1e-6)


@pytest.mark.parametrize("name", ["warmup_cosine", "wsd"])
@pytest.mark.parametrize("warmup", [0.0, 1.0])
def test_an_empty_phase_has_finite_rates_and_gradients(name, warmup):
    def curve(warmup):
        numbers = NUMBERS[name] | {"learning_rate": 1.0, "steps": 10, "warmup": warmup}
        return traced(name)(np.array([0, 5, 10]), numbers)

    assert jnp.isfinite(curve(warmup)).all()
    assert jnp.isfinite(jax.jacrev(curve)(warmup)).all()


@pytest.mark.parametrize("name", NUMBERS)
def test_a_number_outside_its_range_is_refused(name):
    make = getattr(schedules, name)
    with pytest.raises(ValueError, match="learning_rate must be >= 0"):
        make(-0.1, 10, **NUMBERS[name])
    with pytest.raises(ValueError, match="steps must be > 0"):
        make(0.1, 0, **NUMBERS[name])
    for number in NUMBERS[name]:
        for value in (-0.1, 1.1, float("nan")):
            with pytest.raises(ValueError, match=rf"{number} must be in \[0, 1\], got {value}"):
                make(0.1, 10, **NUMBERS[name] | {number: value})


@pytest.mark.parametrize("name", OPTIMIZERS | BASELINES)
def test_an_optimizer_under_a_traced_schedule_takes_the_steps_of_the_scheduled_rates(name):
    factory = (OPTIMIZERS | BASELINES)[name]
    (peak,), options, steps = factory.args, factory.keywords, 4

    @jax.jit
    def scheduled(learning_rate, steps, final, params, state):
        schedule = schedules.cosine(learning_rate, steps, final=final)
        return step(factory.func(schedule, **options), params, state)

    @jax.jit
    def constant(rate, params, state):
        return step(factory.func(rate, **options), params, state)

    plain = schedules.cosine(peak, steps, final=0.1)
    under_schedule = (parameters(), factory.func(plain, **options).init(parameters()))
    by_hand = (parameters(), factory().init(parameters()))
    for count in range(steps):
        *under_schedule, _ = scheduled(peak, steps, 0.1, *under_schedule)
        *by_hand, _ = constant(float(plain(count)), *by_hand)
        assert_trees_close(under_schedule[0], by_hand[0], rtol=1e-5, atol=1e-7)
    # A peak of zero is a number like any other.
    still, _, _ = scheduled(0.0, steps, 0.1, *under_schedule)
    assert_trees_close(still, under_schedule[0])


@pytest.mark.parametrize("name", ["sgd_rms", "adamw"])
def test_trials_with_schedules_of_their_own_run_side_by_side(name):
    factory = (OPTIMIZERS | BASELINES)[name]

    def train(learning_rate, warmup):
        schedule = schedules.warmup_cosine(learning_rate, 5, warmup=warmup, final=0.0)
        optimizer = factory.func(schedule, **factory.keywords)
        params, state = parameters(), optimizer.init(parameters())
        for _ in range(3):
            params, state, _ = step(optimizer, params, state)
        return params

    peaks, warmups = jnp.array([0.01, 0.1, 0.0]), jnp.array([0.0, 0.5, 0.5])
    mapped = jax.jit(jax.vmap(train))(peaks, warmups)
    for k in range(3):
        own = jax.tree.map(lambda leaf, k=k: leaf[k], mapped)
        assert_trees_close(own, jax.jit(train)(peaks[k], warmups[k]), rtol=1e-5, atol=1e-7)
    assert_trees_close(jax.tree.map(lambda leaf: leaf[2], mapped), parameters())
