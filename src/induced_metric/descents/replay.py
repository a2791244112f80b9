r"""What an optimizer did along a recorded path, asked of the optimizer itself.

Nothing here repeats an optimizer's equations. With ξ = 0 and a loss of 1 the direction
:math:`\gamma^{-1}\hat m` is bare, so quotients of updates for the same gradients give the metric:
:math:`r_t` from the full update, :math:`f'` from ξ = 0 at the true loss, and :math:`\gamma^{-1}g` from
momentum 0.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from induced_metric.descents.contenders import Contender
from induced_metric.descents.program import update
from induced_metric.landscapes import Landscape


def replay(
    landscape: Landscape, contender: Contender, hyperparameters: Mapping[str, float], path: np.ndarray
) -> pd.DataFrame:
    """One row a point of ``path``, shape (steps + 1, 2), the start first.

    Columns: ``iteration``, ``x``, ``y``, ``value``, ``gradient_x``, ``gradient_y``, ``scale`` (r of the
    update that leaves this point; 1 for an optimizer without ξ), ``slope`` (f' there), ``gamma_x`` and
    ``gamma_y`` (diagonal of γ; NaN where the gradient is 0).
    """
    values, gradients = jax.vmap(jax.value_and_grad(landscape.fn))(path)
    settings = {**contender.default, **contender.fixed, **hyperparameters}

    def updates(losses: Any, **changes: float) -> jax.Array:
        optimizer = contender.optimizer(**{**settings, **changes})

        def step(state: Any, inputs: Any) -> Any:
            theta, gradient, loss = inputs
            change, state = update(optimizer, gradient, state, theta, loss)
            return state, change

        inputs = (jnp.asarray(path), gradients, losses)
        return jax.lax.scan(step, optimizer.init(jnp.asarray(path[0])), inputs)[1]

    ones = jnp.ones_like(values)
    without = {"xi": 0.0} if "xi" in settings else {}
    bare = updates(ones, **without)
    length = jnp.sum(bare**2, axis=1)
    scale = jnp.sum(updates(values) * bare, axis=1) / length
    slope = jnp.sum(updates(values, **without) * bare, axis=1) / length
    preconditioned = -updates(ones, **{**without, contender.momentum: 0.0}) / settings["learning_rate"]
    gamma = gradients / preconditioned
    columns = {
        "iteration": np.arange(len(path), dtype=np.int32),
        "x": path[:, 0],
        "y": path[:, 1],
        "value": values,
        "gradient_x": gradients[:, 0],
        "gradient_y": gradients[:, 1],
        "scale": scale,
        "slope": slope,
        "gamma_x": gamma[:, 0],
        "gamma_y": gamma[:, 1],
    }
    return pd.DataFrame({name: np.asarray(column) for name, column in columns.items()})


def surface(landscape: Landscape, domain: Any, points: int) -> pd.DataFrame:
    """``fn`` on a grid of ``points`` × ``points``, for contour plots: ``x``, ``y``, ``value``."""
    xs, ys = (np.linspace(low, high, points) for low, high in domain)
    grid = np.stack(np.meshgrid(xs, ys, indexing="xy"), axis=-1).reshape(-1, 2)
    return pd.DataFrame(
        {"x": grid[:, 0], "y": grid[:, 1], "value": np.asarray(jax.vmap(landscape.fn)(grid))}
    )
