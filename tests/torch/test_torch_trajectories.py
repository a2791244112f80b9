"""The twins against the JAX optimizers, the published trajectories and PyTorch's own."""

import json
from pathlib import Path

import numpy as np
import pytest
from torch_families import TWINS, SGDMetric, parameters, run, set_gradients, torch, values

pytestmark = pytest.mark.torch

FILE = Path(__file__).parents[1] / "data" / "optimizer_trajectories.npz"


def load_cases():
    with np.load(FILE) as arrays:
        return json.loads(str(arrays["meta"])), dict(arrays)


CASES, ARRAYS = load_cases()


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['optimizer']}-{case['case']}")
def test_trajectory_is_the_published_one(case):
    prefix = f"{case['case']}/params/"
    names = [key.removeprefix(prefix) for key in ARRAYS if key.startswith(prefix)]
    params = {name: torch.nn.Parameter(torch.tensor(ARRAYS[prefix + name])) for name in names}
    hyperparameters = dict(case["hyperparameters"])
    hyperparameters["lr"] = hyperparameters.pop("learning_rate")
    optimizer = TWINS[case["optimizer"]](params.values(), **hyperparameters)
    for step in range(case["steps"]):
        for name, param in params.items():
            param.grad = torch.tensor(ARRAYS[f"{case['case']}/grads/{name}"][step])
        optimizer.step(loss=float(ARRAYS[f"{case['case']}/losses"][step]))
        for name, param in params.items():
            expected = ARRAYS[f"{case['case']}/trajectory/{name}"][step]
            error = np.linalg.norm(param.detach().numpy() - expected) / np.linalg.norm(expected)
            assert error < 1e-6, f"step {step}, {name}"


@pytest.mark.parametrize(
    ("name", "extra"),
    [
        ("sgd_metric", {}),
        ("sgd_metric", {"heavy_ball": True}),
        ("sgd_log_metric", {}),
        ("sgd_log_metric", {"heavy_ball": True}),
        ("sgd_rms", {"beta_rms": 0.95}),
    ],
)
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float64", 1e-12)])
def test_hundred_steps_are_those_of_jax(name, extra, dtype, tolerance):
    jax = pytest.importorskip("jax")
    optax = pytest.importorskip("optax")
    induced_metric = pytest.importorskip("induced_metric")
    rng = np.random.default_rng(0)
    steps, target = 100, rng.normal(size=(4, 3))
    start, noise = rng.normal(size=(4, 3)), rng.normal(size=(steps, 4, 3))
    hyperparameters = {"momentum": 0.8, "xi": 0.05, "beta": 0.7, "weight_decay": 1e-3, **extra}

    param = torch.nn.Parameter(torch.tensor(start.astype(dtype)))
    optimizer = TWINS[name]([param], lr=0.05, **hyperparameters)
    goal = torch.tensor(target.astype(dtype))
    for step in range(steps):
        loss = ((param - goal) ** 2).sum() + 0.1
        optimizer.zero_grad()
        loss.backward()
        param.grad += 0.1 * torch.tensor(noise[step].astype(dtype))
        optimizer.step(loss=loss)

    with jax.enable_x64(True):
        twin = getattr(induced_metric, name)(0.05, **hyperparameters)
        goal = jax.numpy.asarray(target.astype(dtype))

        @jax.jit
        def jax_step(params, state, noise):
            value, grads = jax.value_and_grad(lambda params: ((params - goal) ** 2).sum() + 0.1)(params)
            updates, state = twin.update(grads + 0.1 * noise, state, params, value=value)
            return optax.apply_updates(params, updates), state

        params = jax.numpy.asarray(start.astype(dtype))
        state = twin.init(params)
        for step in range(steps):
            params, state = jax_step(params, state, jax.numpy.asarray(noise[step].astype(dtype)))
        expected = np.asarray(params)
    error = np.linalg.norm(param.detach().numpy() - expected) / np.linalg.norm(expected)
    assert error < tolerance


def test_heavy_ball_with_xi_of_zero_gives_sgd_and_is_a_setting_of_a_group():
    params, other = parameters(), parameters()
    groups = [{"params": params[:1], "heavy_ball": True}, {"params": params[1:], "momentum": 0.0}]
    ours = SGDMetric(groups, lr=0.1, momentum=0.8, xi=0.0)
    sgd = torch.optim.SGD([{"params": other[:1], "momentum": 0.8}, {"params": other[1:]}], lr=0.1)
    for step in range(5):
        set_gradients(params, step)
        set_gradients(other, step)
        ours.step()
        sgd.step()
    torch.testing.assert_close(params, other, rtol=1e-5, atol=1e-6)


def test_xi_of_zero_gives_adamw():
    params, other = parameters(), parameters()
    ours = TWINS["sgd_rms"](params, lr=0.1, momentum=0.8, beta_rms=0.95, xi=0.0, weight_decay=0.1)
    adamw = torch.optim.AdamW(other, lr=0.1, betas=(0.8, 0.95), weight_decay=0.1)
    for step in range(5):
        set_gradients(params, step)
        set_gradients(other, step)
        ours.step()
        adamw.step()
    for actual, expected in zip(params, other, strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", TWINS)
def test_foreach_changes_nothing(name):
    params, other = parameters(), parameters()
    expected = run(TWINS[name](other, lr=0.1), other, 4)
    actual = run(TWINS[name](params, lr=0.1, foreach=False), params, 4)
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", TWINS)
def test_splitting_to_fit_the_cache_changes_nothing(name, monkeypatch):
    params, other = parameters(), parameters()
    expected = run(TWINS[name](other, lr=0.1), other, 4)
    # Pieces of four elements, and a large second temporary never.
    monkeypatch.setattr("induced_metric.torch._batches.CPU_ELEMENTS", 4)
    monkeypatch.setattr("induced_metric.torch.rms.CPU_ELEMENTS", 0)
    actual = run(TWINS[name](params, lr=0.1), params, 4)
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", TWINS)
def test_memory_layout_changes_nothing(name, monkeypatch):
    monkeypatch.setattr("induced_metric.torch._batches.CPU_ELEMENTS", 4)
    start, gradient = torch.randn(2, 3, 4, 4), torch.randn(2, 3, 4, 4)
    results = []
    for layout in (torch.contiguous_format, torch.channels_last):
        param = torch.nn.Parameter(start.clone(memory_format=layout))
        param.grad = gradient.clone()
        TWINS[name]([param], lr=0.1, weight_decay=0.1).step(loss=0.5)
        results.append(param.detach())
    torch.testing.assert_close(*results, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", TWINS)
def test_maximize_is_descent_on_the_negative_gradient(name):
    params, other = parameters(), parameters()
    up, down = TWINS[name](params, lr=0.1, maximize=True), TWINS[name](other, lr=0.1)
    for step in range(3):
        set_gradients(params, step)
        set_gradients(other, step)
        for param in other:
            param.grad.neg_()
        up.step(loss=1.5)
        down.step(loss=1.5)
    torch.testing.assert_close(values(params), values(other))


def test_bfloat16_sums_squares_in_float32():
    param = torch.nn.Parameter(torch.zeros(3000, dtype=torch.bfloat16))
    param.grad = torch.ones_like(param)
    optimizer = SGDMetric([param], xi=1.0)
    optimizer.step()
    metric = optimizer.param_groups[0]["metric"]
    assert metric.dtype == torch.float32
    torch.testing.assert_close(float(metric), 600.0, rtol=1e-5, atol=0.0)
    assert param.dtype == torch.bfloat16
    rms = TWINS["sgd_rms"]([param], xi=1.0)
    rms.step()
    torch.testing.assert_close(float(rms.param_groups[0]["metric"]), 600.0, rtol=1e-2, atol=0.0)
