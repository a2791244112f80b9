"""The mathematics of the metric, against dense matrices and against the algorithms written out in numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import induced_metric
from induced_metric import optimizers
from induced_metric.optimizers import euclidean, identity, log, power, rms, scale_by_induced_metric, softplus

EMBEDDINGS = {
    "identity": identity,
    "log": log,
    "sqrt": optimizers.sqrt,
    "power": power(1.5),
    "softplus": softplus,
}


def first_update(transformation, grads, value=None):
    updates, _ = transformation.update(grads, transformation.init(grads), grads, value=value)
    return np.asarray(updates, np.float64)


def dense_update(gamma, gradient, xi, slope):
    """f' l under the inverse of the pulled-back metric γ + ξ f'² l lᵀ (Eqs. 6 and 7)."""
    gradient = np.asarray(gradient, np.float64)
    metric = gamma + xi * slope**2 * np.outer(gradient, gradient)
    return np.linalg.inv(metric) @ (slope * gradient)


@pytest.mark.parametrize("name", EMBEDDINGS)
@pytest.mark.parametrize("xi", [0.0, 0.03, 2.0])
def test_euclidean_update_is_the_gradient_under_the_dense_inverse_metric(name, xi):
    gradient, loss = jnp.array([0.3, -1.2, 0.7, 2.0]), 1.7
    embedding = EMBEDDINGS[name]
    update = first_update(scale_by_induced_metric(euclidean(), xi, 0.8, embedding), gradient, loss)
    expected = dense_update(np.eye(4), gradient, xi, float(embedding.slope(jnp.asarray(loss))))
    np.testing.assert_allclose(update, expected, rtol=1e-5)


def test_rms_update_is_the_gradient_under_the_dense_inverse_metric():
    # Without momentum, γ is the root of the moving average of the squares, the current one included.
    first, second, loss = np.array([0.5, -2.0, 0.1]), np.array([-1.0, 0.4, 3.0]), 0.6
    transformation = scale_by_induced_metric(rms(momentum=0.0, beta_rms=0.9, eps=1e-3), 0.2, 0.0, log)
    state = transformation.init(jnp.asarray(first))
    for gradient in (first, second):
        updates, state = transformation.update(jnp.asarray(gradient), state, value=loss)
    r_hat = 0.1 * (0.9 * first**2 + second**2) / (1 - 0.9**2)
    expected = dense_update(np.diag(np.sqrt(r_hat) + 1e-3), second, 0.2, 1 / loss)
    np.testing.assert_allclose(updates, expected, rtol=1e-5)


def test_wrapped_update_is_the_gradient_under_the_dense_inverse_metric():
    gradient = jnp.array([0.3, -1.2, 0.7])
    base = optax.scale_by_adam(b1=0.0, b2=0.9, eps=1e-3)
    update = first_update(induced_metric.induced_metric(base, xi=0.5, beta=0.0), gradient)
    gamma = np.diag(np.abs(np.asarray(gradient, np.float64)) + 1e-3)
    np.testing.assert_allclose(update, dense_update(gamma, gradient, 0.5, 1.0), rtol=1e-5)


def test_muon_trace_is_the_nuclear_norm():
    gradient = jax.random.orthogonal(jax.random.key(0), 4) @ jnp.diag(jnp.array([3.0, 2.0, 2.0, 1.0]))
    base = optax.contrib.scale_by_muon(beta=0.0, nesterov=False, ns_steps=10)
    transformation = induced_metric.induced_metric(base, xi=1.0, beta=0.0)
    _, state = transformation.update(gradient, transformation.init(gradient), gradient)
    # Newton-Schulz as optax tunes it ends with singular values in about (0.7, 1.2), not at 1.
    np.testing.assert_allclose(state.metric, 8.0, rtol=0.3)


def algorithm(embedding, geometry, grads, losses, hyperparameters, *, heavy_ball=False, eps=1e-8):
    """Algorithms 1 and 2 line by line, in float64; returns the final displacement from the start."""
    eta, mu, xi, beta, lam = (
        hyperparameters[k] for k in ("learning_rate", "momentum", "xi", "beta", "weight_decay")
    )
    theta = np.ones_like(grads[0])
    m, v, r = np.zeros_like(theta), 0.0, np.zeros_like(theta)
    for t, (g, loss) in enumerate(zip(grads, losses, strict=True), start=1):
        inverse = np.ones_like(g)
        if geometry == "rms":
            beta_rms = hyperparameters["beta_rms"]
            r = beta_rms * r + (1 - beta_rms) * g**2
            inverse = 1 / (np.sqrt(r / (1 - beta_rms**t)) + eps)
        v = beta * v + (1 - beta) * xi * np.sum(g * inverse * g)
        v_hat = v / (1 - beta**t)
        scale = loss / (loss**2 + abs(v_hat)) if embedding == "log" else 1 / (1 + abs(v_hat))
        m = mu * m + (1 if heavy_ball else 1 - mu) * g
        theta = theta - eta * (scale * inverse * m / (1 if heavy_ball else 1 - mu**t) + lam * theta)
    return theta - 1


@pytest.mark.parametrize(
    ("name", "embedding", "geometry", "options"),
    [
        ("sgd_metric", "identity", "euclidean", {}),
        ("sgd_metric", "identity", "euclidean", {"heavy_ball": True}),
        ("sgd_log_metric", "log", "euclidean", {}),
        ("sgd_log_metric", "log", "euclidean", {"heavy_ball": True}),
        ("sgd_rms", "identity", "rms", {}),
        ("sgd_rms", "identity", "rms", {"eps": 0.1}),
        ("sgd_log_rms", "log", "rms", {}),
        ("sgd_log_rms", "log", "rms", {"eps": 0.1}),
    ],
)
def test_alias_follows_its_algorithm(name, embedding, geometry, options):
    rng = np.random.default_rng(0)
    grads, losses = rng.normal(size=(20, 7)), rng.uniform(0.2, 3, size=20)
    hyperparameters = {"learning_rate": 0.03, "momentum": 0.7, "xi": 0.2, "beta": 0.6, "weight_decay": 0.02}
    if geometry == "rms":
        hyperparameters["beta_rms"] = 0.95
    optimizer = getattr(induced_metric, name)(**hyperparameters, **options)
    params = jnp.ones(7)
    state = optimizer.init(params)
    for g, loss in zip(grads, losses, strict=True):
        updates, state = optimizer.update(jnp.asarray(g, jnp.float32), state, params, value=loss)
        params = optax.apply_updates(params, updates)
    expected = algorithm(embedding, geometry, grads, losses, hyperparameters, **options)
    np.testing.assert_allclose(params - 1, expected, rtol=2e-4, atol=1e-6)


def test_update_clips_smoothly():
    # Fig. 2: δθ = l / (a + l²) is odd, linear for small l, largest at l = √a and falls to zero after it.
    a = 1 + 2.0**2
    transformation = scale_by_induced_metric(euclidean(0.0), xi=1.0, beta=0.0)
    slopes = jnp.array([1e-3, 1.0, np.sqrt(a), 9.0, 1e6, -9.0])
    profile = [first_update(transformation, jnp.array([slope, 2.0]))[0] for slope in slopes]
    np.testing.assert_allclose(profile[0], 1e-3 / a, rtol=1e-5)
    np.testing.assert_allclose(profile[2], 1 / (2 * np.sqrt(a)), rtol=1e-6)
    assert profile[1] < profile[2] > profile[3] > profile[4] > 0
    assert profile[5] == -profile[3]


@pytest.mark.parametrize("factor", [1e-6, 7.0, 1e6])
def test_log_form_is_invariant_under_rescaling_of_the_loss(factor):
    rng = np.random.default_rng(1)
    grads, losses = rng.normal(size=(5, 4)), rng.uniform(1, 2, size=5)

    def run(scale):
        optimizer = induced_metric.sgd_log_metric(0.1, xi=0.5)
        params = jnp.ones(4)
        state = optimizer.init(params)
        for g, loss in zip(grads, losses, strict=True):
            updates, state = optimizer.update(jnp.asarray(scale * g, jnp.float32), state, value=scale * loss)
            params = optax.apply_updates(params, updates)
        return params

    np.testing.assert_allclose(run(factor), run(1.0), rtol=1e-5)


KERNEL = {"kernel": jnp.linspace(-1, 1, 6).reshape(3, 2), "bias": jnp.array([0.5, -0.2])}
LIMITS = {
    "sgd_metric": (
        {"momentum": 0.7},
        optax.chain(optax.ema(0.7, debias=True), optax.scale_by_learning_rate(0.1)),
    ),
    "sgd_rms": (
        {"momentum": 0.7, "beta_rms": 0.95, "weight_decay": 0.01},
        optax.adamw(0.1, b1=0.7, b2=0.95, weight_decay=0.01),
    ),
    "sgd_log_metric": (
        {"momentum": 0.7},
        optax.chain(optax.ema(0.7, debias=True), optax.scale_by_learning_rate(0.1 / 2.5)),
    ),
    "sgd_log_rms": ({"momentum": 0.7, "beta_rms": 0.95}, optax.adam(0.1 / 2.5, b1=0.7, b2=0.95)),
    "adamw_metric": ({"weight_decay": 0.01}, optax.adamw(0.1, weight_decay=0.01)),
    "lion_metric": ({"weight_decay": 0.01}, optax.lion(0.1, weight_decay=0.01)),
    "muon_metric": ({}, optax.contrib.muon(0.1)),
}


@pytest.mark.parametrize("name", LIMITS)
def test_xi_of_zero_gives_the_optimizer_without_the_metric(name):
    hyperparameters, limit = LIMITS[name]
    optimizer = getattr(induced_metric, name)(0.1, xi=0.0, **hyperparameters)
    params = limit_params = KERNEL
    state, limit_state = optimizer.init(params), limit.init(params)
    for seed in range(4):
        grads = optax.tree.random_like(jax.random.key(seed), params)
        updates, state = optimizer.update(grads, state, params, value=2.5)
        limit_updates, limit_state = limit.update(grads, limit_state, limit_params)
        params = optax.apply_updates(params, updates)
        limit_params = optax.apply_updates(limit_params, limit_updates)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-6, atol=1e-7), params, limit_params)


def test_metric_in_the_state_is_the_average_of_the_weighted_squared_norm():
    transformation = scale_by_induced_metric(euclidean(), xi=0.5, beta=0.75)
    state = transformation.init(jnp.zeros(2))
    for gradient in ([2.0, 0.0], [0.0, 4.0]):
        _, state = transformation.update(jnp.array(gradient), state)
    assert float(state.metric) == pytest.approx(0.75 * 0.25 * 2.0 + 0.25 * 8.0)
