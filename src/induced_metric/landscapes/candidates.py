"""The optimizers of a comparison with their hyperparameters: the published grid and the search space."""

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
    """An optimizer with the hyperparameters it is tried with.

    Attributes:
        name: as in ``conf/optimizer``.
        optimizer: the factory.
        default: all its hyperparameters, as the package documents them.
        grid: values of each hyperparameter of the published grid; the last varies fastest.
        search_space: of the fair study.
        fixed: what differs from the default in the grid and in the search.
        momentum: name of its momentum; at 0 the direction is the preconditioned gradient.
        heavy_ball: whether its momentum sums gradients where that of the others averages them. The learning
            rate drawn is then multiplied by 1 - momentum, so that it means the same for all.
        offsets: the functions are raised by each of these; one other than 0 is a control for an optimizer
            that knows the least value.

    Raises:
        ValueError: for a hyperparameter that ``default`` does not have, or a grid without values.
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
        """The factory of the hyperparameters in ``names``; all others are constants of the program."""
        constants = {**self.default, **self.fixed}
        return partial(self.optimizer, **{k: v for k, v in constants.items() if k not in names})

    @property
    def searched(self) -> list[str]:
        """What differs from run to run: what is searched, and what is fixed at another value than default."""
        return list(dict.fromkeys([*self.search_space, *self.fixed]))

    def configurations(self) -> dict[str, np.ndarray]:
        """The published grid, one column a hyperparameter, duplicates included."""
        rows = np.array(list(itertools.product(*self.grid.values())), float)
        return dict(zip(self.grid, rows.T, strict=True))

    def draws(self, number: int, seed: int) -> dict[str, np.ndarray]:
        """``number`` settings of the search space, evenly spread (scrambled Sobol), one column each."""
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
    """One optimizer on one function, raised by ``offset``: its minimum is then not at 0."""

    function: str
    landscape: Landscape  # not raised
    candidate: Candidate
    offset: float = 0.0

    @property
    def raised(self) -> Landscape:
        """The function that the optimizer sees."""
        return raised(self.landscape, self.offset)

    @property
    def identity(self) -> dict[str, object]:
        """The columns that say whose rows they are."""
        return {"function": self.function, "optimizer": self.candidate.name, "offset": self.offset}


def cases(
    landscapes: Mapping[str, Landscape], candidates: Sequence[Candidate], *, controls: bool
) -> list[Case]:
    """Each optimizer on each function, as it is or, with ``controls``, raised by each of its offsets."""
    return [
        Case(name, landscape, candidate, offset)
        for candidate in candidates
        for offset in (candidate.offsets if controls else (0.0,))
        for name, landscape in landscapes.items()
    ]


def duplicates(columns: Mapping[str, Any]) -> np.ndarray:
    """For each configuration, whether an earlier one has the same values; shape (configurations,)."""
    rows = np.stack([np.asarray(column) for column in columns.values()], axis=1)
    _, first = np.unique(rows, axis=0, return_index=True)
    repeated = np.ones(len(rows), bool)
    repeated[first] = False
    return repeated
