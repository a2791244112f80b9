"""A trial in flight: asked for, and not yet both recorded and told."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from induced_metric.errors import UserError
from induced_metric.studies.dimensions import COMPLEMENTS
from induced_metric.studies.judgement import Judgement
from induced_metric.studies.plan import StudyPlan
from induced_metric.studies.storage import Published
from induced_metric.training.trial import Trial

_LETTERS = 300  # most characters of the reason why a trial failed


@dataclass
class Asked:
    """A trial in flight: in a lane, ready for one, paused until it is judged, or in another process.

    Attributes:
        trial: the trial, as far as this process has trained it.
        id: the trial's id in the study's storage.
        complements: 1 − x of the hyperparameters that are searched as that (``dimensions.Proposed``).
        claim: name of this process's claim on it; None if this process has no claim.
        turn: how often it was lost to another process; reports from a lane of an earlier turn are ignored.
        looked: epochs after which it was last looked at (``schedule.Look``).
        judged: the pruner's verdicts on it so far.
        row: its summary row, once its record is durable.
        reported: if another process trains it, the values that it is judged by, by epochs.
        stopped: whether it was judged and told, so that the process that has it need only record it.
        lost: how many workers were lost while they trained it.
        failed: why it failed and is not to be trained any more; None if it did not fail.
    """

    trial: Trial
    id: int
    complements: Mapping[str, float] = field(default_factory=dict)
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
        """Whether this process is to train it."""
        return self.claim is not None

    @property
    def ended(self) -> bool:
        """Whether nothing is left to train."""
        return self.trial.ended or self.row is not None or self.failed is not None

    def has_done(self, epochs: int) -> bool:
        """Whether it has run ``epochs`` epochs or ended earlier, in this process or another."""
        return self.trial.done >= epochs or self.ended or max(self.reported, default=0) >= epochs

    def due(self, rungs: Sequence[int]) -> bool:
        """Whether it has reached a rung at which it is still to be judged."""
        return any(self.looked < rung <= self.trial.done for rung in rungs)

    def best_until(self, epochs: int) -> float:
        """The value that it is judged by after ``epochs`` epochs: its best so far."""
        if self.trial.done >= epochs or self.ended:
            return self.trial.best_until(epochs)
        return self.reported[epochs]

    def lose(self) -> None:
        """Discards what this process has trained of it, because this process has lost its claim."""
        old = self.trial
        self.trial = Trial(old.number, old.hyperparameters, old.seed, old.goal, until=old.until)
        self.claim = None
        self.turn += 1

    def make_row(self, plan: StudyPlan, state: str) -> dict[str, Any]:
        """Makes the row of a trial that ended here, in ``state`` unless it failed or was stopped earlier."""
        if self.failed is not None:
            state = "failed"
        elif self.stopped:
            state = "pruned"
        judged = [judgement.facts() for judgement in self.judged]
        columns = plan.described(
            lost=self.lost or None,
            failed=self.failed,
            judged=judged or None,
            **{COMPLEMENTS: self.complements or None},
        )
        return self.trial.row(columns, state=state)

    def recorded(self, published: Published) -> None:
        """Takes over its outcome from its record."""
        self.row = published.row
        self.trial.read(int(self.row["epochs"]), published.curve)


def reason(error: Exception) -> str:
    """The reason why a trial failed, in one line."""
    line = next(iter(str(error).splitlines()), "")[:_LETTERS]
    return line if isinstance(error, UserError) else f"{type(error).__name__}: {line}"
