"""The published search: the Bayesian sweep of W&B's public controller, as an Optuna sampler."""

import warnings
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.trial import FrozenTrial, TrialState

from induced_metric.errors import UserError
from induced_metric.studies.wandb_hyperband import sign_of

_DIVERGED = float(np.finfo(np.float32).max)  # the value of a diverged trial, with the sign that is worse
_KERNEL_SEED = 2  # of the kernel's restarts: the published search fixes it, and only points are random
_TINY = 1e-6  # added to deviations before dividing by them

Space = Mapping[str, FloatDistribution]


class WandbBayesSampler(optuna.samplers.BaseSampler):
    """Proposes by expected improvement under a Gaussian process over all searched hyperparameters at once.

    The published numbers are in ``conf/sampler/wandb_bayes.yaml``. All randomness comes from ``seed``: a
    fresh sampler proposes the same point for the same history.

    Args:
        seed: seed of the proposals.
        max_history: greatest number of finished trials that the process is fitted to; if there are more, this
            many are drawn with replacement.
        max_running: greatest number of running trials that are added, with the process's own prediction as
            their value.
        candidates: number of random points, of which the one with the best expected improvement is proposed.
        nu: smoothness of the Matérn kernel.
        restarts: number of restarts of the kernel's fit, besides the first.
        noise: variance added to the standardised values.
        stopped: value of a trial that was stopped early: the ``"worst"`` so far, as for a killed run, or the
            best ``"value"`` that it reported.

    Raises:
        UserError: if ``stopped`` is neither.
    """

    def __init__(
        self,
        *,
        seed: int,
        max_history: int,
        max_running: int,
        candidates: int,
        nu: float,
        restarts: int,
        noise: float,
        stopped: Literal["worst", "value"],
    ) -> None:
        if stopped not in ("worst", "value"):
            raise UserError(f"stopped must be worst or value, got {stopped}")
        self._rng = np.random.default_rng(seed)
        self._max_history = max_history
        self._max_running = max_running
        self._candidates = candidates
        self._nu = nu
        self._restarts = restarts
        self._noise = noise
        self._stopped = stopped

    def infer_relative_search_space(
        self,
        study: optuna.Study,
        trial: FrozenTrial,  # noqa: ARG002  (Optuna's signature)
    ) -> dict[str, BaseDistribution]:
        """The space of the first finished trial; before there is one, proposals are independent."""
        for other in study.get_trials(deepcopy=False):
            if other.state.is_finished() and other.distributions:
                return {
                    name: _only_float(name, distribution)
                    for name, distribution in other.distributions.items()
                    if not distribution.single()
                }
        return {}

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """A point of the space; uniform until two trials have finished."""
        if not search_space:
            return {}
        space = {name: _only_float(name, distribution) for name, distribution in search_space.items()}
        points, values, running = self._history(study, trial.number, space)
        if len(values) < 2:
            return _from_unit(self._rng.random(len(space)), space)
        # The two fits, of at most 195 points, are too small to gain from threads, which wait for the cores
        # that training keeps busy: on two busy cores a proposal took eight times as long with them.
        from threadpoolctl import threadpool_limits

        with threadpool_limits(limits=1, user_api="blas"):
            return _from_unit(self._propose(points, values, running), space)

    def sample_independent(
        self,
        study: optuna.Study,  # noqa: ARG002
        trial: FrozenTrial,  # noqa: ARG002
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> float:
        """A uniform draw, for trials that are proposed before any has finished."""
        space = {param_name: _only_float(param_name, param_distribution)}
        return _from_unit(self._rng.random(1), space)[param_name]

    def _history(
        self, study: optuna.Study, number: int, space: Space
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Finished trials' points in the unit cube, their values (lower is better), and running points."""
        sign = sign_of(study)
        others = [
            trial
            for trial in study.get_trials(deepcopy=False)
            if trial.number != number
            and all(trial.distributions.get(name) == distribution for name, distribution in space.items())
        ]
        finished = [trial for trial in others if trial.state.is_finished()]
        running = [trial for trial in others if trial.state is TrialState.RUNNING]
        values = np.array([self._value(trial, sign) for trial in finished])
        # What trials reported on their way counts too: otherwise the worst of those that were not stopped, a
        # good value, would stand for all that were.
        reports = [report for trial in finished for report in _reports(trial, sign)]
        finite = np.concatenate([values[np.isfinite(values)], np.array(reports)])
        worst = finite.max() if len(finite) else 0.0
        values[~np.isfinite(values)] = worst
        return _to_unit(finished, space), values, _to_unit(running, space)

    def _value(self, trial: FrozenTrial, sign: float) -> float:
        """The value of a trial (lower is better); NaN if it is to count as the worst."""
        if trial.state is TrialState.COMPLETE:
            value = trial.value
            return sign * value if value is not None and _regular(value) else np.nan
        if trial.state is TrialState.PRUNED and self._stopped == "value":
            return min(_reports(trial, sign), default=np.nan)
        return np.nan

    def _propose(self, points: np.ndarray, values: np.ndarray, running: np.ndarray) -> np.ndarray:
        """The point of the unit cube to try next."""
        from scipy.stats import norm

        best = values.min()
        if len(values) > self._max_history:
            drawn = self._rng.integers(len(values), size=self._max_history)
            points, values = points[drawn], values[drawn]
        process, mean, deviation = self._fit(points, values)
        if len(running):
            running = running[: self._max_running]
            expected = process.predict(running) * deviation + mean
            points, values = np.concatenate([points, running]), np.concatenate([values, expected])
            process, mean, deviation = self._fit(points, values)
        candidates = self._rng.random((self._candidates, points.shape[1]))
        kernel = process.kernel_
        if np.isclose(kernel.bounds.T, kernel.theta).any():
            # A length scale at the end of its range is a bad fit: its expected improvement says nothing.
            return candidates[self._rng.integers(len(candidates))]
        with warnings.catch_warnings():
            # At a point that was tried, rounding can make the variance negative; scikit-learn takes zero.
            warnings.filterwarnings(
                "ignore", message="Predicted variances smaller than 0", category=UserWarning
            )
            predicted, uncertainty = process.predict(candidates, return_std=True)
        gain = (best - mean) / deviation - predicted
        z = gain / (uncertainty + _TINY)
        return candidates[np.argmax(gain * norm.cdf(z) + uncertainty * norm.pdf(z))]

    def _fit(self, points: np.ndarray, values: np.ndarray) -> tuple[Any, float, float]:
        """The process fitted to standardised values, their mean and deviation."""
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process.kernels import Matern

        mean, deviation = values.mean(), values.std() + _TINY
        process = GaussianProcessRegressor(
            Matern(nu=self._nu),
            alpha=self._noise,
            n_restarts_optimizer=self._restarts,
            random_state=_KERNEL_SEED,
        )
        with warnings.catch_warnings():
            # ``_propose`` handles a length scale at a bound; a fit that ran out of steps is as good as the
            # published one.
            warnings.simplefilter("ignore", ConvergenceWarning)
            process.fit(points, (values - mean) / deviation)
        return process, mean, deviation


def _regular(value: float) -> bool:
    """Whether a value is neither a diverged trial's nor infinite nor NaN."""
    return abs(value) < _DIVERGED


def _reports(trial: FrozenTrial, sign: float) -> list[float]:
    return [sign * value for value in trial.intermediate_values.values() if _regular(value)]


def _only_float(name: str, distribution: BaseDistribution) -> FloatDistribution:
    if not isinstance(distribution, FloatDistribution) or distribution.step is not None:
        raise UserError(f"{name} is {distribution}, and this sampler proposes only floats without a step")
    return distribution


def _to_unit(trials: list[FrozenTrial], space: Space) -> np.ndarray:
    """Points of trials in the unit cube, one row each."""
    points = np.empty((len(trials), len(space)))
    for column, (name, distribution) in enumerate(space.items()):
        values = np.array([trial.params[name] for trial in trials])
        low, high = distribution.low, distribution.high
        if distribution.log:
            values, low, high = np.log(values), np.log(low), np.log(high)
        points[:, column] = (values - low) / (high - low)
    return points


def _from_unit(point: np.ndarray, space: Space) -> dict[str, float]:
    """The hyperparameters of a point of the unit cube."""
    hyperparameters = {}
    for u, (name, distribution) in zip(point, space.items(), strict=True):
        low, high = distribution.low, distribution.high
        if distribution.log:
            value = np.exp(np.log(low) + u * (np.log(high) - np.log(low)))
        else:
            value = low + u * (high - low)
        hyperparameters[name] = float(np.clip(value, low, high))  # rounding may have left the range
    return hyperparameters
