"""What is asked of an optimizer along a path: the metric, without a copy of its equations."""

import jax
import numpy as np
import pytest

from induced_metric.landscapes import LANDSCAPES, Replay


def replayed(candidates, name, settings, path):
    replay = Replay(
        LANDSCAPES["beale"],
        candidates[name],
        list(settings),
        iterations=len(path) + 3,
        device=jax.devices()[0],
    )
    return replay(settings, path)


@pytest.mark.parametrize("name", ["adam", "sgd", "sgd_metric", "sgd_log_metric", "sgd_rms", "muon"])
def test_replay_finds_the_metric_of_each_optimizer(candidates, name):
    path = np.random.default_rng(0).uniform(-1, 1, (6, 2))
    xi = 0.3
    settings = {"learning_rate": 0.2} | ({"xi": xi} if "xi" in candidates[name].default else {})
    rows = replayed(candidates, name, settings, path)
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
