"""A compiled descent: the same as a plain loop, whatever the tile."""

import jax
import numpy as np
import optax
import pytest

import induced_metric
from induced_metric.landscapes import LANDSCAPES, CompiledDescent
from induced_metric.landscapes.descent import over_devices


def plain_loop(landscape, transformation, start, iterations):
    theta, state = np.array(start, float), transformation.init(np.array(start, float))
    path, values = [], []
    update = jax.jit(optax.with_extra_args_support(transformation).update)
    value_and_gradient = jax.jit(jax.value_and_grad(landscape.fn))
    for _ in range(iterations):
        value, gradient = value_and_gradient(theta)
        change, state = update(gradient, state, theta, value=value)
        theta = theta + change
        path.append(theta)
        values.append(float(landscape.fn(theta)))
    return np.array(path), np.array(values)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("adam", {"learning_rate": 0.5, "beta1": 0.75, "beta2": 0.99}),
        ("sgd_log_metric", {"learning_rate": 0.1, "momentum": 0.5, "xi": 0.01, "beta": 0.0}),
        ("sgd_rms", {"learning_rate": 0.5, "momentum": 0.75, "xi": 0.01, "beta": 0.0, "beta_rms": 0.999}),
    ],
)
@pytest.mark.parametrize("tile", [1, 4])
def test_a_compiled_descent_is_the_plain_loop(name, settings, tile):
    landscape, optimizer = LANDSCAPES["beale"], getattr(induced_metric, name)
    path, values = plain_loop(landscape, optimizer(**settings), landscape.start, 60)
    descent = CompiledDescent(
        landscape,
        optimizer,
        list(settings),
        tolerances=[1.0, 1e-30],
        iterations=60,
        keep_path=True,
        tile=tile,
    )
    result = descent(
        {key: np.full(3, value) for key, value in settings.items()}, np.tile(landscape.start, (3, 1))
    )
    np.testing.assert_allclose(result.path[2], path, rtol=1e-6, atol=1e-9)
    first = int(np.argmax(values < 1.0)) + 1
    assert result.iterations.tolist() == [[first, 0]] * 3
    np.testing.assert_allclose(result.values[1], [values[first - 1], values[-1]], rtol=1e-6)
    assert result.steps.tolist() == [60] * 3


def test_a_diverged_run_stops_and_leaves_its_neighbours_alone():
    landscape = LANDSCAPES["rosenbrock"]
    descent = CompiledDescent(
        landscape, induced_metric.sgd, ["learning_rate"], tolerances=[1e-3], iterations=400, tile=2
    )
    result = descent({"learning_rate": np.array([10.0, 2e-4])}, np.zeros((2, 2)))
    alone = descent({"learning_rate": np.array([2e-4])}, np.zeros((1, 2)))
    assert not np.isfinite(result.values[0, 0])
    assert result.steps[0] < 20
    assert result.values[1, 0] == alone.values[0, 0]


def test_starts_are_not_tested():
    landscape = LANDSCAPES["booth"]
    descent = CompiledDescent(
        landscape, induced_metric.sgd, ["learning_rate"], tolerances=[1e-6], iterations=5
    )
    result = descent({"learning_rate": np.array([0.0])}, np.array([landscape.minima[0]]))
    assert result.iterations.tolist() == [[1]]


def test_over_devices_keeps_order_and_place():
    devices = ["a", "b"]
    done = list(over_devices(lambda item, device: (item, device), range(5), devices))
    assert done == [(0, "a"), (1, "b"), (2, "a"), (3, "b"), (4, "a")]
