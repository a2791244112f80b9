"""Static hyperparameters: one program a combination, the same trials as with an engine of their own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from induced_metric.lanes import Assignment, Lanes

WIDTHS = (1, 2, 3)


def init(h, seed):
    del seed
    return jnp.zeros(h["width"])  # its shape is the static value's


def advance(x, h):
    x = x + h["rate"] * jnp.arange(1, h["width"] + 1)
    return x, {"sum": x.sum() if h["signed"] else -x.sum()}


def trials(count):
    return [
        Assignment(k, {"rate": 0.5 + k, "width": WIDTHS[k % 3], "signed": k % 2 == 0}, k, 3 + k % 4)
        for k in range(count)
    ]


def expected(trial):
    h = trial.hyperparameters
    step = h["rate"] * sum(range(1, h["width"] + 1)) * (1 if h["signed"] else -1)
    return np.float32(step) * np.arange(1, trial.steps + 1)


@pytest.fixture
def lanes(request):
    options = getattr(request, "param", {})
    with Lanes(
        init, advance, hyperparameters=["rate"], static=["width", "signed"], steps_per_dispatch=2, **options
    ) as lanes:
        yield lanes


@pytest.mark.parametrize(
    "lanes",
    [{}, {"width": 1, "queue": 1}, {"width": 3, "queue": 3}, {"layout": "vmap", "width": 3}],
    indirect=True,
    ids=["default", "single", "wide", "vmap"],
)
def test_trials_of_all_variants_run_to_their_ends(lanes):
    assert len(lanes._variants._made) == 0  # nothing is compiled that no trial needs
    wanted = trials(17)
    curves = lanes.run_all(wanted)
    assert set(curves) == set(range(17))
    for trial in wanted:
        np.testing.assert_allclose(curves[trial.trial]["sum"], expected(trial), rtol=1e-6)
    assert len(lanes._variants._made) == 6
    assert lanes.compile_seconds > 0


def test_a_program_is_compiled_once_for_its_values(lanes):
    lanes.run_all(trials(6))
    compiled = lanes.compile_seconds
    lanes.run_all(trials(12))
    assert len(lanes._variants._made) == 6
    # On a device that a variant had not come to it may be compiled now, on the others never again.
    assert lanes.compile_seconds < compiled + compiled


def test_every_variant_reads_what_belongs_to_it():
    with Lanes(
        lambda h, seed, data: jnp.float32(0),
        lambda x, h, data: (x, {"sum": data.sum() * h["rate"]}),
        hyperparameters=["rate"],
        static=["size"],
        shared=lambda static: (jnp.ones(static["size"]),),
    ) as lanes:
        assignments = [Assignment(size, {"rate": 2.0, "size": size}, 0, 2) for size in (3, 5)]
        curves = lanes.run_all(assignments)
    assert {size: curve["sum"].tolist() for size, curve in curves.items()} == {3: [6, 6], 5: [10, 10]}


def test_what_several_variants_read_lies_on_a_device_once():
    data = np.arange(4.0, dtype=np.float32)
    with Lanes(
        lambda h, seed, *shared: jnp.float32(0),
        lambda x, h, all_, own: (x, {"sum": all_.sum() * own.sum()}),
        hyperparameters=[],
        static=["size"],
        shared=lambda static: (data, np.ones(static["size"], np.float32)),
        devices=jax.devices()[:1],
    ) as lanes:
        curves = lanes.run_all([Assignment(size, {"size": size}, 0, 1) for size in (3, 5)])
        copies = [lanes._variants[(size,)].on(jax.devices()[0]) for size in (3, 5)]
    assert {size: curve["sum"].tolist() for size, curve in curves.items()} == {3: [18], 5: [30]}
    assert copies[0][0] is copies[1][0]
    assert copies[0][1] is not copies[1][1]


def test_no_more_is_asked_for_than_can_wait_or_run(lanes):
    asked = []

    def ask():
        k = len(asked)
        asked.append(k)
        return Assignment(k, {"rate": 1.0, "width": 1 + k % 3, "signed": True}, k, 4) if k < 200 else None

    under_way, told = [], 0

    def tell(reports):
        nonlocal told
        under_way.append(min(len(asked), 200) - told)
        told += len(reports)
        return [False] * len(reports)  # after their first dispatch

    lanes.run(ask, tell)
    assert max(under_way) <= 2 * lanes.capacity
    assert told == 200


def test_a_trial_goes_on_from_its_state_among_other_variants(lanes):
    (whole,) = lanes.run_all(trials(1)).values()
    kept = {}

    def tell(reports):
        for report in reports:
            if report.trial == 0 and report.done == 2:
                kept["state"] = report.state()
        return [report.trial != 0 for report in reports]

    waiting = iter(trials(5))
    lanes.run(lambda: next(waiting, None), tell)
    shape = lanes.state_shapes(trials(1)[0].hyperparameters)
    assert jax.tree.map(jnp.shape, kept["state"]) == shape.shape
    going_on = trials(1)[0]._replace(done=2, state=kept["state"])
    curves = lanes.run_all([*trials(4)[1:], going_on])
    np.testing.assert_array_equal(curves[0]["sum"], whole["sum"][2:])
