"""The published implementation's trajectories (float32, 18 random cases), which ours must follow."""

import json
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import optax
import pytest

import induced_metric

FILE = Path(__file__).parents[1] / "data" / "optimizer_trajectories.npz"


def load_cases():
    with np.load(FILE) as arrays:
        return json.loads(str(arrays["meta"])), dict(arrays)


CASES, ARRAYS = load_cases()


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['optimizer']}-{case['case']}")
def test_trajectory_is_the_published_one(case):
    prefix = f"{case['case']}/params/"
    names = [key.removeprefix(prefix) for key in ARRAYS if key.startswith(prefix)]
    params = {name: jnp.asarray(ARRAYS[prefix + name]) for name in names}
    optimizer = getattr(induced_metric, case["optimizer"])(**case["hyperparameters"])
    state = optimizer.init(params)
    for step in range(case["steps"]):
        grads = {name: jnp.asarray(ARRAYS[f"{case['case']}/grads/{name}"][step]) for name in names}
        loss = ARRAYS[f"{case['case']}/losses"][step]
        updates, state = optimizer.update(grads, state, params, value=loss)
        params = optax.apply_updates(params, updates)
        for name in names:
            expected = ARRAYS[f"{case['case']}/trajectory/{name}"][step]
            error = np.linalg.norm(params[name] - expected) / np.linalg.norm(expected)
            assert error < 1e-6, f"step {step}, {name}"
