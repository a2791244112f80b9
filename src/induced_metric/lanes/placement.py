"""Where lanes run and how wide they are: devices, layout, width and queue, chosen once a study."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from induced_metric.lanes.engine import Lanes, default_layout
from induced_metric.lanes.group import Assignment
from induced_metric.lanes.program import Layout
from induced_metric.lanes.variants import Place, Shared

# Mapped lanes run one after the other: two keep their device busy while the host serves two others.
_MAPPED_WIDTH = 2
_MOST_WIDTH = 256
_WORTHWHILE = 1.1  # twice the lanes must do at least this many times the work
_FLOAT32_BITS = 23  # after the first
_PRECISIONS = {_FLOAT32_BITS: "float32", 10: "tensorfloat32", 7: "bfloat16"}


@dataclass(frozen=True, kw_only=True)
class Placement:
    """How the lanes of a study lie on the devices; ``Lanes`` explains each setting.

    Attributes:
        width: lanes of a dispatch; ``auto`` takes two where they are mapped, and measures where they are
            vmapped.
        queue: dispatches in flight per device.
        steps_per_dispatch: most steps that a lane runs between two reports to the host.
        layout: ``map``, ``vmap``, or ``auto`` for what suits the device.
        data_parallel: how many devices divide each batch of a trial; each such group of devices has trials
            of its own. ``auto`` takes, on a CPU, the most devices that divide a batch evenly, all for one
            trial at a time, and a single accelerator.
        trials: the most that will be under way at once, by default any number. There are no devices, lanes
            or dispatches for more: on an accelerator an idle lane computes as much as another.

    Raises:
        ValueError: for a setting out of range.
    """

    width: int | Literal["auto"] = "auto"
    queue: int = 2
    steps_per_dispatch: int = 20
    layout: Layout = "auto"
    data_parallel: int | Literal["auto"] = 1
    trials: int | None = None

    def __post_init__(self) -> None:
        """Checks what needs no device."""
        for name in ("width", "queue", "steps_per_dispatch", "data_parallel"):
            value = getattr(self, name)
            if value != "auto" and value < 1:
                raise ValueError(f"{name} must be >= 1, got {value}")

    def for_trials(self, trials: int) -> "Placement":
        """The same for so many trials at once."""
        return replace(self, trials=trials)

    def shards(self, examples: int) -> int:
        """How many devices divide each batch of so many examples.

        Raises:
            ValueError: if they do not divide the devices, or the batch.
        """
        devices = len(jax.devices())
        if self.data_parallel == "auto":
            return most_shards(devices, examples) if jax.default_backend() == "cpu" else 1
        if devices % self.data_parallel:
            raise ValueError(
                f"data_parallel must be auto or an integer that divides the {devices} devices, "
                f"got {self.data_parallel}"
            )
        if self.data_parallel > 1 and examples % self.data_parallel:
            raise ValueError(
                f"data_parallel must divide the {examples} examples computed at once (the batch, or its "
                f"micro-batches), got {self.data_parallel}"
            )
        return self.data_parallel

    def places(self, examples: int) -> Sequence[Place]:
        """The devices that train trials of their own, or meshes of devices that divide a trial's batches."""
        devices, together = jax.devices(), self.shards(examples)
        if self.data_parallel == "auto" and jax.default_backend() == "cpu":
            devices = devices[:together]  # one trial at a time: the devices of a CPU share its memory
        if together == 1:
            return devices[: self.trials]
        meshes = [
            jax.NamedSharding(jax.sharding.Mesh(devices[first : first + together], "data"), jax.P())
            for first in range(0, len(devices), together)
        ]
        return meshes[: self.trials]

    def lanes(
        self, init: Callable[..., Any], advance: Callable[..., Any], *, trial: Assignment, examples: int = 1,
        static: Sequence[str] = (), shared: Shared = (),
    ) -> Lanes:  # fmt: skip
        """The lanes.

        Args:
            init: as of ``Lanes``.
            advance: as of ``Lanes``.
            trial: an example of the trials, to measure with.
            examples: how many are computed at once; the devices divide them.
            static: names of those of its hyperparameters whose values are static.
            shared: as of ``Lanes``.
        """
        places = self.places(examples)
        layout = default_layout() if self.layout == "auto" else self.layout

        def make(width: int) -> Lanes:
            width, queue = self._fit(width, layout, len(places))
            return Lanes(
                init, advance, hyperparameters=[name for name in trial.hyperparameters if name not in static],
                static=static, shared=shared, devices=places, width=width, queue=queue,
                steps_per_dispatch=self.steps_per_dispatch, layout=self.layout,
            )  # fmt: skip

        if self.width != "auto":
            return make(self.width)
        if layout != "vmap":
            return make(_MAPPED_WIDTH)
        share = _MOST_WIDTH if self.trials is None else -(-self.trials // len(places))
        return make(best_width(make, trial, most=min(share, _MOST_WIDTH)))

    def _fit(self, width: int, layout: Layout, places: int) -> tuple[int, int]:
        """Width and queue of each device, for its share of the trials."""
        if self.trials is None:
            return width, self.queue
        trials = -(-self.trials // places)
        if layout == "vmap":  # a wider dispatch takes hardly longer, so few trials share one
            width = min(width, trials)
            return width, min(self.queue, -(-trials // width))
        queue = min(self.queue, trials)  # one computes while the host serves another
        return min(width, -(-trials // queue)), queue


def most_shards(devices: int, examples: int) -> int:
    """The most of so many devices that can divide so many examples evenly."""
    return max(count for count in range(1, devices + 1) if examples % count == 0)


def best_width(
    make: Callable[[int], Lanes],
    trial: Assignment,
    *,
    most: int = _MOST_WIDTH,
    clock: Callable[[], float] = time.perf_counter,
) -> int:
    """The fewest lanes, a power of two or ``most``, whose throughput twice as many hardly exceed.

    Args:
        make: the engine with so many lanes a dispatch.
        trial: a trial to measure with; two of its steps are run in every lane.
        most: where to end.
        clock: seconds from any beginning.

    Returns:
        The width; the widest that fits in memory where that ends the search.
    """
    if most == 1:
        return 1
    best, rate = 1, 0.0
    for width in sorted({most, *(2**power for power in range(most.bit_length()))}):
        try:
            new = _steps_per_second(make, width, trial, clock)
        except jax.errors.JaxRuntimeError as error:
            if "RESOURCE_EXHAUSTED" not in str(error) or width == 1:
                raise
            break
        if new < _WORTHWHILE * rate:
            break
        best, rate = width, new
    return best


def _steps_per_second(
    make: Callable[[int], Lanes], width: int, trial: Assignment, clock: Callable[[], float]
) -> float:
    with make(width) as lanes:
        waiting = [trial._replace(trial=lane, steps=2) for lane in range(lanes.capacity)]
        steps = 2 * len(waiting)
        start = clock()
        lanes.run(lambda: waiting.pop() if waiting else None, lambda reports: [True] * len(reports))
        return steps / (clock() - start)


def device_facts(matmul_precision: str | None = None) -> dict[str, Any]:
    """What a record says about the devices that trained it.

    Args:
        matmul_precision: that was asked for, as JAX calls it; by default JAX's own.
    """
    devices = jax.devices()
    with jax.default_matmul_precision(matmul_precision or jax.config.jax_default_matmul_precision):  # type: ignore[attr-defined]
        return {
            "device": devices[0].device_kind,
            "devices": len(devices),
            "jax_default_matmul_precision": jax.config.jax_default_matmul_precision,  # type: ignore[attr-defined]
            "matmul_precision": _matmul_precision(),
        }


def lane_facts(lanes: Lanes) -> dict[str, Any]:
    """What a record says about the lanes that trained it; ``records`` says what ``seconds`` then are."""
    places = lanes.capacity // (lanes.width * lanes.queue)
    return {"lanes": {"layout": lanes.layout, "width": lanes.width, "queue": lanes.queue, "places": places}}


def _matmul_precision() -> str:
    """The precision of a product of float32 matrices on the default device, measured: its default differs."""
    # 1 + 2^-k survives a product with the identity where factors keep at least k bits after the first.
    numbers = np.ones(128, np.float32)
    numbers[:_FLOAT32_BITS] += 2.0 ** -np.arange(1, _FLOAT32_BITS + 1)
    product = np.diag(jax.device_get(jnp.diag(numbers) @ jnp.eye(len(numbers), dtype=jnp.float32)))
    kept = (product == numbers)[:_FLOAT32_BITS]
    bits = _FLOAT32_BITS if kept.all() else int(kept.argmin())
    return _PRECISIONS.get(bits, f"{bits} bits")
