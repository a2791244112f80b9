"""The order in which a study asks and tells: a rule of the study, never of the machine.

An adaptive sampler proposes from what it has been told, so a study is defined only with the order of its
asks and tells. Lanes cannot give it: how many trials they carry, and which report comes first, depends on the
machine. Here it follows from the trials alone: there are ``in_flight`` places with a trial each; they are
served in pairs, the pairs in turn, every turn ``stride`` epochs further. A turn waits until both trials have
come that far, in whatever lane; then they are looked at, those that ended are told, and their places are
filled again.

That is what two cores do with two mapped lanes a dispatch, so there nothing ever waits.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

_TOGETHER = 2  # places served at once


class Look(NamedTuple):
    """A trial whose turn it is."""

    number: int
    epochs: int  # to be judged after so many; it may have ended before


@dataclass
class _Place:
    number: int | None = None  # of its trial
    epochs: int = 0  # after which it was last looked at


class Schedule:
    """The places of a study.

    Args:
        in_flight: how many there are.
        stride: epochs between two looks at a trial.
        epochs: of a whole trial.
        ask: the number of the next trial, None once there are no more.
        done: whether a trial has run so many epochs, or ended before.
        serve: judges trials whose turn it is; for each, whether it goes on.
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
        """Serves every turn that has come; to be called whenever trials have gone on."""
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
