"""The runs of the interactive page: every optimiser on every function, from a few settings and starts.

Each run is recorded with the metric along its path.
"""

import itertools
from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import jax
import numpy as np
import pandas as pd

from induced_metric.landscapes.candidates import Candidate, Case, cases
from induced_metric.landscapes.descent import CompiledDescent, over_devices
from induced_metric.landscapes.functions import Landscape, Point
from induced_metric.landscapes.replay import Replay, surface
from induced_metric.landscapes.settings import PageSettings

_TILE = 16  # runs that advance together


class Gallery(NamedTuple):
    """What ``run_gallery`` recorded.

    Attributes:
        runs: one row per run: ``run``, ``function``, ``optimizer``, ``offset`` (by which the function was
            raised), ``start_x``, ``start_y``, the hyperparameters, ``converged`` and ``iterations``.
        points: some points of each run, float32, by ``run``; columns as in ``Replay``, but ``value`` is that
            of the function as it is, not raised.
        surfaces: ``function``, ``x``, ``y``, ``value`` on a grid over the part of each domain shown.
        minima: ``function``, ``x``, ``y`` and ``minimum``.
    """

    runs: pd.DataFrame
    points: pd.DataFrame
    surfaces: pd.DataFrame
    minima: pd.DataFrame


def view(landscape: Landscape, margin: float = 0.6) -> tuple[Point, Point]:
    """The part of the plane that is shown: the start, the minima, and a margin around them."""
    points = np.array([landscape.start, *landscape.minima])
    centre = (points.min(axis=0) + points.max(axis=0)) / 2
    half = (0.5 + margin) * float(np.ptp(points, axis=0).max())
    (x_low, y_low), (x_high, y_high) = centre - half, centre + half
    return (float(x_low), float(x_high)), (float(y_low), float(y_high))


def shown(points: int, number: int) -> np.ndarray:
    """At most ``number`` indices of a path: all of the first ones, then ever fewer, and the last."""
    if points <= number:
        return np.arange(points)
    return np.unique(np.geomspace(1, points, number).round().astype(int) - 1)


def run_gallery(
    landscapes: Mapping[str, Landscape],
    candidates: Sequence[Candidate],
    settings: PageSettings,
    *,
    devices: Sequence[jax.Device],
) -> Gallery:
    """Runs the gallery; each of ``devices`` runs its share of the programs."""
    runs, kept, number = [], [], 0
    work = partial(_run_case, settings=settings)
    for own_runs, own_points in over_devices(work, cases(landscapes, candidates, controls=True), devices):
        runs.append(own_runs.assign(run=own_runs["run"] + number))
        kept.append(own_points.assign(run=own_points["run"] + number))
        number += len(own_runs)
    surfaces = [
        surface(landscape, view(landscape), settings.resolution).assign(function=name)
        for name, landscape in landscapes.items()
    ]
    minima = [
        {"function": name, "x": x, "y": y, "minimum": landscape.minimum}
        for name, landscape in landscapes.items()
        for x, y in landscape.minima
    ]
    return Gallery(
        pd.concat(runs, ignore_index=True),
        pd.concat(kept, ignore_index=True),
        pd.concat(surfaces, ignore_index=True).astype({"value": np.float32}),
        pd.DataFrame(minima),
    )


def _run_case(case: Case, device: jax.Device, *, settings: PageSettings) -> tuple[pd.DataFrame, pd.DataFrame]:
    landscape, candidate = case.raised, case.candidate
    choices = {
        candidate.momentum if key == "momentum" else key: values for key, values in settings.choices.items()
    }
    choices = {key: values for key, values in choices.items() if key in candidate.default}
    chosen = [dict(zip(choices, values, strict=True)) for values in itertools.product(*choices.values())]
    low, high = np.array(view(landscape)).T
    generator = np.random.default_rng([settings.seed, *b"gallery", *case.function.encode()])
    places = np.concatenate([[landscape.start], generator.uniform(low, high, (settings.starts - 1, 2))])
    runs = [(setting, place) for setting in chosen for place in places]
    descent = CompiledDescent(
        landscape,
        candidate.partial(list(choices)),
        list(choices),
        tolerances=[landscape.tolerance],
        iterations=settings.iterations,
        keep_path=True,
        tile=_TILE,
        tiles=-(-len(runs) // _TILE),
        device=device,
    )
    result = descent(
        {key: np.array([setting[key] for setting, _ in runs]) for key in choices},
        np.array([place for _, place in runs]),
    )
    replay = Replay(landscape, candidate, list(choices), iterations=settings.iterations, device=device)
    rows, kept = [], []
    for number, (setting, place) in enumerate(runs):
        reached = int(result.iterations[number, 0])
        length = reached or int(result.steps[number])
        rows.append(
            {
                "run": number,
                **case.identity,
                "start_x": place[0],
                "start_y": place[1],
                **setting,
                "converged": reached > 0,
                "iterations": length,
            }
        )
        path = replay(setting, np.concatenate([place[None], result.path[number, :length]]))
        # Subtracted while in double precision: in float32, f + 1 has lost the digits of a small f.
        path["value"] -= case.offset
        kept.append(path.iloc[shown(len(path), settings.points)].assign(run=number))
    frame = pd.concat(kept, ignore_index=True)
    floats = [str(column) for column in frame if frame[column].dtype == np.float64]
    # Values that overflow float32 lie outside the picture, too.
    with np.errstate(over="ignore"):
        frame[floats] = frame[floats].astype(np.float32)
    return pd.DataFrame(rows), frame
