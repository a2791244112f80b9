"""The order in which a study asks and tells. It depends on the study, never on the machine.

An adaptive sampler proposes from what it has been told, so the order of asks and tells is part of a study's
definition. The lanes cannot provide that order: how many trials they carry, and which report comes first,
depends on the machine. Here the order follows from the trials alone. There are ``in_flight`` places with one
trial each. The places are served in pairs, and the pairs take turns; at each turn, a pair is to be ``stride``
epochs further. A turn waits until both trials have come that far, in whichever lane. Then they are looked at,
those that ended are told, and their places are filled again.

Two cores with two mapped lanes a dispatch work in just this order, so that nothing ever waits there.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

_TOGETHER = 2  # places served at once


class Look(NamedTuple):
    """A trial whose turn it is."""

    number: int
    epochs: int  # epochs after which to judge it; it may have ended earlier


@dataclass
class _Place:
    number: int | None = None  # of its trial; None if it is empty
    epochs: int = 0  # epochs after which its trial was last looked at


class Schedule:
    """Serves the places of a study in turn.

    Args:
        in_flight: number of places.
        stride: epochs between two looks at a trial.
        epochs: epochs of a whole trial.
        ask: returns the number of the next trial, None once there are no more.
        done: returns whether a trial has run this many epochs or ended earlier.
        serve: judges the trials whose turn it is; returns for each whether it goes on.
    """

    def __init__(
        self,
        *,
        in_flight: int,
        stride: int,
        epochs: int,
        ask: Callable[[], int | None],
        done: Callable[[int, int], bool],
        serve: Callable[[Sequence[Look]], Sequence[bool]],
    ) -> None:
        self._stride, self._epochs = stride, epochs
        self._ask, self._done, self._serve = ask, done, serve
        pairs: list[list[_Place]] = [[] for _ in range(-(-in_flight // _TOGETHER))]
        for place in range(in_flight):
            pairs[place % len(pairs)].append(_Place(ask()))
        self._turns = deque(pair for pair in pairs if _taken(pair))

    def advance(self) -> None:
        """Serves every turn that has come; to be called whenever trials have advanced."""
        while self._turns:
            taken = _taken(self._turns[0])
            looks = [
                Look(place.number, min(place.epochs + self._stride, self._epochs))
                for place in taken
                if place.number is not None
            ]
            if not all(self._done(*look) for look in looks):
                return
            pair = self._turns.popleft()
            for place, look, goes_on in zip(taken, looks, self._serve(looks), strict=True):
                place.number, place.epochs = (look.number, look.epochs) if goes_on else (None, 0)
            for place in pair:
                if place.number is None:
                    place.number = self._ask()
            if _taken(pair):
                self._turns.append(pair)


def _taken(pair: Sequence[_Place]) -> list[_Place]:
    return [place for place in pair if place.number is not None]
