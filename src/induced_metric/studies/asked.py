"""A trial that was asked for and is not yet done with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from induced_metric.errors import UserError
from induced_metric.studies.judgement import Judgement
from induced_metric.studies.plan import StudyPlan
from induced_metric.studies.storage import Published
from induced_metric.training.trial import Trial

_LETTERS = 300  # of why a trial failed


@dataclass
class Asked:
    """A trial that was asked for: it is in a lane, ready for one, paused until it is judged, or elsewhere.

    Attributes:
        trial: the trial, as far as this process has trained it.
        id: in the study's storage.
        claim: name of this process's claim on it; None where it has none.
        turn: how often it was lost to another process; what a lane of an earlier turn reports is void.
        looked: epochs after which it was last judged.
        judged: what the pruner said of it so far.
        row: its record, once that is durable.
        reported: of a trial that another process has under way, the values that it is judged by.
        stopped: it was judged and told, and has only to be recorded, by whoever has it.
        lost: how many workers were lost while they trained it.
        failed: why nobody is to train it any more.
    """

    trial: Trial
    id: int
    claim: str | None = None
    turn: int = 0
    looked: int = 0
    judged: list[Judgement] = field(default_factory=list)
    row: Mapping[str, Any] | None = None
    reported: Mapping[int, float] = field(default_factory=dict)
    stopped: bool = False
    lost: int = 0
    failed: str | None = None

    @property
    def mine(self) -> bool:
        """Whether it is this process's to train."""
        return self.claim is not None

    @property
    def ended(self) -> bool:
        """Whether it has nothing left to train."""
        return self.trial.ended or self.row is not None or self.failed is not None

    def has_done(self, epochs: int) -> bool:
        """Whether it has run so many epochs, or ended before, here or elsewhere."""
        return self.trial.done >= epochs or self.ended or max(self.reported, default=0) >= epochs

    def due(self, rungs: Sequence[int]) -> bool:
        """Whether it has come to a rung at which it is still to be judged."""
        return any(self.looked < rung <= self.trial.done for rung in rungs)

    def best_until(self, epochs: int) -> float:
        """What it is judged by after so many epochs."""
        if self.trial.done >= epochs or self.ended:
            return self.trial.best_until(epochs)
        return self.reported[epochs]

    def lose(self) -> None:
        """Forgets what this process trained of it: it is another's."""
        old = self.trial
        self.trial = Trial(old.number, old.hyperparameters, old.seed, old.goal, until=old.until)
        self.claim = None
        self.turn += 1

    def make_row(self, plan: StudyPlan, state: str) -> dict[str, Any]:
        """The record of a trial that ended here in a state, unless it failed or was judged earlier."""
        if self.failed is not None:
            state = "failed"
        elif self.stopped:
            state = "pruned"
        judged = [judgement.facts() for judgement in self.judged]
        columns = plan.described(lost=self.lost or None, failed=self.failed, judged=judged or None)
        return self.trial.row(columns, state=state)

    def recorded(self, published: Published) -> None:
        """Takes over its record."""
        self.row = published.row
        self.trial.read(int(self.row["epochs"]), published.curve)


def reason(error: Exception) -> str:
    """Why a trial failed, in a line."""
    line = next(iter(str(error).splitlines()), "")[:_LETTERS]
    return line if isinstance(error, UserError) else f"{type(error).__name__}: {line}"
