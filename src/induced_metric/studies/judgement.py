"""A pruner's verdict on a trial and the threshold behind it, for the trial's record."""

import copy
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import optuna
from optuna.pruners import BasePruner, HyperbandPruner, SuccessiveHalvingPruner
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

from induced_metric.studies.wandb_hyperband import WandbHyperbandPruner

_RUNG = "completed_rung_"  # prefix of the attributes where Optuna's halving keeps the values it judged by


class Judgement(NamedTuple):
    """A pruner's verdict.

    Attributes:
        epochs: epochs after which the trial was judged.
        value: the value that it was judged by: its best so far.
        threshold: the worst value with which it would have gone on; None if the pruner compared it with
            nothing, or the pruner's rule is not known here.
        stopped: whether the pruner stopped it.
    """

    epochs: int
    value: float
    threshold: float | None
    stopped: bool

    def facts(self) -> dict[str, Any]:
        """The verdict for a record's provenance; numbers that are not finite, which JSON lacks, are None."""
        return {
            name: None if isinstance(fact, float) and not math.isfinite(fact) else fact
            for name, fact in self._asdict().items()
        }


def judge(study: optuna.Study, identity: int, epochs: int, value: float) -> Judgement:
    """Reports a trial's value to its study, and asks the study's pruner for a verdict.

    Args:
        study: the study, with its pruner.
        identity: id of the trial in the study's storage.
        epochs: epochs after which it is judged.
        value: its best value so far.
    """
    study._storage.set_trial_intermediate_value(identity, epochs, value)
    trial = copy.deepcopy(study._storage.get_trial(identity))
    stopped = bool(study.pruner.prune(study, trial))
    return Judgement(epochs, value, _threshold(study.pruner, study, trial), stopped)


def _threshold(pruner: BasePruner, study: optuna.Study, trial: FrozenTrial) -> float | None:
    """The value that a pruner has just compared a trial with; ``trial`` is a copy from before that."""
    if isinstance(pruner, WandbHyperbandPruner):
        return pruner.threshold(study, trial)
    trials = study.get_trials(deepcopy=False)
    if isinstance(pruner, HyperbandPruner):
        bracket = pruner._get_bracket_id(study, trial)
        trials = [each for each in trials if pruner._get_bracket_id(study, each) == bracket]
        pruner = pruner._pruners[bracket]
    if not isinstance(pruner, SuccessiveHalvingPruner):
        return None
    attributes = next(each.system_attrs for each in trials if each.number == trial.number)
    rungs = [name for name in attributes if name.startswith(_RUNG) and name not in trial.system_attrs]
    if not rungs:
        return None
    rung = max(rungs, key=lambda name: int(name.removeprefix(_RUNG)))
    values = [each.system_attrs[rung] for each in trials if rung in each.system_attrs]
    return _best_part(values, pruner._reduction_factor, study.direction)


def _best_part(values: Sequence[float], factor: int, direction: StudyDirection) -> float:
    """The worst among the best ``1 / factor`` of the values, rounded down but at least one value."""
    ordered = sorted(values, reverse=direction is StudyDirection.MAXIMIZE)
    return ordered[max(len(values) // factor, 1) - 1]
