"""How many lanes to vmap on an accelerator: measured, not guessed."""

import time
from collections.abc import Callable

import jax

from induced_metric.lanes import Assignment, Lanes

_WORTHWHILE = 1.1  # twice the lanes must do at least this many times the work


def best_width(
    make: Callable[[int], Lanes],
    trial: Assignment,
    *,
    most: int = 256,
    clock: Callable[[], float] = time.perf_counter,
) -> int:
    """The number of lanes, a power of two or ``most``, from which on more of them hardly do more work.

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
