"""The published grid: every configuration of every optimiser on every function, from the published start."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import jax
import numpy as np
import pandas as pd

from induced_metric.landscapes.candidates import Candidate, Case, cases, duplicates
from induced_metric.landscapes.descent import CompiledDescent, DescentResult, over_devices
from induced_metric.landscapes.functions import Landscape
from induced_metric.landscapes.replay import Replay
from induced_metric.landscapes.settings import GridSettings


class Grid(NamedTuple):
    """What ``run_grid`` recorded.

    Attributes:
        runs: one row per run and tolerance: ``function``, ``optimizer``, ``configuration`` (in grid order),
            ``duplicate`` (of an earlier configuration), the hyperparameters, ``tolerance``, ``converged``,
            ``iterations`` (updates until it converged or was stopped), ``final_value`` (after these updates)
            and ``diverged`` (stopped because the value was no longer finite).
        nudged: the same runs from starts moved by a few rounding errors: ``function``, ``optimizer``,
            ``configuration``, ``tolerance``, ``nudge``, ``iterations`` (0: never converged), ``final_value``.
        paths: the paths of the runs that ``select`` chose, point by point; see ``Replay``.
        compile_seconds: seconds of compilation, summed over programs.
        run_seconds: device seconds of ``runs`` and ``nudged``, summed over devices.
    """

    runs: pd.DataFrame
    nudged: pd.DataFrame
    paths: pd.DataFrame
    compile_seconds: float
    run_seconds: float


def run_grid(
    landscapes: Mapping[str, Landscape],
    candidates: Sequence[Candidate],
    settings: GridSettings,
    *,
    select: Callable[[pd.DataFrame], pd.DataFrame],
    devices: Sequence[jax.Device],
) -> Grid:
    """Runs the grid.

    Args:
        landscapes: the functions, by name.
        candidates: the optimisers with their grids.
        settings: the size of the grid study.
        select: takes ``runs`` and returns the rows whose paths are kept.
        devices: each runs its share of the programs.
    """
    work = partial(_run_case, settings=settings, select=select)
    parts = list(over_devices(work, cases(landscapes, candidates, controls=False), devices))
    return Grid(
        runs=pd.concat([part.runs for part in parts], ignore_index=True),
        nudged=pd.concat([part.nudged for part in parts], ignore_index=True),
        paths=pd.concat([part.paths for part in parts], ignore_index=True),
        compile_seconds=sum(part.compile_seconds for part in parts),
        run_seconds=sum(part.run_seconds for part in parts),
    )


def _run_case(
    case: Case,
    device: jax.Device,
    *,
    settings: GridSettings,
    select: Callable[[pd.DataFrame], pd.DataFrame],
) -> Grid:
    landscape, candidate = case.landscape, case.candidate
    tolerances = landscape.tolerances(settings.tolerances)
    columns = candidate.configurations()
    configurations = len(next(iter(columns.values())))
    descent = CompiledDescent(
        landscape,
        candidate.partial(list(columns)),
        list(columns),
        tolerances=list(tolerances.values()),
        iterations=settings.iterations,
        keep_path=True,
        tile=settings.tile,
        tiles=-(-configurations // settings.tile),
        device=device,
    )
    start = np.array(landscape.start)
    result = descent(columns, np.tile(start, (configurations, 1)))
    identity = {
        "function": case.function,
        "optimizer": candidate.name,
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
                    **_ended(result, index),
                }
            )
            for index, tolerance in enumerate(tolerances)
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
        for nudge in settings.nudges
        for moved in [descent(columns, np.tile(_nudge(start, nudge), (configurations, 1)))]
        for index, tolerance in enumerate(tolerances)
    ]
    replay = Replay(landscape, candidate, list(columns), iterations=settings.iterations, device=device)
    paths = [
        replay(
            {column: float(row[column]) for column in columns},
            np.concatenate([start[None], result.path[row["configuration"], : row["iterations"]]]),
        ).assign(
            function=case.function,
            optimizer=candidate.name,
            configuration=row["configuration"],
            tolerance=row["tolerance"],
        )
        for row in select(runs).to_dict("records")
    ]
    return Grid(
        runs,
        pd.concat(nudged, ignore_index=True) if nudged else pd.DataFrame(),
        pd.concat(paths, ignore_index=True),
        descent.compile_seconds,
        descent.run_seconds,
    )


def _ended(result: DescentResult, index: int) -> dict[str, np.ndarray]:
    reached = result.iterations[:, index]
    values = result.values[:, index]
    return {
        "converged": reached > 0,
        "iterations": np.where(reached > 0, reached, result.steps),
        "final_value": values,
        "diverged": ~np.isfinite(values),
    }


def _nudge(start: np.ndarray, units: int) -> np.ndarray:
    """``start`` moved by ``units`` units in the last place of the greatest of abs(x), abs(y) and 1."""
    return np.asarray(start + units * np.spacing(max(1.0, float(np.abs(start).max()))))
