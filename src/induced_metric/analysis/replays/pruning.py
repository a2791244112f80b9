"""Rules that stop trials early, applied to recorded curves: which trials they would have stopped, and when.

The rules are those of the studies' pruners, restated on plain numbers; trials are judged in the order of a
study (``studies.schedule``).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

import numpy as np

from induced_metric.errors import UserError
from induced_metric.studies.schedule import Look, Schedule


@dataclass
class History:
    """What a rule may know when it judges a trial; lower costs are better.

    Attributes:
        costs: at each rung, the best cost so far of every trial that was judged there, by trial.
        complete: the trials that ended without being stopped.
    """

    costs: dict[int, dict[int, float]] = field(default_factory=dict)
    complete: set[int] = field(default_factory=set)

    def at(self, epochs: int) -> dict[int, float]:
        """The costs after ``epochs`` epochs."""
        return self.costs.setdefault(epochs, {})


Rule: TypeAlias = Callable[[History, int, int], bool]  # history, trial, epochs -> whether to stop it


@dataclass(frozen=True, kw_only=True)
class Pruner:
    """A rule with the epochs at which it is asked.

    Attributes:
        name: its name.
        rule: whether a trial is stopped.
        rungs: the epochs after which the rule is asked, ascending.
        in_flight: the number of trials in flight, which determines the trials that a trial is compared with.
        ranks_stopped: whether stopped trials can be among the best.
    """

    name: str
    rule: Rule
    rungs: Sequence[int]
    in_flight: int
    ranks_stopped: bool = False

    def before(self, epochs: int) -> list[int]:
        """The rungs below ``epochs``."""
        return [rung for rung in self.rungs if rung < epochs]


def median(*, n_startup_trials: int, n_warmup_steps: int = 0) -> Rule:
    """Stops a trial worse than the median of the complete trials at the same epoch (Optuna's rule)."""

    def rule(history: History, trial: int, epochs: int) -> bool:
        others = [cost for other, cost in history.at(epochs).items() if other in history.complete]
        if len(history.complete) < n_startup_trials or epochs < n_warmup_steps or not others:
            return False
        own_cost = history.at(epochs)[trial]
        return not math.isfinite(own_cost) or own_cost > float(np.nanmedian(others))

    return rule


def successive_halving(*, min_resource: int, reduction_factor: int) -> Rule:
    """Keeps the best ``1 / reduction_factor`` of the trials that came as far (Optuna's asynchronous rule)."""

    def rule(history: History, trial: int, epochs: int) -> bool:
        rung = min_resource
        while rung < epochs:
            rung *= reduction_factor
        if rung != epochs:  # no trial is judged between rungs
            return False
        own_cost, reached = history.at(epochs)[trial], sorted(history.at(epochs).values())
        return not math.isfinite(own_cost) or own_cost > reached[max(len(reached) // reduction_factor, 1) - 1]

    return rule


def wandb_hyperband(*, min_iter: int, eta: int) -> Rule:
    """Stops a trial worse than the best ``1 / eta`` at its last band (the published rule)."""

    def rule(history: History, trial: int, epochs: int) -> bool:
        if epochs < min_iter:
            return False
        band = min_iter
        while band * eta <= epochs:
            band *= eta
        reached = sorted(history.at(band).values())
        return bool(reached) and history.at(epochs)[trial] > reached[len(reached) // eta]

    return rule


RULES: Mapping[str, Callable[..., Rule]] = {
    "MedianPruner": median,
    "SuccessiveHalvingPruner": successive_halving,
    "WandbHyperbandPruner": wandb_hyperband,
}
"""The rules by the class of the pruner that the configuration of a study names."""


class Stopped(NamedTuple):
    """How trials ended, one entry per trial.

    Attributes:
        epochs: how many epochs the trial ran.
        stopped: whether the pruner stopped it.
        unknown: whether the pruner would have let it go on beyond the end of its recorded curve.
    """

    epochs: np.ndarray
    stopped: np.ndarray
    unknown: np.ndarray


def stopped(costs: np.ndarray, ran: np.ndarray, cut_short: np.ndarray, pruner: Pruner) -> Stopped:
    """Which trials a pruner would have stopped.

    Args:
        costs: shape=(trials, epochs); lower is better, and not finite where a trial did not run.
        ran: shape=(trials,); how many epochs each trial ran.
        cut_short: shape=(trials,); which trials a pruner had stopped on record, where their curves end.
        pruner: the rule.

    Raises:
        UserError: if the curves have no epoch.
    """
    trials, epochs = costs.shape
    if not epochs:
        raise UserError("a pruner needs curves of at least one epoch")
    ends = Stopped(ran.copy(), np.zeros(trials, bool), np.zeros(trials, bool))
    rungs = pruner.before(epochs)
    if not rungs:
        return ends
    finite = np.where(np.isfinite(costs), costs, np.inf)
    best = np.minimum.accumulate(finite, axis=1)
    history, waiting = History(), iter(range(trials))

    def goes_on(look: Look) -> bool:
        number, done = look
        ended = ran[number] <= done
        if ended and not cut_short[number]:
            return False
        if done in rungs:
            # A curve is not known past its end; from there on the rule gets the best cost up to the end.
            history.at(done)[number] = float(best[number, min(done, ran[number]) - 1])
            if pruner.rule(history, number, done):
                ends.epochs[number], ends.stopped[number] = min(done, ran[number]), True
                return False
        if ended:
            ends.unknown[number] = True
        return not ended

    def serve(looks: Sequence[Look]) -> list[bool]:
        answers = [goes_on(look) for look in looks]
        # As in a study, these trials are told together, after all of them were judged.
        over = [look.number for look, stays in zip(looks, answers, strict=True) if not stays]
        history.complete.update(number for number in over if not (ends.stopped | ends.unknown)[number])
        return answers

    schedule = Schedule(
        in_flight=pruner.in_flight,
        stride=math.gcd(*rungs),
        epochs=epochs,
        ask=lambda: next(waiting, None),
        done=lambda *_: True,
        serve=serve,
    )
    schedule.advance()
    return ends
