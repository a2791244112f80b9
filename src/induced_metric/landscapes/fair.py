"""The fair study: random starts, equal tuning budgets, and fresh starts on which the results are reported.

Every optimiser draws the same number of settings from its own search space. All are run on each function from
``selection`` starts, on which settings are chosen, and from ``curve`` starts, which show what a smaller
budget would have found. Three settings of each function are then run from ``report`` starts:

``tuned``    the best setting on this function;
``shared``   the one setting that is best over all functions;
``default``  the setting that the package documents as its default, which is not tuned.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import jax
import numpy as np
import pandas as pd

from induced_metric.landscapes.candidates import Candidate, Case, cases
from induced_metric.landscapes.descent import CompiledDescent, DescentResult, over_devices
from induced_metric.landscapes.functions import Landscape
from induced_metric.landscapes.settings import FairSettings


class _Tuned(NamedTuple):
    case: Case
    descent: CompiledDescent
    draws: dict[str, np.ndarray]  # hyperparameter -> one value per setting
    result: DescentResult  # shape=(settings, selection + curve starts, ...)


class FairStudy(NamedTuple):
    """What the study recorded.

    Attributes:
        settings: one row per function, optimiser, offset, tolerance and setting: its hyperparameters, and
            ``converged``, ``iterations`` (their sum over all starts) and ``starts``, each for ``selection``
            and for ``curve``.
        runs: one row per reported run: ``function``, ``optimizer``, ``offset``, ``tolerance``, ``arm``
            (``tuned``, ``shared`` or ``default``), ``start``, ``converged``, ``iterations``.
        chosen: the reported settings: ``arm`` and the hyperparameters.
    """

    settings: pd.DataFrame
    runs: pd.DataFrame
    chosen: pd.DataFrame


def random_starts(name: str, landscape: Landscape, purpose: str, number: int, seed: int) -> np.ndarray:
    """Uniform over the domain, shape (number, 2): the same for all optimisers, different for each purpose."""
    generator = np.random.default_rng([seed, *purpose.encode(), *name.encode()])
    low, high = np.array(landscape.domain).T
    return np.asarray(generator.uniform(low, high, (number, 2)))


def choose(converged: np.ndarray, iterations: np.ndarray) -> int:
    """The setting with the most converged runs; of those the fewest iterations in total, then the first."""
    return int(np.lexsort((np.arange(len(converged)), iterations, -converged))[0])


def run_fair(
    landscapes: Mapping[str, Landscape],
    candidates: Sequence[Candidate],
    settings: FairSettings,
    *,
    devices: Sequence[jax.Device],
) -> FairStudy:
    """Runs the study; each of ``devices`` runs its share of the programs."""
    work = cases(landscapes, candidates, controls=True)
    tuned = list(over_devices(partial(_tune, settings=settings), work, devices))
    report = partial(_report, settings=settings, shared=_shared(tuned, settings))
    reported = list(over_devices(report, tuned, devices))
    return FairStudy(
        settings=pd.concat([_drawn(case_result, settings) for case_result in tuned], ignore_index=True),
        runs=pd.concat([runs for runs, _ in reported], ignore_index=True),
        chosen=pd.concat([chosen for _, chosen in reported], ignore_index=True),
    )


def _tune(case: Case, device: jax.Device, *, settings: FairSettings) -> _Tuned:
    landscape, candidate, number = case.landscape, case.candidate, settings.settings
    names = candidate.searched
    descent = CompiledDescent(
        case.raised,
        candidate.partial(names),
        names,
        tolerances=list(landscape.tolerances(settings.tolerances).values()),
        iterations=settings.iterations,
        tile=settings.tile,
        tiles=settings.tiles,
        device=device,
    )
    starts = np.concatenate(
        [
            random_starts(case.function, landscape, "selection", settings.selection_starts, settings.seed),
            random_starts(case.function, landscape, "curve", settings.curve_starts, settings.seed),
        ]
    )
    fixed = {name: np.full(number, float(value)) for name, value in candidate.fixed.items()}
    draws = {**fixed, **candidate.draws(number, settings.seed)}
    result = descent(
        {name: np.repeat(draws[name], len(starts)) for name in names}, np.tile(starts, (number, 1))
    )
    by_setting = DescentResult(*(leaf.reshape(number, len(starts), *leaf.shape[1:]) for leaf in result))
    return _Tuned(case, descent, draws, by_setting)


def _spent(result: DescentResult) -> np.ndarray:
    """Updates until a run converged or was stopped, by tolerance."""
    return np.asarray(np.where(result.iterations > 0, result.iterations, result.steps[..., None]))


def _totals(result: DescentResult, which: slice) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of converged runs and of iterations over some starts; shape=(settings, tolerances) each."""
    converged = (result.iterations[:, which] > 0).sum(axis=1)
    return converged, _spent(result)[:, which].sum(axis=1)


def _shared(tuned: Sequence[_Tuned], settings: FairSettings) -> dict[tuple[str, float, int], int]:
    """The setting that converges most often over all functions, by optimiser, offset and tolerance."""
    sums: dict[tuple[str, float], list[tuple[np.ndarray, np.ndarray]]] = {}
    for case_result in tuned:
        key = (case_result.case.candidate.name, case_result.case.offset)
        sums.setdefault(key, []).append(_totals(case_result.result, slice(settings.selection_starts)))
    chosen = {}
    for key, totals in sums.items():
        converged, iterations = (np.sum(parts, axis=0) for parts in zip(*totals, strict=True))
        for index in range(converged.shape[1]):
            chosen[*key, index] = choose(converged[:, index], iterations[:, index])
    return chosen


def _drawn(one: _Tuned, settings: FairSettings) -> pd.DataFrame:
    case, number = one.case, settings.settings
    parts = {
        "selection": slice(settings.selection_starts),
        "curve": slice(settings.selection_starts, None),
    }
    searched = {name: one.draws[name] for name in case.candidate.search_space}
    frames = []
    for index, tolerance in enumerate(case.landscape.tolerances(settings.tolerances)):
        columns = {**case.identity, "tolerance": tolerance, "setting": np.arange(number)}
        for part, which in parts.items():
            converged, iterations = _totals(one.result, which)
            columns[f"{part}_converged"] = converged[:, index].astype(np.int32)
            columns[f"{part}_iterations"] = iterations[:, index].astype(np.int32)
            columns[f"{part}_starts"] = len(range(*which.indices(one.result.steps.shape[1])))
        frames.append(pd.DataFrame({**columns, **searched}))
    return pd.concat(frames, ignore_index=True)


def _report(
    one: _Tuned,
    device: jax.Device,
    *,
    settings: FairSettings,
    shared: Mapping[tuple[str, float, int], int],
) -> tuple[pd.DataFrame, pd.DataFrame]:
    del device  # the program is compiled for its own
    case, candidate = one.case, one.case.candidate
    starts = random_starts(case.function, case.landscape, "report", settings.report_starts, settings.seed)
    names = candidate.searched
    arms: list[tuple[int, str, str, dict[str, float]]] = []
    converged, iterations = _totals(one.result, slice(settings.selection_starts))
    for index, tolerance in enumerate(case.landscape.tolerances(settings.tolerances)):
        best = choose(converged[:, index], iterations[:, index])
        common = shared[candidate.name, case.offset, index]
        arms += [
            (index, tolerance, "tuned", {name: float(one.draws[name][best]) for name in names}),
            (index, tolerance, "shared", {name: float(one.draws[name][common]) for name in names}),
            (index, tolerance, "default", {name: float(candidate.default[name]) for name in names}),
        ]
    result = one.descent(
        {name: np.repeat([arm[3][name] for arm in arms], len(starts)) for name in names},
        np.tile(starts, (len(arms), 1)),
    )
    reached = result.iterations.reshape(len(arms), len(starts), -1)
    spent = _spent(result).reshape(reached.shape)
    runs = [
        pd.DataFrame(
            {
                **case.identity,
                "tolerance": tolerance,
                "arm": arm,
                "start": np.arange(len(starts), dtype=np.int32),
                "converged": reached[row, :, index] > 0,
                "iterations": spent[row, :, index],
            }
        )
        for row, (index, tolerance, arm, _) in enumerate(arms)
    ]
    chosen = [
        {**case.identity, "tolerance": tolerance, "arm": arm, **setting}
        for _, tolerance, arm, setting in arms
    ]
    return pd.concat(runs, ignore_index=True), pd.DataFrame(chosen)
