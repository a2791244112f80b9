"""Searched dimensions as Optuna knows them."""

from collections.abc import Mapping
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
    """Optuna's distribution; of a complement, that of 1 − x."""
    if isinstance(dimension, Float):
        low, high = dimension.searched
        return FloatDistribution(low, high, log=dimension.log)
    if isinstance(dimension, Int):
        return IntDistribution(dimension.low, dimension.high, log=dimension.log, step=dimension.step)
    return CategoricalDistribution(dimension.choices)


def propose(study: optuna.Study, space: Mapping[str, Dimension]) -> tuple[int, dict[str, Any]]:
    """Asks a study for a trial: its id in the storage, and what was proposed."""
    trial = study.ask()
    params = {name: trial._suggest(name, distribution(dimension)) for name, dimension in space.items()}
    return trial._trial_id, proposed(space, params)


def remember(study: optuna.Study, space: Mapping[str, Dimension], row: Mapping[str, Any]) -> tuple[int, Any]:
    """Gives a study a recorded trial as one that runs: its id in the storage, and what was proposed."""
    trial = frozen(space, row, optuna.trial.TrialState.RUNNING)
    return study._storage.create_new_trial(study._study_id, trial), proposed(space, trial.params)


def frozen(
    space: Mapping[str, Dimension], row: Mapping[str, Any] | None, state: optuna.trial.TrialState,
    value: float | None = None,
) -> optuna.trial.FrozenTrial:  # fmt: skip
    """A trial as Optuna's storages take it, with the values of a record or a proposal, where there is one."""
    params = {} if row is None else {name: param(space, row, name) for name in space}
    return optuna.trial.create_trial(
        state=state,
        value=value if state is optuna.trial.TrialState.COMPLETE else None,
        params=params,
        distributions={name: distribution(space[name]) for name in params},
    )


def param(space: Mapping[str, Dimension], row: Mapping[str, Any], name: str) -> Any:
    """A value of a record or a proposal as Optuna knows it."""
    return _complement(space[name], _recorded(space[name], row[name]))


def proposed(space: Mapping[str, Dimension], params: Mapping[str, Any]) -> dict[str, Any]:
    """What was proposed, by what Optuna knows."""
    return {name: _complement(space[name], params[name]) for name in space}


def _complement(dimension: Dimension, value: Any) -> Any:
    return 1 - value if isinstance(dimension, Float) and dimension.complement else value


def _recorded(dimension: Dimension, value: Any) -> Any:
    """A value as it was proposed; a table may have made it of another type."""
    if isinstance(dimension, Choice):
        return next((choice for choice in dimension.choices if choice == value), None)
    return int(value) if isinstance(dimension, Int) else float(value)
