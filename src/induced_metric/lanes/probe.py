"""Which layout and width of lanes do most work a second on this device: measured, once a study."""

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax

from induced_metric.lanes.engine import Lanes
from induced_metric.lanes.group import Assignment
from induced_metric.lanes.program import Layout

MOST_WIDTH = 256
# Mapped lanes run one after the other: two keep their device busy while the host serves two others.
MAPPED_WIDTH = 2
_WORTHWHILE = 1.1  # twice the lanes must do at least this many times the work
PROBED_STEPS = 2  # of each lane, to measure with

Make = Callable[[Layout, int], Lanes]


class Choice(NamedTuple):
    """What is used, and why.

    Attributes:
        layout: ``map`` or ``vmap``.
        width: lanes of a dispatch.
        rates: steps a second of all lanes, by what was tried: ``vmap 8``; empty if nothing was.
        most: the widest that was to be tried.
    """

    layout: Layout
    width: int
    rates: Mapping[str, float]
    most: int

    @property
    def seconds_per_step(self) -> float | None:
        """Of a dispatch of one step a lane, were there one device; None if nothing was measured."""
        rates = [rate for name, rate in self.rates.items() if name.startswith(f"{self.layout} ")]
        return self.width / max(rates) if rates else None

    def suffices(self, most: int) -> bool:
        """Whether what was tried says what is best among up to so many lanes."""
        return bool(self.rates) and (self.width < self.most or most <= self.most)


def fastest(
    make: Make,
    trial: Assignment,
    layouts: Sequence[Layout],
    *,
    most: int = MOST_WIDTH,
    clock: Callable[[], float] = time.perf_counter,
) -> Choice:
    """The fewest lanes, a power of two or ``most``, whose throughput twice as many hardly exceed.

    Where lanes may be mapped too, that is tried first, and vmapped ones must do more than it does: vmapped
    convolutions are grouped ones, which are slow.

    Args:
        make: the engine of a layout with so many lanes a dispatch.
        trial: a trial to measure with; two of its steps are run in every lane.
        layouts: to choose from: ``vmap``, or it and ``map``.
        most: where to end.
        clock: seconds from any beginning.

    Returns:
        The choice; the widest that fits in memory where that ends the search.
    """
    first: Layout = "map" if "map" in layouts else "vmap"
    if most == 1:
        return Choice(first, 1, {}, 1)
    widths = sorted({most, *(2**power for power in range(1, most.bit_length()))})
    best, rates = (first, 1), dict[str, float]()
    for layout, width in [(first, 1), *(("vmap", width) for width in widths)]:
        try:
            rate = _steps_per_second(lambda: make(layout, width), trial, clock)  # noqa: B023
        except jax.errors.JaxRuntimeError as error:
            if not out_of_memory(error) or width == 1:
                raise
            break
        before = max(rates.values(), default=0.0)
        rates[f"{layout} {width}"] = rate
        if rate < _WORTHWHILE * before:
            break
        best = layout, width
    layout, width = best
    return Choice(layout, MAPPED_WIDTH if layout == "map" else width, rates, most)


def fitting(make: Callable[[int], Lanes], width: int) -> tuple[Lanes, int]:
    """The engine with so many lanes, or half as many, and so on, until they fit in memory; and how many."""
    while True:
        try:
            return make(width), width
        except jax.errors.JaxRuntimeError as error:
            if not out_of_memory(error) or width == 1:
                raise
        warnings.warn(
            f"{width} lanes do not fit in the memory of the device, so {width // 2} are tried", stacklevel=2
        )
        width //= 2


def out_of_memory(error: Exception) -> bool:
    """Whether XLA got no memory."""
    return "RESOURCE_EXHAUSTED" in str(error)


def _steps_per_second(make: Callable[[], Any], trial: Assignment, clock: Callable[[], float]) -> float:
    with make() as lanes:
        waiting = [trial._replace(trial=lane, steps=PROBED_STEPS) for lane in range(lanes.capacity)]
        steps = PROBED_STEPS * len(waiting)
        start = clock()
        lanes.run(lambda: waiting.pop() if waiting else None, lambda reports: [True] * len(reports))
        return steps / (clock() - start)
