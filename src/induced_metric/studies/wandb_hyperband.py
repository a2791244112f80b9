"""The published early stopping: the Hyperband of W&B's public controller, as an Optuna pruner.

Optuna's own pruner of that name is another algorithm: it runs brackets.
"""

import numpy as np
import optuna
from optuna.trial import FrozenTrial

from induced_metric.errors import UserError


class WandbHyperbandPruner(optuna.pruners.BasePruner):
    """Stops a trial that is worse than the best third (``1 / eta``) at its last band.

    Bands are ``min_iter * eta**k`` epochs. A trial must report its best value so far; its last report is
    compared with the values that all trials, whatever became of them, reported at the band. There are no
    brackets, and no trial waits: the first one to reach a band passes it. The pruner keeps no state.

    Raises:
        UserError: if ``min_iter`` < 1 or ``eta`` < 2.
    """

    def __init__(self, *, min_iter: int, eta: int) -> None:
        if min_iter < 1 or eta < 2:
            raise UserError(f"min_iter must be >= 1 and eta >= 2, got {min_iter} and {eta}")
        self._min_iter = min_iter
        self._eta = eta

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        """Whether to stop the trial, by its last report."""
        bound = self.threshold(study, trial)
        if bound is None or trial.last_step is None:
            return False
        sign = sign_of(study)
        return _cost(trial.intermediate_values[trial.last_step], sign) > sign * bound

    def threshold(self, study: optuna.Study, trial: FrozenTrial) -> float | None:
        """The worst value with which the trial goes on; None before the first band."""
        step = trial.last_step
        if step is None or step < self._min_iter:
            return None
        band = self._min_iter
        while band * self._eta <= step:
            band *= self._eta
        sign = sign_of(study)
        # The trial itself is taken as given: the study may not have its last report yet.
        others = [other for other in study.get_trials(deepcopy=False) if other.number != trial.number]
        reached = sorted(
            _cost(each.intermediate_values[band], sign)
            for each in [*others, trial]
            if band in each.intermediate_values
        )
        return sign * reached[len(reached) // self._eta] if reached else None


def sign_of(study: optuna.Study) -> float:
    """The factor that makes lower values better."""
    return 1.0 if study.direction == optuna.study.StudyDirection.MINIMIZE else -1.0


def _cost(value: float, sign: float) -> float:
    """The value with the sign that makes lower better; a value that is not finite is the worst."""
    return sign * value if np.isfinite(value) else np.inf
