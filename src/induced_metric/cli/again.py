"""Recorded trials trained again, for ``verify`` and ``trial``, and how well they agree with their records."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from induced_metric.lanes.engine import Curve
    from induced_metric.records import StudyKey
    from induced_metric.studies.verify import Again, Agreement, Tolerance

Group = list[tuple["StudyKey", Mapping[Any, Any], "Curve"]]  # study, row and curve of each trial


class Checked(NamedTuple):
    """A trial that was trained again, and how well it agrees with its record.

    Attributes:
        key: the key of its study.
        again: the trial and its record.
        found: how well the two curves agree.
        changes: how this run differs from the one that made the record.
        tolerance: the tolerance that applies if there are such changes.
    """

    key: "StudyKey"
    again: "Again"
    found: "Agreement"
    changes: Sequence[str]
    tolerance: "Tolerance"

    @property
    def trial(self) -> int:
        """Its number."""
        return self.again.trial.number

    @property
    def verdict(self) -> str:
        """``identical``, ``within`` or ``outside``."""
        if self.found.identical:
            return "identical"
        return "within" if self.changes and self.found.within(self.tolerance) else "outside"


def train_again(group: Group, flags: str) -> Iterator[Checked]:
    """Trains recorded trials of one program again, and compares them with their records.

    Args:
        group: the trials.
        flags: XLA's flags in this process.

    Raises:
        UserError: if they cannot be trained here.
    """
    from induced_metric.cli import recorded
    from induced_metric.studies import verify

    rebuilt = recorded.rebuilt(group[0][1])
    tolerance = recorded.verify_settings().of(group[0][0].task)
    reruns = [verify.Again(row, curve, rebuilt.trial(row)) for _, row, curve in group]
    with rebuilt.lanes(len(reruns)) as (lanes, placement):
        verify.train([rerun.trial for rerun in reruns], lanes)
        now = rebuilt.pair.provenance(lanes, placement, flags)
    for (key, row, _), rerun in zip(group, reruns, strict=True):
        changes = verify.changed(json.loads(row["provenance"]), now)
        yield Checked(key, rerun, verify.agreement(rerun, tolerance.epochs), changes, tolerance)
