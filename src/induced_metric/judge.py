"""Whether a trial goes on after a rung, so that a kill at any moment changes no verdict."""

import copy
from typing import Any

import optuna

from induced_metric.plan import StudyPlan
from induced_metric.trial import Trial


def passes(study: optuna.Study, trial: Trial, plan: StudyPlan, epochs: int) -> bool:
    """Whether the pruner lets a trial go on after its first ``epochs``.

    Optuna hears of a value only once its trial has passed: a value in the journal says "passed", whatever
    happened afterwards, and a trial that was stopped has a record.
    """
    frozen = copy.deepcopy(study._storage.get_trial(trial.id))
    if epochs in frozen.intermediate_values:
        return True
    value = trial.best_until(plan, epochs)
    frozen.intermediate_values[epochs] = value
    # Successive halving keeps its rungs in the trial's attributes, and would keep this one at once.
    seen = copy.copy(study)
    seen._storage = kept = _Kept(study._storage)
    stopped = bool(plan.pruner.prune(seen, frozen)) and trial.row is None
    trial.attributes = kept.attributes
    if not stopped:
        report(study, trial, epochs, value)
    return not stopped


def report(study: optuna.Study, trial: Trial, epochs: int, value: float) -> None:
    """Tells Optuna the value that a trial was judged by, and what the pruner keeps of it."""
    study._storage.set_trial_intermediate_value(trial.id, epochs, value)
    for name, attribute in trial.attributes.items():
        study._storage.set_trial_system_attr(trial.id, name, attribute)


class _Kept:
    """A storage whose attributes of trials are not written yet."""

    def __init__(self, storage: Any) -> None:
        self._storage = storage
        self.attributes: dict[str, Any] = {}

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        del trial_id  # a pruner writes to the trial that it judges
        self.attributes[key] = value

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)
