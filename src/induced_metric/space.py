"""One searched dimension of an optimiser, a task or a schedule, for studies and for landscapes."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

Value: TypeAlias = float | int | bool | str | None


@dataclass(frozen=True)
class Float:
    """Real numbers from ``low`` to ``high``.

    Attributes:
        low: the least number.
        high: the greatest number.
        log: whether the search is uniform in the logarithm.
        complement: whether 1 − x is searched instead of x, as suits a momentum or a decay near 1.

    Raises:
        ValueError: unless both are finite, low < high and, with ``log``, all numbers searched are positive.
    """

    low: float
    high: float
    log: bool = False
    complement: bool = False

    static = False  # a traced number: its values share one program

    def __post_init__(self) -> None:
        """Checks the range."""
        least, _ = self.searched
        if not self.low < self.high or (self.log and least <= 0):
            positive = "high < 1" if self.complement else "low > 0"
            raise ValueError(
                f"a range must have low < high, and {positive} with log, got {self.low} and {self.high}"
            )
        if not (math.isfinite(self.low) and math.isfinite(self.high)):
            raise ValueError(f"a range must have finite ends, got {self.low} and {self.high}")

    @property
    def searched(self) -> tuple[float, float]:
        """The ends of the range that is searched, before any logarithm."""
        low, high = sorted(self._mirrored)
        return low, high

    @property
    def _mirrored(self) -> tuple[float, float]:
        """Where the range begins and ends in what is searched; with ``complement`` it begins higher."""
        return (1 - self.low, 1 - self.high) if self.complement else (self.low, self.high)

    @property
    def ends(self) -> tuple[float, float]:
        """The values to check for the whole range."""
        return self.low, self.high

    def quantile(self, share: float) -> float:
        """The value below which this share of the range lies, 0 <= share <= 1."""
        low, high = self._mirrored
        # NumPy's power and Python's differ in the last bit, and recorded settings were made with NumPy's.
        value = float(low * np.power(high / low, share)) if self.log else low + share * (high - low)
        return min(max(1 - value if self.complement else value, self.low), self.high)

    def share(self, value: float) -> float:
        """The share of the range that lies below a value: the inverse of ``quantile``."""
        low, high = self._mirrored
        at = 1 - value if self.complement else value
        return math.log(at / low) / math.log(high / low) if self.log else (at - low) / (high - low)


@dataclass(frozen=True)
class Int:
    """Integers from ``low`` to ``high``.

    Attributes:
        low: the least integer.
        high: the greatest integer.
        log: whether the search is uniform in the logarithm.
        step: the distance between two neighbouring values; 1 with ``log``.
        static: whether each value needs its own program, as a width does.

    Raises:
        ValueError: unless low < high, step >= 1 and, with ``log``, low >= 1 and step is 1.
    """

    low: int
    high: int
    log: bool = False
    step: int = 1
    static: bool = False

    def __post_init__(self) -> None:
        """Checks the range."""
        if not self.low < self.high or self.step < 1 or (self.log and (self.low < 1 or self.step != 1)):
            raise ValueError(
                "a range of integers must have low < high and step >= 1, and low >= 1 and step 1 with log, "
                f"got {self.low}, {self.high} and step {self.step}"
            )

    @property
    def ends(self) -> tuple[int, int]:
        """The values to check for the whole range."""
        return self.low, self.low + (self.high - self.low) // self.step * self.step

    @property
    def count(self) -> int:
        """The number of values."""
        return (self.high - self.low) // self.step + 1


@dataclass(frozen=True)
class Choice:
    """One of several values without an order.

    Attributes:
        choices: the values: all numbers, all booleans or all words; null may be one of them.
        static: whether each value needs its own program; values other than numbers always do.

    Raises:
        ValueError: for fewer than two values, a repeated value, or values of two kinds.
    """

    choices: tuple[Value, ...]
    static: bool = False

    def __post_init__(self) -> None:
        """Checks the choices."""
        if len(set(self.choices)) < max(len(self.choices), 2):
            raise ValueError(f"choices must be at least two different values, got {list(self.choices)}")
        kinds = {"number" if type(value) in (int, float) else type(value) for value in self.choices}
        if len(kinds - {type(None)}) > 1:
            raise ValueError(f"choices must be of one kind, except for null, got {list(self.choices)}")
        if kinds != {"number"}:
            object.__setattr__(self, "static", True)

    @property
    def ends(self) -> tuple[Value, ...]:
        """The values to check for the whole range."""
        return self.choices

    @property
    def count(self) -> int:
        """The number of values."""
        return len(self.choices)


Dimension: TypeAlias = Float | Int | Choice


def as_word(value: Any) -> Any:
    """A list as text such as ``[32, 32, 1]``, since Optuna and the records have no lists; else unchanged."""
    return json.dumps(value) if isinstance(value, list) else value


def from_word(value: Any) -> Any:
    """The inverse of ``as_word``."""
    return json.loads(value) if isinstance(value, str) and value.startswith("[") else value


def dimension(given: Mapping[str, Any]) -> Dimension:
    """The dimension that a range of a recorded configuration describes."""
    values = {name: value for name, value in given.items() if name != "type"}
    if "choices" in values:
        return Choice(**values | {"choices": tuple(map(as_word, values["choices"]))})
    return Int(**values) if given.get("type") == "int" else Float(**values)


def dimensions(search_space: Mapping[str, Any], prefix: str = "") -> dict[str, Dimension]:
    """The dimensions of a recorded search space, by their dotted names."""
    found: dict[str, Dimension] = {}
    for name, value in search_space.items():
        if "low" in value or "choices" in value:
            found[prefix + name] = dimension(value)
        else:
            found |= dimensions(value, f"{prefix}{name}.")
    return found


def programs(space: Mapping[str, Dimension]) -> int:
    """How many programs a search may compile: one for each combination of static values."""
    return math.prod(each.count for each in space.values() if isinstance(each, Int | Choice) and each.static)
