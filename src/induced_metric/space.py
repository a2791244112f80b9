"""One searched dimension of an optimiser, a task or a schedule, for studies and for landscapes."""

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
        ValueError: unless low < high and, with ``log``, all numbers searched are positive.
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

    @property
    def searched(self) -> tuple[float, float]:
        """The ends of the range that is searched, before any logarithm."""
        return (1 - self.high, 1 - self.low) if self.complement else (self.low, self.high)

    @property
    def ends(self) -> tuple[float, float]:
        """The values to check for the whole range."""
        return self.low, self.high

    def quantile(self, share: float) -> float:
        """The value below which this share of the range lies, 0 <= share <= 1."""
        low, high = (1 - self.low, 1 - self.high) if self.complement else (self.low, self.high)
        # NumPy's power and Python's differ in the last bit, and recorded settings were made with NumPy's.
        value = float(low * np.power(high / low, share)) if self.log else low + share * (high - low)
        return min(max(1 - value if self.complement else value, self.low), self.high)

    def share(self, value: float) -> float:
        """The share of the range that lies below a value: the inverse of ``quantile``."""
        low, high = (1 - self.low, 1 - self.high) if self.complement else (self.low, self.high)
        at = 1 - value if self.complement else value
        return math.log(at / low) / math.log(high / low) if self.log else (at - low) / (high - low)

    def contains(self, value: Any) -> bool:
        """Whether a value lies in the range."""
        return isinstance(value, int | float) and self.low <= value <= self.high


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

    def quantile(self, share: float) -> int:
        """The value below which this share of the range lies, 0 <= share <= 1."""
        if self.log:  # rounded as in Optuna: each integer covers half a unit on either side
            low, high = math.log(self.low - 0.5), math.log(self.high + 0.5)
            value = round(math.exp(low + share * (high - low)))
            return min(max(value, self.low), self.high)
        return self.low + min(int(share * self.count), self.count - 1) * self.step

    def contains(self, value: Any) -> bool:
        """Whether a value is one of them."""
        whole = isinstance(value, int | float) and not isinstance(value, bool) and value == int(value)
        return whole and self.low <= value <= self.high and (value - self.low) % self.step == 0


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

    def quantile(self, share: float) -> Value:
        """The value at this share of the list, 0 <= share <= 1."""
        return self.choices[min(int(share * self.count), self.count - 1)]

    def contains(self, value: Any) -> bool:
        """Whether a value is one of them."""
        return any(
            value == choice and isinstance(value, bool) == isinstance(choice, bool) for choice in self.choices
        )


Dimension: TypeAlias = Float | Int | Choice


def programs(space: Mapping[str, Dimension]) -> int:
    """How many programs a search may compile: one for each combination of static values."""
    return math.prod(each.count for each in space.values() if isinstance(each, Int | Choice) and each.static)
