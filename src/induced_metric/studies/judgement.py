"""What a pruner decided about a trial, and by which threshold: for its record."""

import copy
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import optuna
from optuna.pruners import BasePruner, HyperbandPruner, SuccessiveHalvingPruner
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

from induced_metric.studies.wandb_hyperband import WandbHyperbandPruner

_RUNG = "completed_rung_"  # begins the names under which Optuna's halving keeps what a trial was judged by


class Judgement(NamedTuple):
    """A pruner's verdict.

    Attributes:
        epochs: after which the trial was judged.
        value: by which: its best so far.
        threshold: the worst value with which it would have gone on; None where the pruner compared it with
            nothing, or is none whose rule is known here.
        stopped: the verdict.
    """

    epochs: int
    value: float
    threshold: float | None
    stopped: bool

    def facts(self) -> dict[str, Any]:
        """For the provenance of a record; what is not finite, which JSON has no word for, is None."""
        return {
            name: None if isinstance(fact, float) and not math.isfinite(fact) else fact
            for name, fact in self._asdict().items()
        }


def judge(study: optuna.Study, identity: int, epochs: int, value: float) -> Judgement:
    """Tells a study what a trial came to, and asks its pruner.

    Args:
        study: with its pruner.
        identity: of the trial in the study's storage.
        epochs: after which.
        value: the best so far.
    """
    study._storage.set_trial_intermediate_value(identity, epochs, value)
    trial = copy.deepcopy(study._storage.get_trial(identity))
    stopped = bool(study.pruner.prune(study, trial))
    return Judgement(epochs, value, _threshold(study.pruner, study, trial), stopped)


def _threshold(pruner: BasePruner, study: optuna.Study, trial: FrozenTrial) -> float | None:
    """What a pruner has compared a trial with just now; ``trial`` is as it was before."""
    if isinstance(pruner, WandbHyperbandPruner):
        return pruner.threshold(study, trial)
    trials = study.get_trials(deepcopy=False)
    if isinstance(pruner, HyperbandPruner):
        bracket = pruner._get_bracket_id(study, trial)
        trials = [one for one in trials if pruner._get_bracket_id(study, one) == bracket]
        pruner = pruner._pruners[bracket]
    if not isinstance(pruner, SuccessiveHalvingPruner):
        return None
    now = next(one.system_attrs for one in trials if one.number == trial.number)
    rungs = [name for name in now if name.startswith(_RUNG) and name not in trial.system_attrs]
    if not rungs:
        return None
    last = max(rungs, key=lambda name: int(name.removeprefix(_RUNG)))
    values = [one.system_attrs[last] for one in trials if last in one.system_attrs]
    return _best_part(values, pruner._reduction_factor, study.direction)


def _best_part(values: Sequence[float], factor: int, direction: StudyDirection) -> float:
    """The last value of the best ``1 / factor``, as Optuna rounds that: of any, the best at least."""
    ordered = sorted(values, reverse=direction is StudyDirection.MAXIMIZE)
    return ordered[max(len(values) // factor, 1) - 1]
