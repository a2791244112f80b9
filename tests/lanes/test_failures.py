"""Static values whose program fails end their own trials; one program that all trials share ends the run."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from induced_metric.lanes import Assignment, Lanes
from induced_metric.lanes.placement import Placement
from induced_metric.lanes.variants import Variant

STEPS = 6
SCALAR = jax.ShapeDtypeStruct((), jnp.float32)


def explode(step):
    if step >= 3:
        raise RuntimeError("it came to nothing")
    return step


def init(h, seed):
    if h["kind"] == "refused":
        raise ValueError("a model cannot be refused")
    return jnp.float32(0)


def advance(x, h):
    if h["kind"] == "no such call":
        x = jax.ffi.ffi_call("no_such_call", SCALAR, vmap_method="sequential")(x)
    if h["kind"] == "too large":
        x = x + jnp.sort(jnp.arange(1 << 46, dtype=jnp.float32) * h["rate"])[0]
    if h["kind"] == "explodes":
        x = jax.pure_callback(explode, SCALAR, x, vmap_method="sequential")
    return x + 1, {"x": x * h["rate"]}


REASONS = {
    "refused": (ValueError, "a model cannot be refused"),
    "no such call": (jax.errors.JaxRuntimeError, "no_such_call"),
    "too large": (jax.errors.JaxRuntimeError, "RESOURCE_EXHAUSTED"),
    "explodes": ((jax.errors.JaxRuntimeError, ValueError), "it came to nothing"),  # JAX raises either
}


def lanes(static=("kind",), **options):
    return Lanes(init, advance, hyperparameters=["rate"], static=static, steps_per_dispatch=2, **options)


def trial(number, kind):
    return Assignment(number, {"rate": 1.0 + number, "kind": kind}, number, STEPS)


def run(engine, assignments):
    """Every report of each trial."""
    waiting, reports = iter(assignments), {}

    def tell(told):
        for report in told:
            reports.setdefault(report.trial, []).append(report)
        return [True] * len(told)

    engine.run(lambda: next(waiting, None), tell)
    return reports


@pytest.mark.parametrize("options", [{}, {"width": 1, "queue": 1}, {"layout": "vmap", "width": 3}])
@pytest.mark.parametrize("kind", REASONS)
def test_a_failing_program_ends_its_own_trials_and_the_others_run_to_their_ends(kind, options):
    assignments = [trial(k, kind if k % 3 == 1 else "plain") for k in range(14)]
    with lanes(**options) as engine:
        reports = run(engine, assignments)
        again = run(engine, assignments)  # its groups take up trials as before
    assert reports.keys() == again.keys() == set(range(14))
    error, words = REASONS[kind]
    for k, told in reports.items():
        assert [report.done for report in told] == [report.done for report in again[k]]
        last = told[-1]
        assert last.finished
        if k % 3 == 1:
            assert isinstance(last.failed, error)
            assert words in str(last.failed)
            assert last.metrics == {}
            assert last.done == (2 if kind == "explodes" else 0)
        else:
            assert all(report.failed is None for report in told)
            values = np.concatenate([report.metrics["x"] for report in told])
            np.testing.assert_array_equal(values, np.arange(STEPS) * (1.0 + k))


@pytest.mark.parametrize("kind", ["refused", "no such call"])
def test_what_cannot_be_compiled_is_not_tried_again(kind):
    tries = []

    def counted(h, seed):
        tries.append("traced")
        return init(h, seed)

    with Lanes(
        counted,
        advance,
        hyperparameters=["rate"],
        static=["kind"],
        width=1,
        queue=1,
        devices=jax.devices()[:1],
    ) as engine:
        variant = engine._variants[(kind,)]
        program = variant.program
        variant.program = lambda *arguments: tries.append("compiled") or program(*arguments)
        run(engine, [trial(0, kind)])
        first = list(tries)
        reports = run(engine, [trial(k, kind) for k in range(5)])
    assert all(told[-1].failed is not None for told in reports.values())
    assert tries == first
    assert ("compiled" if kind == "no such call" else "traced") in first


def test_a_trial_that_goes_on_where_its_program_fails_now_is_told_as_failed():
    going_on = trial(1, "refused")._replace(done=2, state=np.float32(2))
    with lanes() as engine:
        assert engine.state_shapes(going_on.hyperparameters) is None
        reports = run(engine, [going_on, trial(0, "plain")])
    assert reports[1][-1].failed is not None
    assert reports[1][-1].done == 2
    assert reports[0][-1].done == STEPS


@pytest.mark.parametrize("kind", REASONS)
def test_one_program_for_all_trials_ends_the_run(kind):
    error, words = REASONS[kind]

    def begun(h, seed):
        return init({**h, "kind": kind}, seed)

    def advanced(x, h):
        return advance(x, {**h, "kind": kind})

    def whole():
        with Lanes(begun, advanced, hyperparameters=["rate"], steps_per_dispatch=2) as engine:
            run(engine, [Assignment(0, {"rate": 1.0}, 0, STEPS)])

    with pytest.raises(error, match=words):
        whole()


def test_lanes_that_do_not_fit_are_halved_also_where_something_static_is_searched(monkeypatch):
    compiled = Variant.compile

    def compile(variant, place, state):
        if len(variant._idle.seed) > 5:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory")
        return compiled(variant, place, state)

    monkeypatch.setattr(Variant, "compile", compile)
    with pytest.warns(UserWarning, match="lanes do not fit in the memory") as said:
        engine = Placement(width=24, layout="vmap").lanes(
            init, advance, trial=trial(0, "plain"), static=["kind"]
        )
    with engine:
        assert [str(each.message).split()[0] for each in said] == ["24", "12", "6"]
        assert (engine.width, engine.facts) == (3, {"asked": 24, "fits": 3})
        reports = run(engine, [trial(0, "plain"), trial(1, "refused")])
    assert [told[-1].failed is None for told in reports.values()] == [True, False]


def test_a_program_that_fails_at_any_width_is_no_reason_for_fewer_lanes():
    where = Placement(width=4, layout="vmap")
    with where.lanes(init, advance, trial=trial(0, "refused"), static=["kind"]) as engine:
        assert engine.width == 4
        reports = run(engine, [trial(0, "refused"), trial(1, "plain")])
    assert [reports[number][-1].failed is None for number in range(2)] == [False, True]


def test_trials_that_are_to_run_to_their_ends_raise_what_their_program_raises():
    with lanes() as engine, pytest.raises(ValueError, match="cannot be refused"):
        engine.run_all([trial(0, "plain"), trial(1, "refused")])
