"""All runs of one optimiser on one function as one compiled program.

Runs lie side by side in *tiles*. A tile advances all its runs at once, by one optimiser step per loop
iteration, until each of them has reached the strictest tolerance or is no longer finite; then the next tile
starts. So a run that has stopped costs at most its place in its own tile.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, TypeAlias, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
import optax

from induced_metric.landscapes.functions import Landscape

Optimizer: TypeAlias = Callable[..., optax.GradientTransformation]  # of hyperparameters
Hyperparameters: TypeAlias = Mapping[str, Any]  # name -> one value per run
Item = TypeVar("Item")
Result = TypeVar("Result")


class DescentResult(NamedTuple):
    """How runs ended; by run, then by tolerance."""

    iterations: Any  # shape=(runs, tolerances), int32, updates until ``fn`` was within tolerance; 0: never
    values: Any  # shape=(runs, tolerances), ``fn`` there, or after the last update
    steps: Any  # shape=(runs,), int32, updates until all tolerances were reached or it diverged
    path: Any  # shape=(runs, iterations, 2), θ after each update; (runs, 0, 2) where not kept


class _Carry(NamedTuple):
    made: jax.Array  # shape=(), int32, updates
    theta: jax.Array  # shape=(runs, 2)
    state: Any  # of the optimiser, by run
    value: jax.Array  # shape=(runs,), fn(theta)
    gradient: jax.Array  # shape=(runs, 2), of fn at theta
    iterations: jax.Array  # as in DescentResult
    values: jax.Array  # as in DescentResult
    steps: jax.Array  # as in DescentResult
    path: jax.Array  # shape=(iterations, runs, 2)


class CompiledDescent:
    """One optimiser on one landscape as a compiled program, which takes any number of runs.

    Args:
        landscape: the function.
        optimizer: a function of the hyperparameters in ``names`` that returns an optax transformation.
        names: the names of the hyperparameters that differ from run to run; they are traced.
        tolerances: distances above the minimum; a run ends when it has reached all of them.
        iterations: the greatest number of updates of a run.
        keep_path: whether results include the paths of the runs.
        tile: the number of runs that advance together.
        tiles: the number of tiles in one call; more runs than fit into them take several calls.
        device: where to run.
    """

    def __init__(
        self,
        landscape: Landscape,
        optimizer: Optimizer,
        names: Sequence[str],
        *,
        tolerances: Sequence[float],
        iterations: int,
        keep_path: bool = False,
        tile: int = 1,
        tiles: int = 1,
        device: jax.Device | None = None,
    ) -> None:
        self._names = tuple(names)
        self._shape = (tiles, tile)
        sharding = jax.sharding.SingleDeviceSharding(device or jax.devices()[0])

        def tiled(hyperparameters: Any, starts: Any) -> Any:
            return jax.lax.map(
                lambda inputs: _run_tile(
                    landscape,
                    optimizer,
                    *inputs,
                    tolerances=tolerances,
                    iterations=iterations,
                    keep_path=keep_path,
                ),
                (hyperparameters, starts),
            )

        floats = jnp.result_type(float)
        hyperparameters = {name: _abstract(self._shape, floats, sharding) for name in self._names}
        starts = _abstract((*self._shape, 2), floats, sharding)
        started = time.perf_counter()
        self._program = jax.jit(tiled).lower(hyperparameters, starts).compile()
        self.compile_seconds = time.perf_counter() - started
        self.run_seconds = 0.0

    def __call__(self, hyperparameters: Hyperparameters, starts: np.ndarray) -> DescentResult:
        """Runs from ``starts``, shape (runs, 2), with one value per run of each hyperparameter."""
        runs, capacity = len(starts), self._shape[0] * self._shape[1]
        columns = [np.asarray(hyperparameters[name], float) for name in self._names]
        parts = []
        for low in range(0, runs, capacity):
            # The last call is filled up with copies of its last run, which therefore stop when it does.
            rows = np.minimum(np.arange(low, low + capacity), runs - 1)
            started = time.perf_counter()
            result = self._program(
                {
                    name: column[rows].reshape(self._shape)
                    for name, column in zip(self._names, columns, strict=True)
                },
                np.asarray(starts, float)[rows].reshape(*self._shape, 2),
            )
            result = jax.device_get(result)
            self.run_seconds += time.perf_counter() - started
            number = min(capacity, runs - low)
            parts.append(
                jax.tree.map(lambda leaf, n=number: leaf.reshape(capacity, *leaf.shape[2:])[:n], result)
            )
        return DescentResult(*(np.concatenate(leaves) for leaves in zip(*parts, strict=True)))


def _run_tile(
    landscape: Landscape,
    optimizer: Optimizer,
    hyperparameters: Hyperparameters,
    starts: jax.Array,
    *,
    tolerances: Sequence[float],
    iterations: int,
    keep_path: bool,
) -> DescentResult:
    """The runs of one tile, from ``starts`` of shape (runs, 2).

    As published, ``fn`` is tested after each update, and the start itself is not tested.
    """
    runs = starts.shape[0]
    value_and_gradient = jax.vmap(jax.value_and_grad(landscape.fn))
    excess_allowed = jnp.asarray(tolerances)

    def step(values: Hyperparameters, theta: Any, state: Any, gradient: Any, value: Any) -> Any:
        # As in optax: optimisers that need the loss get it, the others ignore it.
        transformation = optax.with_extra_args_support(optimizer(**values))
        updates, state = transformation.update(gradient, state, theta, value=value)
        return theta + updates, state

    def wanted(carry: _Carry) -> jax.Array:
        return jnp.isfinite(carry.value) & jnp.any(carry.iterations == 0, axis=1)

    def goes_on(carry: _Carry) -> jax.Array:
        return (carry.made < iterations) & jnp.any(wanted(carry))

    def advance(carry: _Carry) -> _Carry:
        theta, state = jax.vmap(step)(
            dict(hyperparameters), carry.theta, carry.state, carry.gradient, carry.value
        )
        value, gradient = value_and_gradient(theta)
        made = carry.made + 1
        reached = (carry.iterations == 0) & ((value - landscape.minimum)[:, None] < excess_allowed)
        path = carry.path.at[carry.made].set(theta) if keep_path else carry.path
        return _Carry(
            made=made,
            theta=theta,
            state=state,
            value=value,
            gradient=gradient,
            iterations=jnp.where(reached, made, carry.iterations),
            values=jnp.where(reached | (carry.iterations == 0), value[:, None], carry.values),
            steps=jnp.where(wanted(carry), made, carry.steps),
            path=path,
        )

    value, gradient = value_and_gradient(starts)
    shape = (runs, len(tolerances))
    final = jax.lax.while_loop(
        goes_on,
        advance,
        _Carry(
            made=jnp.int32(0),
            theta=starts,
            state=jax.vmap(lambda values, theta: optimizer(**values).init(theta))(
                dict(hyperparameters), starts
            ),
            value=value,
            gradient=gradient,
            iterations=jnp.zeros(shape, jnp.int32),
            values=jnp.broadcast_to(value[:, None], shape),
            steps=jnp.zeros(runs, jnp.int32),
            path=jnp.zeros((iterations if keep_path else 0, runs, 2)),
        ),
    )
    return DescentResult(final.iterations, final.values, final.steps, jnp.swapaxes(final.path, 0, 1))


def _abstract(shape: tuple[int, ...], dtype: Any, sharding: Any) -> Any:
    return jax.ShapeDtypeStruct(shape, dtype, sharding=sharding)


def over_devices(
    work: Callable[[Item, jax.Device], Result], items: Sequence[Item], devices: Sequence[jax.Device]
) -> Iterator[Result]:
    """Yields ``work`` of each item, in order; item i always runs on device i modulo their number.

    A program is compiled for its device, so an item that moved would miss the compilation cache.
    """
    pools = [ThreadPoolExecutor(1) for _ in devices]
    try:
        futures = [
            pools[i % len(devices)].submit(work, item, devices[i % len(devices)])
            for i, item in enumerate(items)
        ]
        for future in futures:
            yield future.result()
    finally:
        for pool in pools:
            pool.shutdown(cancel_futures=True)
