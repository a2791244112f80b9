"""Runs to look at: every function and optimizer, a few settings and starts, the metric along the path."""

import itertools
from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import jax
import numpy as np
import pandas as pd

from induced_metric.landscapes.candidates import Contender
from induced_metric.landscapes.descent import Program, over_devices
from induced_metric.landscapes.functions import Landscape, Point, raised
from induced_metric.landscapes.replay import Replay, surface


class Gallery(NamedTuple):
    """What ``run_gallery`` recorded.

    Attributes:
        runs: one row a run: ``run``, ``function``, ``optimizer``, ``offset`` (by which the function was
            raised), ``start_x``, ``start_y``, the hyperparameters, ``converged`` and ``iterations``.
        points: some points of each run, float32, by ``run``; columns as in ``Replay``, ``value`` being that
            of the function as it is, not raised.
        surfaces: ``function``, ``x``, ``y``, ``value`` on a grid over the part of each domain shown.
        minima: ``function``, ``x``, ``y`` and ``minimum``.
    """

    runs: pd.DataFrame
    points: pd.DataFrame
    surfaces: pd.DataFrame
    minima: pd.DataFrame


def view(landscape: Landscape, margin: float = 0.6) -> tuple[Point, Point]:
    """The part of the plane worth showing: the start, the minima, and a margin around them."""
    points = np.array([landscape.start, *landscape.minima])
    centre = (points.min(axis=0) + points.max(axis=0)) / 2
    half = (0.5 + margin) * float(np.ptp(points, axis=0).max())
    (x_low, y_low), (x_high, y_high) = centre - half, centre + half
    return (float(x_low), float(x_high)), (float(y_low), float(y_high))


def shown(points: int, number: int) -> np.ndarray:
    """At most ``number`` indices of a path: the first ones all, then ever fewer, and the last."""
    if points <= number:
        return np.arange(points)
    return np.unique(np.geomspace(1, points, number).round().astype(int) - 1)


def run_gallery(
    landscapes: Mapping[str, Landscape],
    contenders: Sequence[Contender],
    *,
    choices: Mapping[str, Sequence[float]],
    offsets: Mapping[str, Sequence[float]],
    starts: int,
    points: int,
    resolution: int,
    iterations: int,
    seed: int,
    devices: Sequence[jax.Device],
) -> Gallery:
    """Runs the gallery.

    Args:
        landscapes: the functions, by name.
        contenders: the optimizers; what ``choices`` does not name has its default or fixed value.
        choices: values of hyperparameters; ``momentum`` stands for each optimizer's own.
        offsets: by how much the functions are raised, for each optimizer by name.
        starts: the function's start, and others at random in its view.
        points: the most points kept of a run.
        resolution: of the surfaces.
        iterations: the most updates of a run.
        seed: of the random starts.
        devices: each runs its share of the programs.
    """
    pairs = [
        (name, contender, offset)
        for contender in contenders
        for offset in offsets[contender.name]
        for name in landscapes
    ]
    work = partial(
        _run_pair,
        landscapes=landscapes,
        choices=choices,
        starts=starts,
        points=points,
        iterations=iterations,
        seed=seed,
    )
    runs, kept, number = [], [], 0
    for pair_runs, pair_points in over_devices(work, pairs, devices):
        runs.append(pair_runs.assign(run=pair_runs["run"] + number))
        kept.append(pair_points.assign(run=pair_points["run"] + number))
        number += len(pair_runs)
    surfaces = [
        surface(landscape, view(landscape), resolution).assign(function=name)
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


def _run_pair(
    pair: tuple[str, Contender, float],
    device: jax.Device,
    *,
    landscapes: Mapping[str, Landscape],
    choices: Mapping[str, Sequence[float]],
    starts: int,
    points: int,
    iterations: int,
    seed: int,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    name, contender, offset = pair
    landscape = raised(landscapes[name], offset)
    own = {contender.momentum if key == "momentum" else key: values for key, values in choices.items()}
    own = {key: values for key, values in own.items() if key in contender.default}
    settings = [dict(zip(own, values, strict=True)) for values in itertools.product(*own.values())]
    low, high = np.array(view(landscape)).T
    generator = np.random.default_rng([seed, *b"gallery", *name.encode()])
    places = np.concatenate([[landscape.start], generator.uniform(low, high, (starts - 1, 2))])
    runs = [(setting, place) for setting in settings for place in places]
    program = Program(
        landscape,
        contender.partial(list(own)),
        list(own),
        tolerances=[landscape.tolerance],
        iterations=iterations,
        keep_path=True,
        tile=16,
        tiles=-(-len(runs) // 16),
        device=device,
    )
    outcome = program(
        {key: np.array([setting[key] for setting, _ in runs]) for key in own},
        np.array([place for _, place in runs]),
    )
    replay = Replay(landscape, contender, list(own), iterations=iterations, device=device)
    rows, kept = [], []
    for number, (setting, place) in enumerate(runs):
        reached = int(outcome.iterations[number, 0])
        length = reached or int(outcome.steps[number])
        rows.append(
            {
                "run": number,
                "function": name,
                "optimizer": contender.name,
                "offset": offset,
                "start_x": place[0],
                "start_y": place[1],
                **setting,
                "converged": reached > 0,
                "iterations": length,
            }
        )
        path = replay(setting, np.concatenate([place[None], outcome.path[number, :length]]))
        # In double precision still: what float32 has left of f + 1 says little of a small f.
        path["value"] -= offset
        kept.append(path.iloc[shown(len(path), points)].assign(run=number))
    frame = pd.concat(kept, ignore_index=True)
    floats = [str(column) for column in frame if frame[column].dtype == np.float64]
    # What left float32 has left the picture too.
    with np.errstate(over="ignore"):
        frame[floats] = frame[floats].astype(np.float32)
    return pd.DataFrame(rows), frame
