"""The compiled program: the same as a plain loop, whatever the tile; and what is asked of a path."""

import jax
import numpy as np
import optax
import pytest

import induced_metric
from induced_metric.landscapes import LANDSCAPES
from induced_metric.landscapes.candidates import Interval
from induced_metric.landscapes.descent import Program, over_devices
from induced_metric.landscapes.replay import Replay


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
def test_program_is_the_plain_loop(name, settings, tile):
    landscape, optimizer = LANDSCAPES["beale"], getattr(induced_metric, name)
    path, values = plain_loop(landscape, optimizer(**settings), landscape.start, 60)
    program = Program(
        landscape,
        optimizer,
        list(settings),
        tolerances=[1.0, 1e-30],
        iterations=60,
        keep_path=True,
        tile=tile,
    )
    outcome = program(
        {key: np.full(3, value) for key, value in settings.items()}, np.tile(landscape.start, (3, 1))
    )
    np.testing.assert_allclose(outcome.path[2], path, rtol=1e-6, atol=1e-9)
    first = int(np.argmax(values < 1.0)) + 1
    assert outcome.iterations.tolist() == [[first, 0]] * 3
    np.testing.assert_allclose(outcome.values[1], [values[first - 1], values[-1]], rtol=1e-6)
    assert outcome.steps.tolist() == [60] * 3


def test_a_diverged_run_stops_and_leaves_its_neighbours_alone():
    landscape = LANDSCAPES["rosenbrock"]
    program = Program(
        landscape, induced_metric.sgd, ["learning_rate"], tolerances=[1e-3], iterations=400, tile=2
    )
    outcome = program({"learning_rate": np.array([10.0, 2e-4])}, np.zeros((2, 2)))
    alone = program({"learning_rate": np.array([2e-4])}, np.zeros((1, 2)))
    assert not np.isfinite(outcome.values[0, 0])
    assert outcome.steps[0] < 20
    assert outcome.values[1, 0] == alone.values[0, 0]


def test_starts_are_not_tested():
    landscape = LANDSCAPES["booth"]
    program = Program(landscape, induced_metric.sgd, ["learning_rate"], tolerances=[1e-6], iterations=5)
    outcome = program({"learning_rate": np.array([0.0])}, np.array([landscape.minima[0]]))
    assert outcome.iterations.tolist() == [[1]]


def test_over_devices_keeps_order_and_place():
    devices = ["a", "b"]
    done = list(over_devices(lambda item, device: (item, device), range(5), devices))
    assert done == [(0, "a"), (1, "b"), (2, "a"), (3, "b"), (4, "a")]


def replayed(contenders, name, settings, path):
    replay = Replay(
        LANDSCAPES["beale"],
        contenders[name],
        list(settings),
        iterations=len(path) + 3,
        device=jax.devices()[0],
    )
    return replay(settings, path)


@pytest.mark.parametrize("name", ["adam", "sgd", "sgd_metric", "sgd_log_metric", "sgd_rms", "muon"])
def test_replay_finds_the_metric_of_each_optimizer(contenders, name):
    path = np.random.default_rng(0).uniform(-1, 1, (6, 2))
    xi = 0.3
    settings = {"learning_rate": 0.2} | ({"xi": xi} if "xi" in contenders[name].default else {})
    rows = replayed(contenders, name, settings, path)
    gradient = rows[["gradient_x", "gradient_y"]].to_numpy()
    gamma = rows[["gamma_x", "gamma_y"]].to_numpy()
    slope = 1 / rows["value"] if name == "sgd_log_metric" else np.ones(len(rows))
    np.testing.assert_allclose(rows["slope"], slope, rtol=1e-9)
    if name in ("sgd", "sgd_metric", "sgd_log_metric"):
        np.testing.assert_allclose(gamma, 1, rtol=1e-9)
    else:
        np.testing.assert_allclose(gamma[0], np.abs(gradient[0]), rtol=1e-6)
    weight = xi if "xi" in settings else 0.0
    norm = weight * np.sum(gradient**2 / gamma, axis=1)
    np.testing.assert_allclose(rows["scale"], slope / (1 + slope**2 * norm), rtol=1e-7)


@pytest.mark.parametrize("scale", ["linear", "log", "log_complement"])
def test_intervals_reach_from_end_to_end(scale):
    interval = Interval(0.1, 0.99, scale)
    values = interval.quantile(np.linspace(0, 1, 11))
    assert values[0] == pytest.approx(0.1)
    assert values[-1] == pytest.approx(0.99)
    assert np.all(np.diff(values) > 0)
