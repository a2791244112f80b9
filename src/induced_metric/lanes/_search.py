"""Optuna for any JAX program that lanes can run: many trials of a study at once, in one program."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution

from induced_metric.lanes.engine import Lanes
from induced_metric.lanes.group import Assignment, Report


def search(
    study: optuna.Study,
    lanes: Lanes,
    space: Mapping[str, BaseDistribution],
    *,
    value: Callable[[Mapping[str, Any]], float],
    steps: int,
    trials: int,
    fixed: Mapping[str, Any] | None = None,
) -> None:
    """Asks a study for trials, runs them in the lanes, and tells it their values.

    After every dispatch a trial's value so far goes to the study's pruner. A trial is told as failed if its
    metrics are not finite or no program can be made for its static values. The seed of a trial is its number.

    Args:
        study: any Optuna study.
        lanes: the engine; the names of ``space`` and ``fixed`` are its hyperparameters.
        space: what is searched.
        value: returns the number that the study optimises, from the metrics of a step; a trial's value is the
            one of its last step.
        steps: steps of a whole trial.
        trials: number of trials to add to the study.
        fixed: the other hyperparameters.

    Example:
        >>> import jax.numpy as jnp, optuna
        >>> from induced_metric.lanes import Lanes, search
        >>> optuna.logging.set_verbosity(optuna.logging.WARNING)
        >>> study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=0))
        >>> space = {"rate": optuna.distributions.FloatDistribution(0.01, 1.0, log=True)}
        >>> def init(hyperparameters, seed):
        ...     return jnp.float32(4.0)
        >>> def advance(x, hyperparameters):  # a step of gradient descent on x²
        ...     x = x - hyperparameters["rate"] * 2 * x
        ...     return x, {"loss": x**2}
        >>> with Lanes(init, advance, hyperparameters=["rate"]) as lanes:
        ...     search(study, lanes, space, value=lambda metrics: metrics["loss"], steps=10, trials=40)
        >>> study.best_value < 1e-3
        True
    """
    trial_of: dict[int, optuna.Trial] = {}
    remaining = deque(range(trials))

    def ask() -> Assignment | None:
        if not remaining:
            return None
        remaining.popleft()
        trial = study.ask(dict(space))
        trial_of[trial.number] = trial
        return Assignment(trial.number, {**(fixed or {}), **trial.params}, trial.number, steps)

    def tell(reports: Sequence[Report]) -> list[bool]:
        return [_goes_on(report) for report in reports]

    def _goes_on(report: Report) -> bool:
        trial = trial_of[report.trial]
        if report.halted or report.failed is not None:
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
            return False
        reached = float(value({name: values[-1] for name, values in report.metrics.items()}))
        if report.finished:
            study.tell(trial, reached)
            return False
        trial.report(reached, report.done)
        if trial.should_prune():
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            return False
        return True

    lanes.run(ask, tell)
