"""The published grid: every configuration of every optimizer on every function, from the published start."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import jax
import numpy as np
import pandas as pd

from induced_metric.landscapes.candidates import Contender, duplicates
from induced_metric.landscapes.descent import Outcome, Program, over_devices
from induced_metric.landscapes.functions import Landscape
from induced_metric.landscapes.replay import Replay

NOTEBOOK = "notebook"  # the tolerance that belongs to the function; the others hold for all


class Grid(NamedTuple):
    """What ``run_grid`` recorded.

    Attributes:
        runs: one row a run and tolerance: ``function``, ``optimizer``, ``configuration`` (in grid order),
            ``duplicate`` (of an earlier configuration), the hyperparameters, ``tolerance``, ``converged``,
            ``iterations`` (updates until it converged, or until it was stopped), ``final_value`` (there)
            and ``diverged`` (stopped because the value was no longer finite).
        nudged: the same runs from starts moved by a few rounding errors: ``function``, ``optimizer``,
            ``configuration``, ``tolerance``, ``nudge``, ``iterations`` (0: never converged), ``final_value``.
        paths: the paths of the runs that ``select`` chose, point by point; see ``Replay``.
        compile_seconds: summed over programs.
        run_seconds: device seconds of ``runs`` and ``nudged``, summed over devices.
    """

    runs: pd.DataFrame
    nudged: pd.DataFrame
    paths: pd.DataFrame
    compile_seconds: float
    run_seconds: float


def tolerances_of(landscape: Landscape, tolerances: Mapping[str, float]) -> dict[str, float]:
    """The function's own tolerance and those that hold for all functions, by name."""
    return {NOTEBOOK: landscape.tolerance, **tolerances}


def run_grid(
    landscapes: Mapping[str, Landscape],
    contenders: Sequence[Contender],
    *,
    tolerances: Mapping[str, float],
    iterations: int,
    nudges: Sequence[int],
    select: Callable[[pd.DataFrame], pd.DataFrame],
    devices: Sequence[jax.Device],
    tile: int = 64,
) -> Grid:
    """Runs the grid.

    Args:
        landscapes: the functions, by name.
        contenders: the optimizers with their grids.
        tolerances: beside each function's own.
        iterations: the most updates of a run.
        nudges: repeats of the grid, each from starts moved by so many units in the last place, the same
            for x and y, since a start on a diagonal stays there. What they change is decided by rounding.
        select: from ``runs`` to those of its rows whose paths are to be kept.
        devices: each runs its share of the programs.
        tile: runs that advance together.
    """
    pairs = [(name, contender) for contender in contenders for name in landscapes]
    work = partial(
        _run_pair,
        landscapes=landscapes,
        tolerances=tolerances,
        iterations=iterations,
        nudges=nudges,
        select=select,
        tile=tile,
    )
    parts = list(over_devices(work, pairs, devices))
    return Grid(
        runs=pd.concat([part.runs for part in parts], ignore_index=True),
        nudged=pd.concat([part.nudged for part in parts], ignore_index=True),
        paths=pd.concat([part.paths for part in parts], ignore_index=True),
        compile_seconds=sum(part.compile_seconds for part in parts),
        run_seconds=sum(part.run_seconds for part in parts),
    )


def _run_pair(
    pair: tuple[str, Contender],
    device: jax.Device,
    *,
    landscapes: Mapping[str, Landscape],
    tolerances: Mapping[str, float],
    iterations: int,
    nudges: Sequence[int],
    select: Callable[[pd.DataFrame], pd.DataFrame],
    tile: int,
) -> Grid:
    name, contender = pair
    landscape = landscapes[name]
    names = tolerances_of(landscape, tolerances)
    columns = contender.configurations()
    configurations = len(next(iter(columns.values())))
    program = Program(
        landscape,
        contender.partial(list(columns)),
        list(columns),
        tolerances=list(names.values()),
        iterations=iterations,
        keep_path=True,
        tile=tile,
        tiles=-(-configurations // tile),
        device=device,
    )
    start = np.array(landscape.start)
    outcome = program(columns, np.tile(start, (configurations, 1)))
    identity = {
        "function": name,
        "optimizer": contender.name,
        "configuration": np.arange(configurations, dtype=np.int32),
    }
    runs = pd.concat(
        [
            pd.DataFrame(
                {
                    **identity,
                    "duplicate": duplicates(columns),
                    **columns,
                    "tolerance": tolerance,
                    **_ended(outcome, index),
                }
            )
            for index, tolerance in enumerate(names)
        ],
        ignore_index=True,
    )
    nudged = [
        pd.DataFrame(
            {
                **identity,
                "tolerance": tolerance,
                "nudge": np.int8(nudge),
                "iterations": moved.iterations[:, index],
                "final_value": moved.values[:, index],
            }
        )
        for nudge in nudges
        for moved in [program(columns, np.tile(_nudge(start, nudge), (configurations, 1)))]
        for index, tolerance in enumerate(names)
    ]
    replay = Replay(landscape, contender, list(columns), iterations=iterations, device=device)
    paths = [
        replay(
            {column: float(row[column]) for column in columns},
            np.concatenate([start[None], outcome.path[row["configuration"], : row["iterations"]]]),
        ).assign(
            function=name,
            optimizer=contender.name,
            configuration=row["configuration"],
            tolerance=row["tolerance"],
        )
        for row in select(runs).to_dict("records")
    ]
    return Grid(
        runs,
        pd.concat(nudged, ignore_index=True) if nudged else pd.DataFrame(),
        pd.concat(paths, ignore_index=True),
        program.compile_seconds,
        program.run_seconds,
    )


def _ended(outcome: Outcome, index: int) -> dict[str, np.ndarray]:
    reached = outcome.iterations[:, index]
    values = outcome.values[:, index]
    return {
        "converged": reached > 0,
        "iterations": np.where(reached > 0, reached, outcome.steps),
        "final_value": values,
        "diverged": ~np.isfinite(values),
    }


def _nudge(start: np.ndarray, units: int) -> np.ndarray:
    """``start`` moved by so many units in the last place of numbers of its size, but at least of 1."""
    return np.asarray(start + units * np.spacing(max(1.0, float(np.abs(start).max()))))
