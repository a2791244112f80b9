"""What optax's users expect of any optimizer, over all of ours."""

import itertools
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from families import FAST, OPTIMIZERS, OURS, assert_trees_close, loss, parameters, step, train

import induced_metric


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_loss_falls_under_jit_and_scan_in_a_chain(name):
    optimizer = optax.chain(optax.clip(1.0), OPTIMIZERS[name]())
    _, _, values = train(optimizer, parameters(), 100)
    assert values[-1] < 0.7 * values[0]
    assert jnp.isfinite(values).all()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_learning_rate_may_be_a_schedule(name):
    factory, options = OPTIMIZERS[name].func, OPTIMIZERS[name].keywords
    constant, _, _ = train(factory(optax.constant_schedule(0.02), **options), parameters(), 5)
    plain, _, _ = train(factory(0.02, **options), parameters(), 5)
    assert_trees_close(constant, plain, rtol=1e-6)
    _, _, values = train(
        factory(optax.piecewise_constant_schedule(0.02, {2: 0.0}), **options), parameters(), 5
    )
    assert values[1] != values[2]
    assert values[3] == values[4]


@pytest.mark.parametrize("name", [*OURS, "sgd", "adamw"])
def test_weight_decay_may_be_a_schedule(name):
    make = getattr(induced_metric, name)

    def trained(weight_decay):
        return train(make(0.02, weight_decay=weight_decay), parameters(), 5)[0]

    assert_trees_close(trained(optax.constant_schedule(0.5)), trained(0.5), rtol=1e-6)
    ended = trained(optax.piecewise_constant_schedule(0.5, {2: 0.0}))
    assert optax.tree.norm(ended) > optax.tree.norm(trained(0.5))


@pytest.mark.parametrize("name", OURS)
def test_hyperparameters_can_be_injected_and_changed(name):
    options = dict(OPTIMIZERS[name].keywords)
    injected = optax.inject_hyperparams(OPTIMIZERS[name].func, static_args=("mask", "subsets"))(
        0.1, **options
    )
    params = parameters()
    plain = OPTIMIZERS[name].func(0.1, **options)
    expected, _, _ = step(plain, params, plain.init(params))
    state = injected.init(params)
    actual, _, _ = step(injected, params, state)
    assert_trees_close(actual, expected, rtol=1e-5, atol=1e-6)
    state.hyperparams["learning_rate"] = jnp.asarray(0.0)
    unmoved, _, _ = step(injected, params, state)
    assert_trees_close(unmoved, params)


@pytest.mark.parametrize("name", FAST)
def test_masked_leaves_the_other_parameters_and_their_gradients_out(name):
    params = parameters()
    optimizer = optax.masked(OPTIMIZERS[name](), {"kernel": True, "bias": False})
    alone = OPTIMIZERS[name]()
    value, grads = jax.value_and_grad(loss)(params)
    updates, _ = optimizer.update(grads, optimizer.init(params), params, value=value)
    kernel = {"kernel": params["kernel"]}
    expected, _ = alone.update({"kernel": grads["kernel"]}, alone.init(kernel), kernel, value=value)
    assert_trees_close(updates["kernel"], expected["kernel"], rtol=1e-6)
    assert_trees_close(updates["bias"], grads["bias"])


def test_partition_gives_every_label_its_own_optimizer():
    optimizer = optax.partition(
        {"a": induced_metric.sgd_log_metric(0.1, xi=0.01), "b": induced_metric.sgd_rms(0.01, xi=0.01)},
        {"kernel": "a", "bias": "b"},
    )
    _, _, values = train(optimizer, parameters(), 50)
    assert values[-1] < 0.7 * values[0]


@pytest.mark.parametrize("name", OURS)
def test_multi_steps_accumulates_gradients(name):
    params = parameters()
    optimizer = optax.MultiSteps(OPTIMIZERS[name](), every_k_schedule=2)
    once, state, _ = step(optimizer, params, optimizer.init(params))
    assert_trees_close(once, params)
    twice, _, _ = step(optimizer, once, state)
    single = OPTIMIZERS[name]()
    expected, _, _ = step(single, params, single.init(params))
    assert_trees_close(twice, expected, rtol=1e-6)


@pytest.mark.parametrize("name", [name for name in FAST if name != "lion_metric"])  # sign(inf) is finite
@pytest.mark.parametrize("bad", [jnp.nan, jnp.inf])
def test_apply_if_finite_sees_a_bad_gradient_and_keeps_the_state(name, bad):
    params = parameters()
    optimizer = optax.apply_if_finite(OPTIMIZERS[name](), max_consecutive_errors=3)
    params, state, _ = step(optimizer, params, optimizer.init(params))
    grads = jax.tree.map(lambda leaf: jnp.full_like(leaf, bad), params)
    updates, after = optimizer.update(grads, state, params, value=1.0)
    assert_trees_close(updates, jax.tree.map(jnp.zeros_like, params))
    assert_trees_close(after.inner_state, state.inner_state)
    assert int(after.total_notfinite) == 1


@pytest.mark.parametrize("name", OURS)
def test_parameters_are_needed_for_weight_decay_only(name):
    params = parameters()
    grads = jax.grad(loss)(params)
    without = OPTIMIZERS[name]()
    without.update(grads, without.init(params), value=1.0)
    decaying = OPTIMIZERS[name](weight_decay=0.1)
    with pytest.raises(ValueError, match="params"):
        decaying.update(grads, decaying.init(params), value=1.0)


@pytest.mark.parametrize("name", FAST)
def test_mask_chooses_the_parameters_that_decay(name):
    optimizer = OPTIMIZERS[name](weight_decay=0.5, mask={"kernel": True, "bias": False})
    params, zeros = parameters(), jax.tree.map(jnp.zeros_like, parameters())
    updates, _ = optimizer.update(zeros, optimizer.init(params), params, value=1.0)
    assert_trees_close(updates["bias"], jnp.zeros(2))
    rate = OPTIMIZERS[name].args[0]
    assert_trees_close(updates["kernel"], -rate * 0.5 * params["kernel"], rtol=1e-6)


@pytest.mark.parametrize("name", ["sgd_log_metric", "sgd_log_rms", "adamw_metric_power"])
def test_a_missing_loss_is_a_clear_error(name):
    optimizer, params = OPTIMIZERS[name](), parameters()
    with pytest.raises(ValueError, match="value=loss"):
        optimizer.update(params, optimizer.init(params), params)


@pytest.mark.parametrize("name", ["sgd_metric", "sgd_log_metric"])
@pytest.mark.parametrize(
    ("value", "got"),
    [
        ("3", "a str"),
        ((jnp.ones(()), {"accuracy": 1.0}), "a tuple"),  # of value_and_grad(loss, has_aux=True)
        ({"loss": 1.0}, "a dict"),
        (jnp.ones(2), r"an array of shape \(2,\)"),  # one a leaf would broadcast
    ],
)
def test_what_is_no_scalar_loss_is_refused(name, value, got):
    optimizer, params = OPTIMIZERS[name](), parameters()
    with pytest.raises((TypeError, ValueError), match=f"^value must be the scalar loss, got {got}$"):
        optimizer.update(params, optimizer.init(params), params, value=value)


@pytest.mark.parametrize(
    ("name", "argument", "value"),
    [
        *itertools.product(
            OURS,
            ["learning_rate", "xi", "weight_decay"],
            [-1e-3, float("nan")],
        ),
        *itertools.product(OURS, ["momentum", "beta"], [1.0]),
        *itertools.product(["sgd_rms", "sgd_log_rms"], ["beta_rms"], [1.0]),
        *itertools.product(["sgd_rms", "sgd_log_rms", "adamw_metric", "muon_metric"], ["eps"], [0.0]),
    ],
)
def test_a_number_outside_its_range_is_refused(name, argument, value):
    with pytest.raises(ValueError, match=f"{argument} must be .*, got {value}"):
        getattr(induced_metric, name)(**{argument: value})


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize(
    ("argument", "value"),
    [("learning_rate", None), ("learning_rate", "0.1"), ("xi", "a"), ("xi", [0.1]), ("beta", None)],
)
def test_what_is_no_number_is_refused(name, argument, value):
    kinds = (
        "a number, an array scalar or a schedule" if argument == "learning_rate" else "a number or an array"
    )
    with pytest.raises(TypeError, match=re.escape(f"{argument} must be {kinds}")) as error:
        getattr(induced_metric, name)(**{argument: value})
    assert str(error.value).endswith(f", got {value!r}")


@pytest.mark.parametrize("base", [3.0, None, optax.scale_by_adam])
def test_what_is_no_transformation_cannot_be_wrapped(base):
    with pytest.raises(TypeError, match=r"base must be an optax transformation, such as .*, got") as error:
        induced_metric.induced_metric(base, xi=1.0)
    assert str(error.value).endswith(repr(base))


@pytest.mark.parametrize("kind", [float, np.float32, np.asarray, jnp.float32, jnp.asarray, jnp.bfloat16])
def test_a_number_may_be_of_any_kind(kind):
    params = parameters()
    optimizer = induced_metric.sgd_rms(kind(0.5), xi=kind(0.25), weight_decay=kind(0.5))
    plain = induced_metric.sgd_rms(0.5, xi=0.25, weight_decay=0.5)
    updates, expected = (each.update(params, each.init(params), params)[0] for each in (optimizer, plain))
    assert_trees_close(updates, expected, rtol=1e-6)


@pytest.mark.parametrize("name", ["sgd_metric", "sgd_rms", "adamw_metric", "lion_metric"])
def test_complex_parameters_are_refused_and_split_ones_work(name):
    params = jnp.array([1 + 2j, -1j])
    with pytest.raises(TypeError, match="split_real_and_imaginary"):
        OPTIMIZERS[name]().init(params)
    split = optax.contrib.split_real_and_imaginary(OPTIMIZERS[name]())
    updates, _ = split.update(params, split.init(params), params)
    assert updates.dtype == params.dtype


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_state_can_be_mapped_as_parameters(name):
    optimizer, params = OPTIMIZERS[name](), parameters()
    state = optimizer.init(params)
    mapped = optax.tree.map_params(optimizer, lambda leaf: leaf + 1, state)
    assert jax.tree.structure(mapped) == jax.tree.structure(state)
    shapes = {leaf.shape for leaf in jax.tree.leaves(params)}
    leaves = [*zip(jax.tree.leaves(state), jax.tree.leaves(mapped), strict=True)]
    assert any(before.shape in shapes for before, _ in leaves)
    for before, after in leaves:  # of the moments, and not of the count and the metric
        np.testing.assert_array_equal(after, before + (before.shape in shapes))
