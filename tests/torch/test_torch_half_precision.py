"""Parameters in float16 and bfloat16: averages and norms in float32, one rounding of the parameter a step."""

import copy

import numpy as np
import pytest
from torch_families import TWINS, SGDMetric, parameters, run, set_gradients, take_over, torch, values

pytestmark = pytest.mark.torch

EVERY_TWIN = pytest.mark.parametrize("name", TWINS)
EVERY_HALF = pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=["float16", "bfloat16"])
FOREACH = pytest.mark.parametrize("foreach", [None, False])


def random_walk(optimizer, params, steps, scale=1.0):
    """Steps with the same gradients, rounded to bfloat16, whatever the dtype of the parameters."""
    generator = torch.Generator().manual_seed(0)
    for _ in range(steps):
        for param in params:
            gradient = scale * torch.randn(param.shape, generator=generator)
            param.grad = gradient.bfloat16().to(param.dtype)
        optimizer.step(loss=1.5)


def moments_of(optimizer, param):
    return {name: optimizer.state[param][name] for name in optimizer.moments}


@EVERY_TWIN
@FOREACH
@pytest.mark.parametrize("size", [1e-4, 1e-6])
def test_float16_with_tiny_gradients_stays_finite_and_moves(name, foreach, size):
    param = torch.nn.Parameter(torch.tensor([0.0, 1e-3, -1e-3], dtype=torch.float16))
    before = param.detach().clone()
    optimizer = TWINS[name]([param], lr=1e-3 if name == "sgd_rms" else 1.0, foreach=foreach)
    for _ in range(3):
        param.grad = torch.full_like(param, size)
        optimizer.step(loss=1.0)
    assert bool(param.isfinite().all())
    assert bool((param < before).all())


@EVERY_TWIN
def test_float16_with_huge_gradients_stays_finite_and_moves(name):
    """Their squares and 1 / r are beyond float16, which ends at 65504."""
    param = torch.nn.Parameter(torch.zeros(3, dtype=torch.float16))
    optimizer = TWINS[name]([param], lr=0.1, xi=1.0)
    for _ in range(3):
        param.grad = torch.full_like(param, 6e4)
        optimizer.step(loss=1.0)
    assert bool((param.isfinite() & (param < 0)).all())
    moments = moments_of(optimizer, param).values()
    assert all(bool(moment.isfinite().all()) and bool((moment > 0).all()) for moment in moments)
    assert 1e4 < float(optimizer.param_groups[0]["inverse_scale"]) < float("inf")


@FOREACH
def test_the_second_moment_of_bfloat16_is_that_of_float32(foreach):
    averages = {}
    for dtype in (torch.bfloat16, torch.float32):
        param = torch.nn.Parameter(torch.zeros(40, dtype=dtype))
        optimizer = TWINS["sgd_rms"]([param], lr=1e-3, foreach=foreach)
        # Large gradients first: with a decay of 0.99, an average in bfloat16 stalls on its way down.
        random_walk(optimizer, [param], 5, scale=5.0)
        random_walk(optimizer, [param], 300, scale=0.05)
        averages[dtype] = optimizer.state[param]["square_avg"].float()
    torch.testing.assert_close(averages[torch.bfloat16], averages[torch.float32], rtol=1e-2, atol=0.0)


@EVERY_TWIN
@EVERY_HALF
@FOREACH
def test_a_half_precision_step_is_the_float32_step_rounded_once(name, dtype, foreach):
    params, wide = parameters(dtype), parameters(torch.float32)
    arguments = {"lr": 0.05, "weight_decay": 0.1, "foreach": foreach}
    optimizer, twin = TWINS[name](params, **arguments), TWINS[name](wide, **arguments)
    for step in range(10):
        set_gradients(params, step)
        for param, other in zip(params, wide, strict=True):
            other.data.copy_(param.data)
            other.grad = param.grad.float()
        optimizer.step(loss=1.5)
        twin.step(loss=1.5)
        for param, other in zip(params, wide, strict=True):
            assert param.dtype == dtype
            torch.testing.assert_close(param.detach(), other.detach().to(dtype), rtol=0, atol=0)
            torch.testing.assert_close(moments_of(optimizer, param), moments_of(twin, other), rtol=0, atol=0)


@EVERY_TWIN
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_trajectories_are_those_of_jax(name, dtype):
    """Given the same gradients: JAX rounds each update, the twin the parameter only; half an ulp each."""
    pytest.importorskip("jax")
    jnp = pytest.importorskip("jax.numpy")
    optax = pytest.importorskip("optax")
    induced_metric = pytest.importorskip("induced_metric")
    rng = np.random.default_rng(0)
    steps = 12
    start, gradients = rng.normal(size=(4, 3)), rng.normal(size=(steps, 4, 3))
    hyperparameters = {"momentum": 0.8, "xi": 0.05, "beta": 0.7, "weight_decay": 1e-3}
    if name == "sgd_rms":
        hyperparameters["beta_rms"] = 0.99

    half = getattr(torch, dtype)
    param = torch.nn.Parameter(torch.tensor(start, dtype=half))
    optimizer = TWINS[name]([param], lr=0.05, **hyperparameters)
    twin = getattr(induced_metric, name)(0.05, **hyperparameters)
    params = jnp.asarray(start, dtype)
    state = twin.init(params)
    ulp = torch.finfo(half).eps * max(1.0, float(np.abs(start).max()))
    for step in range(steps):
        param.grad = torch.tensor(gradients[step], dtype=half)
        optimizer.step(loss=1.5)
        grads = jnp.asarray(gradients[step], dtype)
        updates, state = twin.update(grads, state, params, value=jnp.float32(1.5))
        params = optax.apply_updates(params, updates)
        error = np.abs(param.detach().float().numpy() - np.asarray(params, np.float32)).max()
        assert error <= (step + 1) * ulp, f"step {step}"
    own = moments_of(optimizer, param)
    averages = [leaf for leaf in _leaves(state) if leaf.shape == start.shape]
    assert len(averages) == len(own)
    for actual, expected in zip(own.values(), averages, strict=True):
        assert actual.dtype == torch.float32
        assert expected.dtype == np.float32
        # JAX rounds (1 − μ) g to the dtype of g before it adds it.
        np.testing.assert_allclose(actual.numpy(), expected, rtol=0, atol=2 * torch.finfo(half).eps)


def _leaves(tree):
    import jax

    return [np.asarray(leaf) for leaf in jax.tree.leaves(tree)]


@EVERY_TWIN
@EVERY_HALF
@pytest.mark.parametrize("through", ["state_dict", "file", "deepcopy"])
def test_half_precision_continues_identically_from_a_copy(name, dtype, through):
    params = parameters(dtype)
    arguments = {"lr": 0.05, "weight_decay": 0.1}
    optimizer = TWINS[name](params, **arguments)
    run(optimizer, params, 5)
    if through == "deepcopy":
        other, twin = copy.deepcopy((params, optimizer))
    else:
        other = parameters(dtype)
        twin = TWINS[name](other, **arguments)
        take_over(twin, other, optimizer, params, through=through)
    for param, copied in zip(params, other, strict=True):
        moments = moments_of(twin, copied)
        assert {moment.dtype for moment in moments.values()} == {torch.float32}
        torch.testing.assert_close(moments, moments_of(optimizer, param), rtol=0, atol=0)
    expected = run(optimizer, params, 3, start=5)
    torch.testing.assert_close(run(twin, other, 3, start=5), expected, rtol=0, atol=0)
    moments, others = moments_of(optimizer, params[0]), moments_of(twin, other[0])
    torch.testing.assert_close(others, moments, rtol=0, atol=0)


def test_hooks_around_loading_see_and_change_the_float32_averages():
    params, other = parameters(torch.bfloat16), parameters(torch.bfloat16)
    optimizer, twin = SGDMetric(params), SGDMetric(other)
    run(optimizer, params, 3)
    seen = []

    def doubled(_, state_dict):
        own = state_dict["state"].items()
        state = {key: {**s, "momentum_buffer": 2 * s["momentum_buffer"]} for key, s in own}
        return {**state_dict, "state": state}

    twin.register_load_state_dict_pre_hook(doubled)
    twin.register_load_state_dict_post_hook(
        lambda loaded: seen.append(loaded.state[other[0]]["momentum_buffer"])
    )
    twin.load_state_dict(optimizer.state_dict())
    expected = 2 * optimizer.state[params[0]]["momentum_buffer"]
    assert expected.dtype == torch.float32
    torch.testing.assert_close(seen, [expected], rtol=0, atol=0)


@EVERY_TWIN
@EVERY_HALF
def test_averages_saved_in_half_precision_are_widened(name, dtype):
    """As older checkpoints have them, and those of parameters that were in float32 when they were saved."""
    params = parameters(dtype)
    optimizer = TWINS[name](params, lr=0.05)
    run(optimizer, params, 2)
    state = copy.deepcopy(optimizer.state_dict())
    for own in state["state"].values():
        own.update({moment: own[moment].to(dtype) for moment in optimizer.moments})
    optimizer.load_state_dict(state)
    assert {optimizer.state[p][m].dtype for p in params for m in optimizer.moments} == {torch.float32}
    run(optimizer, params, 1, start=2)


@EVERY_TWIN
@FOREACH
def test_one_group_may_mix_dtypes(name, foreach):
    dtypes = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
    params = [torch.nn.Parameter(torch.linspace(-1, 1, 6).to(dtype)) for dtype in dtypes]
    optimizer = TWINS[name](params, lr=0.01, weight_decay=0.1, foreach=foreach)
    wide = [torch.nn.Parameter(torch.linspace(-1, 1, 6).double().to(p.dtype).double()) for p in params]
    twin = TWINS[name](wide, lr=0.01, weight_decay=0.1, foreach=foreach)
    random_walk(optimizer, params, 10)
    random_walk(twin, wide, 10)
    norm, expected = (o.param_groups[0]["inverse_scale"] for o in (optimizer, twin))
    torch.testing.assert_close(norm.double(), expected, rtol=1e-5, atol=0.0)
    for param, other in zip(params, wide, strict=True):
        accumulator = torch.promote_types(param.dtype, torch.float32)
        for moment, reference in zip(
            moments_of(optimizer, param).values(), moments_of(twin, other).values(), strict=True
        ):
            assert moment.dtype == accumulator
            torch.testing.assert_close(moment.double(), reference, rtol=1e-5, atol=1e-6)
        rounding = max(10 * torch.finfo(param.dtype).eps, 1e-5)
        torch.testing.assert_close(param.detach().double(), other.detach(), rtol=0, atol=rounding)


@EVERY_TWIN
@EVERY_HALF
def test_splitting_half_precision_to_fit_the_cache_changes_nothing(name, dtype, monkeypatch):
    params, other = parameters(dtype), parameters(dtype)
    expected = run(TWINS[name](other, lr=0.1), other, 4)
    monkeypatch.setattr("induced_metric.torch._batches.CPU_ELEMENTS", 4)
    monkeypatch.setattr("induced_metric.torch.rms.CPU_ELEMENTS", 0)
    actual = run(TWINS[name](params, lr=0.1), params, 4)
    torch.testing.assert_close(actual, expected, rtol=torch.finfo(dtype).eps, atol=0.0)


@EVERY_TWIN
@pytest.mark.skipif(not hasattr(torch.Tensor, "grad_dtype"), reason="this PyTorch has no grad_dtype")
def test_gradients_may_be_wider_than_their_parameters(name):
    params, wide = parameters(torch.bfloat16), parameters(torch.bfloat16)
    for param in wide[:1]:
        param.grad_dtype = torch.float32
    optimizer, twin = TWINS[name](params, lr=0.05), TWINS[name](wide, lr=0.05)
    for step in range(3):
        set_gradients(params, step)
        for param, other in zip(params, wide, strict=True):
            other.grad = param.grad.to(other.grad_dtype)
        optimizer.step(loss=1.5)
        twin.step(loss=1.5)
    torch.testing.assert_close(values(wide), values(params), rtol=torch.finfo(torch.bfloat16).eps, atol=0.0)


@EVERY_TWIN
@EVERY_HALF
def test_step_in_half_precision_never_reads_a_tensor_on_the_host(name, dtype):
    """On the meta device, tensors have no values: reading one, which on a GPU would wait, is an error."""
    params = [torch.nn.Parameter(torch.zeros(s, device="meta", dtype=dtype)) for s in [(3, 2), (2,)]]
    optimizer = TWINS[name](params, lr=0.1, weight_decay=0.1)
    for _ in range(2):
        for param in params:
            param.grad = torch.zeros_like(param)
        optimizer.step(loss=torch.zeros((), device="meta"))
    assert optimizer.state[params[0]]["momentum_buffer"].dtype == torch.float32
