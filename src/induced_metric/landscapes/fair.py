"""The fair study: random starts, equal tuning budgets, and settings chosen on other starts than reported.

Every optimizer draws the same number of settings from a space of its own. All are run on each function from
``selection`` starts, on which settings are chosen, and from ``curve`` starts, which tell what a smaller
budget would have found. The chosen settings are then run from ``report`` starts, three for each function:

``tuned``    the best setting of this function;
``shared``   the one setting that is best over all functions;
``default``  the setting that the package documents, tuned on nothing.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import jax
import numpy as np
import pandas as pd

from induced_metric.landscapes.candidates import Contender
from induced_metric.landscapes.descent import Outcome, Program, over_devices
from induced_metric.landscapes.functions import Landscape, raised
from induced_metric.landscapes.grid import tolerances_of


class Plan(NamedTuple):
    """Sizes of the study; every optimizer gets the same."""

    settings: int  # the tuning budget
    selection_starts: int
    curve_starts: int
    report_starts: int
    iterations: int  # the most updates of a run
    seed: int
    tile: int = 128  # runs that advance together
    tiles: int = 32  # of one call


class Subject(NamedTuple):
    """One optimizer on one function, raised by ``offset``: its minimum is then not at 0."""

    function: str
    contender: Contender
    offset: float

    @property
    def identity(self) -> dict[str, object]:
        """The columns that say whose rows they are."""
        return {"function": self.function, "optimizer": self.contender.name, "offset": self.offset}


class _Tuned(NamedTuple):
    subject: Subject
    program: Program
    outcome: Outcome  # shape=(settings, selection + curve starts, ...)


class FairStudy(NamedTuple):
    """What the study recorded.

    Attributes:
        settings: one row a function, optimizer, offset, tolerance and setting: its hyperparameters, and
            ``converged``, ``iterations`` (their sum over all starts) and ``starts`` for ``selection`` and
            ``curve``.
        runs: one row a reported run: ``function``, ``optimizer``, ``offset``, ``tolerance``, ``arm``
            (``tuned``, ``shared`` or ``default``), ``start``, ``converged``, ``iterations``.
        chosen: the reported settings: ``arm`` and the hyperparameters.
    """

    settings: pd.DataFrame
    runs: pd.DataFrame
    chosen: pd.DataFrame


def random_starts(name: str, landscape: Landscape, purpose: str, number: int, seed: int) -> np.ndarray:
    """Uniform over the domain, shape (number, 2); the same for every optimizer, others for each purpose."""
    generator = np.random.default_rng([seed, *purpose.encode(), *name.encode()])
    low, high = np.array(landscape.domain).T
    return np.asarray(generator.uniform(low, high, (number, 2)))


def choose(converged: np.ndarray, iterations: np.ndarray) -> int:
    """The setting with the most converged runs, then the fewest iterations in all, then the first."""
    return int(np.lexsort((np.arange(len(converged)), iterations, -converged))[0])


def run_fair(
    landscapes: Mapping[str, Landscape],
    contenders: Sequence[Contender],
    *,
    tolerances: Mapping[str, float],
    plan: Plan,
    offsets: Mapping[str, Sequence[float]],
    devices: Sequence[jax.Device],
) -> FairStudy:
    """Runs the study; ``offsets`` are those of each optimizer, by name."""
    subjects = [
        Subject(name, contender, offset)
        for contender in contenders
        for offset in offsets[contender.name]
        for name in landscapes
    ]
    tune = partial(_tune, landscapes=landscapes, tolerances=tolerances, plan=plan)
    tuned = list(over_devices(tune, subjects, devices))
    shared = _shared(tuned, len(tolerances) + 1, plan)
    report = partial(_report, landscapes=landscapes, tolerances=tolerances, plan=plan, shared=shared)
    reported = list(over_devices(report, tuned, devices))
    return FairStudy(
        settings=pd.concat(
            [_settings(one, landscapes[one.subject.function], tolerances, plan) for one in tuned],
            ignore_index=True,
        ),
        runs=pd.concat([runs for runs, _ in reported], ignore_index=True),
        chosen=pd.concat([chosen for _, chosen in reported], ignore_index=True),
    )


def _names(contender: Contender) -> list[str]:
    """What differs from run to run: what is searched, and what is fixed at another value than the default."""
    return list(dict.fromkeys([*contender.search, *contender.fixed]))


def _tune(
    subject: Subject,
    device: jax.Device,
    *,
    landscapes: Mapping[str, Landscape],
    tolerances: Mapping[str, float],
    plan: Plan,
) -> _Tuned:
    landscape, contender = landscapes[subject.function], subject.contender
    names = _names(contender)
    program = Program(
        raised(landscape, subject.offset),
        contender.partial(names),
        names,
        tolerances=list(tolerances_of(landscape, tolerances).values()),
        iterations=plan.iterations,
        tile=plan.tile,
        tiles=plan.tiles,
        device=device,
    )
    starts = np.concatenate(
        [
            random_starts(subject.function, landscape, "selection", plan.selection_starts, plan.seed),
            random_starts(subject.function, landscape, "curve", plan.curve_starts, plan.seed),
        ]
    )
    draws = {**_fixed(contender, plan.settings), **contender.draws(plan.settings, plan.seed)}
    outcome = program(
        {name: np.repeat(draws[name], len(starts)) for name in names}, np.tile(starts, (plan.settings, 1))
    )
    shape = (plan.settings, len(starts))
    return _Tuned(subject, program, Outcome(*(leaf.reshape(*shape, *leaf.shape[1:]) for leaf in outcome)))


def _fixed(contender: Contender, number: int) -> dict[str, np.ndarray]:
    return {name: np.full(number, float(value)) for name, value in contender.fixed.items()}


def _spent(outcome: Outcome) -> np.ndarray:
    """Updates until a run converged or was stopped, by tolerance."""
    return np.asarray(np.where(outcome.iterations > 0, outcome.iterations, outcome.steps[..., None]))


def _totals(outcome: Outcome, which: slice) -> tuple[np.ndarray, np.ndarray]:
    """Converged runs and iterations in all, shape=(settings, tolerances), over some of the starts."""
    converged = (outcome.iterations[:, which] > 0).sum(axis=1)
    return converged, _spent(outcome)[:, which].sum(axis=1)


def _shared(tuned: Sequence[_Tuned], tolerances: int, plan: Plan) -> dict[tuple[str, float, int], int]:
    """The setting that converges most over all functions, by optimizer, offset and tolerance."""
    sums: dict[tuple[str, float], list[tuple[np.ndarray, np.ndarray]]] = {}
    for one in tuned:
        key = (one.subject.contender.name, one.subject.offset)
        sums.setdefault(key, []).append(_totals(one.outcome, slice(plan.selection_starts)))
    chosen = {}
    for key, totals in sums.items():
        converged, iterations = (np.sum(parts, axis=0) for parts in zip(*totals, strict=True))
        for index in range(tolerances):
            chosen[*key, index] = choose(converged[:, index], iterations[:, index])
    return chosen


def _settings(one: _Tuned, landscape: Landscape, tolerances: Mapping[str, float], plan: Plan) -> pd.DataFrame:
    contender = one.subject.contender
    parts = {
        "selection": slice(plan.selection_starts),
        "curve": slice(plan.selection_starts, None),
    }
    frames = []
    for index, tolerance in enumerate(tolerances_of(landscape, tolerances)):
        columns = {**one.subject.identity, "tolerance": tolerance, "setting": np.arange(plan.settings)}
        for part, which in parts.items():
            converged, iterations = _totals(one.outcome, which)
            columns[f"{part}_converged"] = converged[:, index].astype(np.int32)
            columns[f"{part}_iterations"] = iterations[:, index].astype(np.int32)
            columns[f"{part}_starts"] = len(range(*which.indices(one.outcome.steps.shape[1])))
        frames.append(pd.DataFrame({**columns, **contender.draws(plan.settings, plan.seed)}))
    return pd.concat(frames, ignore_index=True)


def _report(
    one: _Tuned,
    device: jax.Device,
    *,
    landscapes: Mapping[str, Landscape],
    tolerances: Mapping[str, float],
    plan: Plan,
    shared: Mapping[tuple[str, float, int], int],
) -> tuple[pd.DataFrame, pd.DataFrame]:
    del device  # the program knows its own
    subject, contender = one.subject, one.subject.contender
    landscape = landscapes[subject.function]
    starts = random_starts(subject.function, landscape, "report", plan.report_starts, plan.seed)
    draws = {**_fixed(contender, plan.settings), **contender.draws(plan.settings, plan.seed)}
    names = _names(contender)
    arms: list[tuple[int, str, str, dict[str, float]]] = []
    converged, iterations = _totals(one.outcome, slice(plan.selection_starts))
    for index, tolerance in enumerate(tolerances_of(landscape, tolerances)):
        best = choose(converged[:, index], iterations[:, index])
        common = shared[contender.name, subject.offset, index]
        arms += [
            (index, tolerance, "tuned", {name: float(draws[name][best]) for name in names}),
            (index, tolerance, "shared", {name: float(draws[name][common]) for name in names}),
            (index, tolerance, "default", {name: float(contender.default[name]) for name in names}),
        ]
    outcome = one.program(
        {name: np.repeat([arm[3][name] for arm in arms], len(starts)) for name in names},
        np.tile(starts, (len(arms), 1)),
    )
    reached = outcome.iterations.reshape(len(arms), len(starts), -1)
    spent = _spent(outcome).reshape(reached.shape)
    runs = [
        pd.DataFrame(
            {
                **subject.identity,
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
        {**subject.identity, "tolerance": tolerance, "arm": arm, **setting}
        for _, tolerance, arm, setting in arms
    ]
    return pd.concat(runs, ignore_index=True), pd.DataFrame(chosen)
