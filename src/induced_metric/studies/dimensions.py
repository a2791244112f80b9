"""Searched dimensions as Optuna distributions, and the trials that Optuna proposes from them."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

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


class Proposed(NamedTuple):
    """A trial as Optuna has it.

    Attributes:
        id: its id in the study's storage.
        hyperparameters: those that are searched.
        complements: 1 − x of the hyperparameters x that are searched as that. It has more digits than x if
            it is below 1/2, and the sampler models it, so a study that goes on needs it.
    """

    id: int
    hyperparameters: dict[str, Any]
    complements: dict[str, float]


COMPLEMENTS = "complements"
"""Where a record's provenance has those of its trial."""


def propose(study: optuna.Study, space: Mapping[str, Dimension]) -> Proposed:
    """Asks a study for a trial."""
    trial = study.ask({name: distribution(dimension) for name, dimension in space.items()})
    complements = {name: trial.params[name] for name in _mirrored(space)}
    searched = {name: trial.params[name] for name in space}
    return Proposed(
        trial._trial_id, searched | {name: 1 - value for name, value in complements.items()}, complements
    )


def remember(study: optuna.Study, space: Mapping[str, Dimension], row: Mapping[str, Any]) -> Proposed:
    """Adds a recorded trial to a study as running."""
    searched = {name: recorded(dimension, row[name]) for name, dimension in space.items()}
    noted = json.loads(row["provenance"]).get(COMPLEMENTS, {})
    complements = {}
    for name in _mirrored(space):
        value = noted.get(name, 1 - searched[name])  # older records have none
        complements[name] = value if 1 - value == searched[name] else 1 - searched[name]
    trial = optuna.trial.create_trial(
        state=optuna.trial.TrialState.RUNNING,
        params=searched | complements,
        distributions={name: distribution(dimension) for name, dimension in space.items()},
    )
    identity = study._storage.create_new_trial(study._study_id, trial)
    return Proposed(identity, searched, complements)


def _mirrored(space: Mapping[str, Dimension]) -> list[str]:
    return [
        name for name, dimension in space.items() if isinstance(dimension, Float) and dimension.complement
    ]


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
