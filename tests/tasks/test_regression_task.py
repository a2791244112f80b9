"""The regression task is the published one, and a task checks its settings."""

import os
import subprocess
import sys

import configured
import jax
import numpy as np
import pytest

from induced_metric.errors import UserError
from induced_metric.tasks.regression import polynomial_data

SMALL = {"train_examples": 64, "test_examples": 8, "batch_size": 8}


@pytest.fixture(scope="module")
def task():
    return configured.task("regression")


def test_data_has_the_published_level(task):
    _, train = task.splits["train"]
    _, test = task.splits["test"]
    assert len(train) == 8192
    assert len(test) == 5120
    assert train.var() == pytest.approx(1.302, abs=5e-4)
    assert test.var() == pytest.approx(0.516, abs=5e-4)
    assert max(abs(train).max(), abs(test).max()) == pytest.approx(52.2, abs=0.05)


def test_targets_are_the_polynomial_of_clamped_columns():
    """An independent evaluation of a few points, monomial by monomial."""
    import itertools

    x, y = polynomial_data(500)
    with jax.threefry_partitionable(False):
        coefficients = np.asarray(jax.random.normal(jax.random.PRNGKey(1), (924,)), np.float64)

    def raw(point):
        variables = [point[min(variable, 3)] for variable in range(6)]
        terms = [
            np.prod([float(v) ** k for v, k in zip(variables, power, strict=True)])
            for degree in range(7)
            for power in itertools.product(range(degree + 1), repeat=6)
            if sum(power) == degree
        ]
        assert len(terms) == 924
        return float(coefficients @ np.array(terms))

    raws = np.array([raw(point) for point in x[:4]])
    # Standardised over all points: differences keep their ratios.
    np.testing.assert_allclose(
        (y[1:4] - y[0]) / (y[1] - y[0]), (raws[1:] - raws[0]) / (raws[1] - raws[0]), rtol=1e-4
    )
    assert y.mean() == pytest.approx(0, abs=1e-6)
    assert y.std() == pytest.approx(1, abs=1e-6)


def test_data_does_not_depend_on_the_default_generator():
    with jax.threefry_partitionable(True):
        x_new, y_new = polynomial_data(50)
    with jax.threefry_partitionable(False):
        x_old, y_old = polynomial_data(50)
    np.testing.assert_array_equal(x_new, x_old)
    np.testing.assert_array_equal(y_new, y_old)


def test_other_bits_are_another_data_set():
    x, y = polynomial_data(50, 9)
    x_new, y_new = polynomial_data(50, 9, published_bits=False)
    with jax.threefry_partitionable(True):
        wanted = jax.random.normal(jax.random.key(0, impl="threefry2x32"), (50, 4))
    np.testing.assert_array_equal(x_new[:50], wanted)
    assert x_new.shape == x.shape
    assert not np.intersect1d(x_new, x).size
    assert not np.intersect1d(y_new, y).size
    # Its variances, as whoever draws it with JAX's defaults of today finds them.
    task = configured.task("regression", published_bits=False)
    train, test = (task.splits[name][1] for name in ("train", "test"))
    assert (train.var(), test.var()) == pytest.approx((1.225, 0.639), abs=5e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings", [{"JAX_ENABLE_X64": "1"}, {"JAX_DEFAULT_PRNG_IMPL": "rbg"}], ids=["x64", "generator"]
)
def test_data_does_not_depend_on_settings_of_jax(settings):
    script = (
        "from induced_metric.tasks.regression import polynomial_data; import sys; "
        "sys.stdout.buffer.write(b''.join(array.tobytes() for array in polynomial_data(50)))"
    )
    other = subprocess.run(
        [sys.executable, "-c", script], env={**os.environ, **settings}, check=True, capture_output=True
    ).stdout
    assert other == b"".join(array.tobytes() for array in polynomial_data(50))


def test_data_needs_the_cpu(monkeypatch):
    def local_devices(backend):
        raise RuntimeError(f"Unknown backend {backend}")

    monkeypatch.setattr(jax, "local_devices", local_devices)
    with pytest.raises(UserError, match="JAX_PLATFORMS must name cpu too"):
        polynomial_data(50)


def test_model_has_1249_parameters(task):
    params, model_state = task.init(jax.random.key(0))
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == 1249
    assert model_state == {}


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"epochs": 0}, "epochs must be an integer >= 1, got 0"),
        ({"batch_size": 0}, "batch_size must be an integer between 1 and the 64 training examples"),
        ({"batch_size": 65}, "batch_size must be an integer between 1 and the 64 training examples"),
        ({"eval_splits": ()}, r"eval_splits must list at least one of the splits train, test, got \(\)"),
        ({"eval_splits": ("validation",)}, r"eval_splits must list .*, got \('validation',\)"),
        ({"objective": "validation/loss"}, "objective must be a metric of an evaluated split"),
        ({"epochs": "few"}, "epochs must be an integer >= 1, got 'few'"),
        ({"batch_size": 1.5}, "batch_size must be an integer between 1 and .*, got 1.5"),
        ({"micro_batch": 3}, "micro_batch must be null, auto, or divide the batch of 8, got 3"),
        ({"micro_batch": "few"}, "micro_batch must be null, auto, or divide the batch of 8, got 'few'"),
        ({"eval_splits": "test"}, "eval_splits must list .*, got 'test'"),
        ({"eval_splits": 1}, "eval_splits must list .*, got 1"),
        ({"objective": None}, "objective must be a metric of an evaluated split .*, got None"),
        ({"name": ""}, "name must be text and not empty, got ''"),
        (
            {"shuffle": "never"},
            "shuffle must be one of once, every_epoch, every_epoch_bijection, got 'never'",
        ),
        ({"test_examples": 0}, "test_examples must be >= 1"),
    ],
)
def test_settings_out_of_range_are_refused(settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        configured.task("regression", **{**SMALL, **settings})
