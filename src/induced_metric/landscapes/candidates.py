"""The optimizers of a comparison with their hyperparameters: the published grid and the searched space."""

import itertools
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal, NamedTuple

import numpy as np
from scipy.stats import qmc

from induced_metric.landscapes.descent import Optimizer


class Interval(NamedTuple):
    """A searched interval of one hyperparameter.

    Attributes:
        low: its lower end.
        high: its upper end.
        scale: ``log`` is uniform in log x; ``log_complement`` in log (1 - x), for decays close to 1.
        averages: name of a momentum μ whose 1 - μ multiplies the value drawn. Heavy-ball momentum sums
            gradients where the others average them; times 1 - μ a learning rate means the same for all.
    """

    low: float
    high: float
    scale: Literal["linear", "log", "log_complement"] = "linear"
    averages: str | None = None

    def quantile(self, uniform: np.ndarray) -> np.ndarray:
        """The values below which lie these shares of the interval."""
        if self.scale == "log":
            return np.asarray(self.low * (self.high / self.low) ** uniform)
        if self.scale == "log_complement":
            return np.asarray(1 - (1 - self.low) * ((1 - self.high) / (1 - self.low)) ** uniform)
        return np.asarray(self.low + uniform * (self.high - self.low))


class Contender(NamedTuple):
    """An optimizer with the hyperparameters it is tried with.

    Attributes:
        name: as in ``conf/optimizer``.
        optimizer: the factory.
        default: all its hyperparameters, as the package documents them.
        fixed: those that differ from the default in the grid and in the search.
        grid: values of each hyperparameter of the published grid; the last varies fastest.
        search: intervals of the fair study.
        momentum: name of its momentum; at 0 the direction is the preconditioned gradient.
    """

    name: str
    optimizer: Optimizer
    default: Mapping[str, float]
    fixed: Mapping[str, float]
    grid: Mapping[str, Sequence[float]]
    search: Mapping[str, Interval]
    momentum: str = "momentum"

    def partial(self, names: Sequence[str]) -> Optimizer:
        """The factory of the hyperparameters in ``names``; all others are constants of the program."""
        constants = {**self.default, **self.fixed}
        return partial(self.optimizer, **{k: v for k, v in constants.items() if k not in names})

    def configurations(self) -> dict[str, np.ndarray]:
        """The published grid, one column a hyperparameter, duplicates included."""
        rows = np.array(list(itertools.product(*self.grid.values())), float)
        return dict(zip(self.grid, rows.T, strict=True))

    def draws(self, number: int, seed: int) -> dict[str, np.ndarray]:
        """``number`` settings of the search space, evenly spread (scrambled Sobol), one column each."""
        uniform = qmc.Sobol(len(self.search), seed=seed).random(number)
        columns: dict[str, np.ndarray] = {}
        for (name, interval), column in zip(self.search.items(), uniform.T, strict=True):
            columns[name] = interval.quantile(column)
        for name, interval in self.search.items():
            if interval.averages is not None:
                columns[name] = columns[name] * (1 - columns[interval.averages])
        return columns


def duplicates(columns: Mapping[str, Any]) -> np.ndarray:
    """For each configuration, whether an earlier one has the same values; shape (configurations,)."""
    rows = np.stack([np.asarray(column) for column in columns.values()], axis=1)
    _, first = np.unique(rows, axis=0, return_index=True)
    repeated = np.ones(len(rows), bool)
    repeated[first] = False
    return repeated
