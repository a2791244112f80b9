"""How large the studies of the functions of two variables are; ``conf/landscapes.yaml`` has the numbers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from induced_metric.landscapes.functions import NOTEBOOK

_ITERATIONS = (1, 10**6)
_ON_PAGE = (1, 2**16 - 1)  # the page has each iteration in two bytes
_TILE = (1, 10**4)
_SEED = (0, 2**32 - 1)


@dataclass(frozen=True)
class GridSettings:
    """The size of our run of the published grid.

    Attributes:
        iterations: the greatest number of updates of a run.
        tolerances: distances above the minimum, by name, besides each function's own tolerance.
        nudges: one repeat of the grid for each number: its starts are moved by that many units in the last
            place, the same for x and y, so that a start on the diagonal stays there. Whatever a repeat
            changes is decided by rounding.
        tile: the number of runs that advance together.

    Raises:
        ValueError: for a number out of range.
    """

    iterations: int
    tolerances: Mapping[str, float]
    nudges: tuple[int, ...]
    tile: int

    def __post_init__(self) -> None:
        """Checks the ranges."""
        _check(self, iterations=_ITERATIONS, tile=_TILE)
        _check_tolerances(self.tolerances)


@dataclass(frozen=True)
class TimingSettings:
    """How the cost of an iteration is measured.

    Attributes:
        compiled: iterations per round of the whole run as one program.
        stepped: iterations per round where Python calls every step.
        eager: iterations per round where every operation is dispatched by itself.
        rounds: the number of rounds. Each measures every optimiser on every function once, so that whatever
            disturbs the machine disturbs all alike.

    Raises:
        ValueError: for a number out of range.
    """

    compiled: int
    stepped: int
    eager: int
    rounds: int

    def __post_init__(self) -> None:
        """Checks the ranges; quartiles need two rounds."""
        _check(self, compiled=_ITERATIONS, stepped=_ITERATIONS, eager=_ITERATIONS, rounds=(2, 10**6))


@dataclass(frozen=True)
class FairSettings:
    """The size of the fair study, the same for every optimiser.

    Attributes:
        settings: the tuning budget, as a number of settings.
        selection_starts: random starts on which settings are chosen.
        curve_starts: other starts, on which success against tuning budget is measured.
        report_starts: yet other starts, on which the chosen settings are reported.
        iterations: the greatest number of updates of a run.
        tolerances: distances above the minimum, by name, besides each function's own tolerance.
        seed: the seed of the starts and of the settings drawn.
        tile: the number of runs that advance together.
        tiles: the number of tiles in one call of a program.

    Raises:
        ValueError: for a number out of range.
    """

    settings: int
    selection_starts: int
    curve_starts: int
    report_starts: int
    iterations: int
    tolerances: Mapping[str, float]
    seed: int
    tile: int
    tiles: int

    def __post_init__(self) -> None:
        """Checks the ranges."""
        starts = (1, 10**6)
        _check(self, settings=(1, 10**4), iterations=_ITERATIONS, seed=_SEED, tile=_TILE, tiles=_TILE)
        _check(self, selection_starts=starts, curve_starts=starts, report_starts=starts)
        _check_tolerances(self.tolerances)


@dataclass(frozen=True)
class PageSettings:
    """The runs of the interactive page.

    Attributes:
        choices: the values of hyperparameters; ``momentum`` stands for whatever an optimiser calls its own.
            Hyperparameters that are not named have their fixed or default value.
        starts: the number of starts: the function's own, and others at random around it and the minima.
        iterations: the greatest number of updates of a run.
        points: the greatest number of points kept of a run.
        resolution: the number of points of a surface along x, and along y.
        seed: the seed of the random starts.

    Raises:
        ValueError: for a number out of range, or a choice without values.
    """

    choices: Mapping[str, tuple[float, ...]]
    starts: int
    iterations: int
    points: int
    resolution: int
    seed: int

    def __post_init__(self) -> None:
        """Checks the ranges."""
        _check(self, starts=(1, 100), iterations=_ON_PAGE, points=(2, 10**5))
        _check(self, resolution=(2, 1000), seed=_SEED)
        if empty := [name for name, values in self.choices.items() if not values]:
            raise ValueError(f"choices.{empty[0]} must have at least one value")


def _check(settings: Any, /, **ranges: tuple[int, int]) -> None:
    for name, (low, high) in ranges.items():
        value = getattr(settings, name)
        if not isinstance(value, int) or not low <= value <= high:
            raise ValueError(f"{name} must be an integer from {low} to {high}, got {value!r}")


def _check_tolerances(tolerances: Mapping[str, float]) -> None:
    if NOTEBOOK in tolerances:
        raise ValueError(f"tolerances.{NOTEBOOK} is each function's own tolerance and cannot be set")
    for name, value in tolerances.items():
        if not value > 0:
            raise ValueError(f"tolerances.{name} must be > 0, got {value}")
