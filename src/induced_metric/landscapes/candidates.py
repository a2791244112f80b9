"""The optimisers of a comparison with their hyperparameters: the published grid and the search space."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import qmc

from induced_metric.landscapes.descent import Optimizer
from induced_metric.landscapes.functions import Landscape, raised
from induced_metric.space import Float


@dataclass(frozen=True)
class Candidate:
    """An optimiser with the hyperparameters it is tried with.

    Attributes:
        name: as in ``conf/optimizer``.
        optimizer: the factory.
        default: the value of every hyperparameter that the package documents as its default.
        grid: values of each hyperparameter of the published grid; the last varies fastest.
        search_space: the search space of the fair study.
        fixed: values of hyperparameters that stay fixed in the grid and in the search, not at the default.
        momentum: name of its momentum; at 0 the direction is the preconditioned gradient.
        heavy_ball: whether its momentum sums gradients, where that of the others averages them. The learning
            rate that is drawn is then multiplied by 1 - momentum, so that it means the same for all.
        offsets: the functions are raised by each of these; one other than 0 is a control for an optimiser
            that relies on the least value being 0.

    Raises:
        ValueError: for a hyperparameter that ``default`` does not have, a grid without values, or no offset.
    """

    name: str
    optimizer: Optimizer
    default: Mapping[str, Any]
    grid: Mapping[str, tuple[float, ...]]
    search_space: Mapping[str, Float]
    fixed: Mapping[str, float]
    momentum: str
    heavy_ball: bool = False
    offsets: tuple[float, ...] = (0.0,)

    def __post_init__(self) -> None:
        """Checks the names."""
        for where in ("grid", "search_space", "fixed"):
            self._check_names(where, getattr(self, where))
        self._check_names("momentum", [self.momentum])
        if empty := [name for name, values in self.grid.items() if not values]:
            raise ValueError(f"grid.{empty[0]} must have at least one value")
        if not self.offsets:
            raise ValueError("offsets must have at least one value, 0 for the function as it is")

    def _check_names(self, where: str, names: Any) -> None:
        if unknown := [name for name in names if name not in self.default]:
            allowed = ", ".join(self.default)
            raise ValueError(f"{where} must name hyperparameters among {allowed}, got {unknown[0]!r}")

    def partial(self, names: Sequence[str]) -> Optimizer:
        """The factory as a function of the hyperparameters in ``names``; all others are constants."""
        constants = {**self.default, **self.fixed}
        return partial(self.optimizer, **{k: v for k, v in constants.items() if k not in names})

    @property
    def searched(self) -> list[str]:
        """The hyperparameters that differ from run to run: those searched, and those in ``fixed``."""
        return list(dict.fromkeys([*self.search_space, *self.fixed]))

    def configurations(self) -> dict[str, np.ndarray]:
        """The published grid, one column per hyperparameter, duplicates included."""
        rows = np.array(list(itertools.product(*self.grid.values())), float)
        return dict(zip(self.grid, rows.T, strict=True))

    def draws(self, number: int, seed: int) -> dict[str, np.ndarray]:
        """``number`` settings, evenly spread over the search space (scrambled Sobol), as columns."""
        shares = qmc.Sobol(len(self.search_space), seed=seed).random(number)
        columns = {
            name: np.array([dimension.quantile(share) for share in column])
            for (name, dimension), column in zip(self.search_space.items(), shares.T, strict=True)
        }
        if self.heavy_ball and "learning_rate" in columns:
            momentum = {**self.default, **self.fixed, **columns}[self.momentum]
            columns["learning_rate"] = columns["learning_rate"] * (1 - momentum)
        return columns


class Case(NamedTuple):
    """One optimiser on one function, which is raised by ``offset``, and so is its minimum."""

    function: str
    landscape: Landscape  # not raised
    candidate: Candidate
    offset: float = 0.0

    @property
    def raised(self) -> Landscape:
        """The function that the optimiser sees."""
        return raised(self.landscape, self.offset)

    @property
    def identity(self) -> dict[str, object]:
        """The columns that identify the case in a table."""
        return {"function": self.function, "optimizer": self.candidate.name, "offset": self.offset}


def cases(
    landscapes: Mapping[str, Landscape], candidates: Sequence[Candidate], *, controls: bool
) -> list[Case]:
    """Each optimiser on each function, as it is or, with ``controls``, raised by each of its offsets."""
    return [
        Case(name, landscape, candidate, offset)
        for candidate in candidates
        for offset in (candidate.offsets if controls else (0.0,))
        for name, landscape in landscapes.items()
    ]


def duplicates(columns: Mapping[str, Any]) -> np.ndarray:
    """For each configuration, whether an earlier one has the same values; shape (configurations,)."""
    rows = np.stack([np.asarray(column) for column in columns.values()], axis=1)
    _, first_indices = np.unique(rows, axis=0, return_index=True)
    repeated = np.ones(len(rows), bool)
    repeated[first_indices] = False
    return repeated
