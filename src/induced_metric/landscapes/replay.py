r"""What an optimiser did along a recorded path, found by running the optimiser itself.

No optimiser's equations are repeated here. With ξ = 0 and a loss of 1 an update is the bare direction
:math:`\gamma^{-1}\hat m`, so ratios of updates for the same gradients give the metric: :math:`r_t` from the
full update, :math:`f'` from ξ = 0 at the true loss, and :math:`\gamma^{-1}g` from momentum 0.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pandas as pd

from induced_metric.landscapes.candidates import Candidate
from induced_metric.landscapes.functions import Landscape


class Replay:
    """The replays of one optimiser on one landscape, compiled once.

    Args:
        landscape: the function.
        candidate: the optimiser.
        names: the names of the hyperparameters that differ from path to path.
        iterations: the greatest number of steps of a path.
        device: where to run.
    """

    def __init__(
        self,
        landscape: Landscape,
        candidate: Candidate,
        names: Sequence[str],
        *,
        iterations: int,
        device: jax.Device,
    ) -> None:
        self._candidate = candidate
        self._iterations = iterations
        self._device = device
        # Besides the path's own hyperparameters, this class varies the momentum and, if there is one, ξ.
        self._without_metric = {"xi": 0.0} if "xi" in candidate.default else {}
        self._names = list(dict.fromkeys([*names, candidate.momentum, *self._without_metric]))
        optimizer = candidate.partial(self._names)

        def updates(settings: Any, losses: Any, path: Any, gradients: Any) -> Any:
            transformation = optax.with_extra_args_support(optimizer(**settings))

            def step(state: Any, inputs: Any) -> Any:
                theta, gradient, loss = inputs
                change, state = transformation.update(gradient, state, theta, value=loss)
                return state, change

            return jax.lax.scan(step, transformation.init(path[0]), (path, gradients, losses))[1]

        def along(settings: Any, path: Any) -> Any:
            values, gradients = jax.vmap(jax.value_and_grad(landscape.fn))(path)
            ones = jnp.ones_like(values)
            losses = jnp.stack([values, ones, values, ones])
            changes = jax.vmap(updates, in_axes=(0, 0, None, None))(settings, losses, path, gradients)
            return values, gradients, changes

        self._along = jax.jit(along)

    def __call__(self, hyperparameters: Mapping[str, float], path: np.ndarray) -> pd.DataFrame:
        """One row per point of ``path``, shape (steps + 1, 2), the start first.

        Columns: ``iteration``, ``x``, ``y``, ``value``, ``gradient_x``, ``gradient_y``, ``scale`` (r of the
        update that leaves this point; 1 for an optimiser without ξ), ``slope`` (f' there), ``gamma_x`` and
        ``gamma_y`` (diagonal of γ; NaN where the gradient is 0).
        """
        settings = {**self._candidate.default, **self._candidate.fixed, **hyperparameters}
        bare = {**settings, **self._without_metric}
        momentum_free = {**bare, self._candidate.momentum: 0.0}
        variants = [settings, bare, bare, momentum_free]
        points = len(path)
        # All paths are padded to one length, so that one program serves them all.
        padded = np.pad(path, ((0, self._iterations + 1 - points), (0, 0)), mode="edge")
        stacked = {name: np.array([variant[name] for variant in variants], float) for name in self._names}
        result = self._along(jax.device_put(stacked, self._device), jax.device_put(padded, self._device))
        values, gradients, (full, direction, sloped, gradient_step) = (
            np.asarray(leaf) for leaf in jax.device_get(result)
        )
        # 0/0 where an update vanishes: there is no ratio there, and NaN says so.
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            length = np.sum(direction**2, axis=1)
            gamma = -settings["learning_rate"] * gradients / gradient_step
            columns = {
                "iteration": np.arange(len(padded), dtype=np.int32),
                "x": padded[:, 0],
                "y": padded[:, 1],
                "value": values,
                "gradient_x": gradients[:, 0],
                "gradient_y": gradients[:, 1],
                "scale": np.sum(full * direction, axis=1) / length,
                "slope": np.sum(sloped * direction, axis=1) / length,
                "gamma_x": gamma[:, 0],
                "gamma_y": gamma[:, 1],
            }
        return pd.DataFrame(columns)[:points]


def surface(landscape: Landscape, domain: Any, points: int) -> pd.DataFrame:
    """``fn`` on a grid of ``points`` × ``points``, for contour plots: ``x``, ``y``, ``value``."""
    xs, ys = (np.linspace(low, high, points) for low, high in domain)
    grid = np.stack(np.meshgrid(xs, ys, indexing="xy"), axis=-1).reshape(-1, 2)
    return pd.DataFrame(
        {"x": grid[:, 0], "y": grid[:, 1], "value": np.asarray(jax.vmap(landscape.fn)(jnp.asarray(grid)))}
    )
