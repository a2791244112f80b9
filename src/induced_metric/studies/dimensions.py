"""Searched dimensions as Optuna distributions, and the trials that Optuna proposes from them."""

from collections.abc import Iterable, Mapping
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from induced_metric.space import Choice, Dimension, Float, Int


def distribution(dimension: Dimension) -> BaseDistribution:
    """The Optuna distribution of a dimension; for a complement, that of 1 − x."""
    if isinstance(dimension, Float):
        low, high = dimension.searched
        return FloatDistribution(low, high, log=dimension.log)
    if isinstance(dimension, Int):
        return IntDistribution(dimension.low, dimension.high, log=dimension.log, step=dimension.step)
    return CategoricalDistribution(dimension.choices)


def propose(study: optuna.Study, space: Mapping[str, Dimension]) -> tuple[int, dict[str, Any]]:
    """Asks a study for a trial; returns its id in the storage and the proposed hyperparameters."""
    trial = study.ask({name: distribution(dimension) for name, dimension in space.items()})
    proposed = {name: _complement(dimension, trial.params[name]) for name, dimension in space.items()}
    return trial._trial_id, proposed


def remember(study: optuna.Study, space: Mapping[str, Dimension], row: Mapping[str, Any]) -> tuple[int, Any]:
    """Adds a recorded trial to a study as running; returns its id in the storage and what was proposed."""
    proposed = {name: recorded(dimension, row[name]) for name, dimension in space.items()}
    trial = optuna.trial.create_trial(
        state=optuna.trial.TrialState.RUNNING,
        params={name: _complement(space[name], value) for name, value in proposed.items()},
        distributions={name: distribution(dimension) for name, dimension in space.items()},
    )
    return study._storage.create_new_trial(study._study_id, trial), proposed


def _complement(dimension: Dimension, value: Any) -> Any:
    return 1 - value if isinstance(dimension, Float) and dimension.complement else value


def recorded(dimension: Dimension, value: Any) -> Any:
    """A recorded value in the type in which it was proposed, which a table may have changed."""
    if isinstance(dimension, Choice):
        return next((choice for choice in dimension.choices if choice == value), None)
    return int(value) if isinstance(dimension, Int) else float(value)


def hyperparameters_of(
    row: Mapping[Any, Any], names: Iterable[str], space: Mapping[str, Dimension]
) -> dict[str, Any]:
    """The hyperparameters that a recorded trial was trained with.

    Args:
        row: its summary row.
        names: names of all of its hyperparameters.
        space: ranges of those that are searched.
    """
    return {name: recorded(space[name], row[name]) if name in space else float(row[name]) for name in names}
