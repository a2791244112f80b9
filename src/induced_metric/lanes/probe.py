"""Measures which layout and width of lanes do the most work per second on this device, once per study."""

import gc
import math
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax

from induced_metric.errors import out_of_memory
from induced_metric.lanes.engine import Lanes
from induced_metric.lanes.group import Assignment
from induced_metric.lanes.program import Layout

MOST_WIDTH = 512
# Mapped lanes run one after the other: two keep their device busy while the host serves two others.
MAPPED_WIDTH = 2
_GROWTH = 4  # each width is a program to compile, so powers of 4 come first, then the width in between
_WORTHWHILE = 1.1  # twice the lanes must do at least this many times the work
_PROBED_STEPS = 2  # of each lane, to measure with; more if these take hardly any time
_ENOUGH, _REPEATS = 0.1, 3  # seconds that suffice to measure, and how often to repeat shorter runs

Make = Callable[[Layout, int], Lanes]


class Choice(NamedTuple):
    """What is used, and why.

    Attributes:
        layout: ``map`` or ``vmap``.
        width: lanes of a dispatch.
        rates: steps per second of all lanes, by what was tried, such as ``vmap 8``; empty if nothing was.
        most: the greatest width that was to be tried.
    """

    layout: Layout
    width: int
    rates: Mapping[str, float]
    most: int

    @property
    def seconds_per_step(self) -> float | None:
        """Seconds of a dispatch of one step per lane with one device; None if nothing was measured."""
        rates = [rate for name, rate in self.rates.items() if name.startswith(f"{self.layout} ")]
        return self.width / max(rates) if rates else None

    def suffices(self, most: int) -> bool:
        """Whether what was tried shows what is best among up to ``most`` lanes."""
        return bool(self.rates) and (self.width < self.most or most <= self.most)


def fastest(
    make: Make,
    trial: Assignment,
    layouts: Sequence[Layout],
    *,
    most: int = MOST_WIDTH,
    clock: Callable[[], float] = time.perf_counter,
) -> Choice:
    """The fewest lanes whose throughput hardly rises if their number doubles: a power of two, or ``most``.

    If lanes may be mapped, too, that is tried first, and vmapped lanes must do more work: vmapped
    convolutions become grouped ones, which are slow. Each width tried is four times the one before, until it
    does not pay or does not fit; then twice the last width that paid is tried.

    Args:
        make: makes the engine with this layout and this many lanes in a dispatch.
        trial: a trial to measure with; some of its steps are run in every lane.
        layouts: layouts to choose from: ``vmap``, or it and ``map``.
        most: the greatest width to try.
        clock: returns seconds from an arbitrary start.

    Raises:
        Exception: whatever the program raises, unless it runs out of memory.
    """
    initial: Layout = "map" if "map" in layouts else "vmap"
    if most == 1:
        return Choice(initial, 1, {}, 1)
    rates = {f"{initial} 1": _steps_per_second(lambda: make(initial, 1), trial, clock)}
    layout, width = initial, 1
    for wider in [*(_GROWTH**k for k in range(1, most.bit_length()) if _GROWTH**k < most), most]:
        before = max(rates.values())
        rate = _measured(make, wider, trial, clock, rates)
        if rate is not None and rate >= before * _WORTHWHILE ** math.log2(wider / width):
            layout, width = "vmap", wider
            continue
        between = 2 * width
        if between < wider and (rate is None or rate >= _WORTHWHILE * before):
            rate = _measured(make, between, trial, clock, rates)
            if rate is not None and rate >= _WORTHWHILE * before:
                layout, width = "vmap", between
        break
    return Choice(layout, MAPPED_WIDTH if layout == "map" else width, rates, most)


def faster(
    make: Make, trial: Assignment, width: int, *, clock: Callable[[], float] = time.perf_counter
) -> Choice:
    """Lanes of this width, vmapped if that does more work than mapping; arguments as in ``fastest``.

    If they do not fit in memory, half as many are measured, and so on.
    """
    rates = {"map 1": _steps_per_second(lambda: make("map", 1), trial, clock)}
    tried = width
    while tried > 1 and _measured(make, tried, trial, clock, rates) is None:
        tried //= 2
    layout: Layout = "vmap" if max(rates, key=lambda name: rates[name]) != "map 1" else "map"
    return Choice(layout, width, rates, width)


def _measured(
    make: Make, width: int, trial: Assignment, clock: Callable[[], float], rates: dict[str, float]
) -> float | None:
    """Steps per second of vmapped lanes of this width, also put into ``rates``; None if they do not fit."""
    try:
        rate = _steps_per_second(lambda: make("vmap", width), trial, clock)
    except (jax.errors.JaxRuntimeError, ValueError) as error:
        if not out_of_memory(error):
            raise
    else:
        rates[f"vmap {width}"] = rate
        return rate
    gc.collect()  # the frames of the error held what did not fit
    return None


def fitting(make: Callable[[int], Lanes], width: int, trial: Assignment | None = None) -> tuple[Lanes, int]:
    """The engine with ``width`` lanes, or half as many, and so on, until they fit in memory; and how many.

    Args:
        make: makes the engine with so many lanes.
        width: the most lanes.
        trial: a trial whose program must fit. Without static hyperparameters, ``make`` compiles the only one.
    """
    while True:
        try:
            # A single lane that does not fit fails its trials alone.
            return _compiled(make, width, trial if width > 1 else None), width
        except (jax.errors.JaxRuntimeError, ValueError) as error:
            if not out_of_memory(error) or width == 1:
                raise
        gc.collect()  # the frames of the error held what did not fit
        warnings.warn(
            f"{width} lanes do not fit in the memory of the device, so {width // 2} are tried", stacklevel=2
        )
        width //= 2


def _compiled(make: Callable[[int], Lanes], width: int, trial: Assignment | None) -> Lanes:
    """The engine, with the program of a trial; if that does not fit, closes the lanes and raises why."""
    lanes = make(width)
    if trial is not None:
        try:
            lanes.compile(trial.hyperparameters)
        except Exception as error:  # whatever the program raises, which its own trials are told
            if out_of_memory(error):
                lanes.close()
                raise
    return lanes


def _steps_per_second(make: Callable[[], Any], trial: Assignment, clock: Callable[[], float]) -> float:
    """Steps per second of all lanes, in the best of some runs: other work only makes a device slower."""
    with make() as lanes:

        def seconds(steps: int) -> float:
            trials = [trial._replace(trial=lane, steps=steps) for lane in range(lanes.capacity)]
            start = clock()
            lanes.run_all(trials)
            return clock() - start

        steps = min(_PROBED_STEPS, lanes.steps_per_dispatch)
        seconds(steps)  # loads what is slow the first time, and compiles if hyperparameters are static
        took = seconds(steps)
        if took < _ENOUGH:
            steps = min(
                int(steps * _ENOUGH / took) if took else trial.steps, lanes.steps_per_dispatch, trial.steps
            )
            took = min(seconds(steps) for _ in range(_REPEATS))
        return steps * lanes.capacity / took
