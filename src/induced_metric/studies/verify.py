"""Trains recorded trials again, and compares their curves with the records."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from induced_metric.errors import UserError
from induced_metric.lanes import Lanes, Report
from induced_metric.lanes.engine import Curve
from induced_metric.records.schema import Records, StudyKey
from induced_metric.studies.compatibility import flat
from induced_metric.training.trial import Goal, Trial

# What the last bits of a curve depend on, besides the code. The kernel's release, for one, changes no bit.
_NUMERICAL = (
    "versions.jax", "versions.jaxlib", "versions.flax", "versions.optax", "versions.numpy", "device",
    "processor", "xla_flags", "matmul_precision", "data_parallel", "lanes.layout", "lanes.width",
)  # fmt: skip
_SYSTEMS, _ARCHITECTURES = ("Linux", "macOS"), ("x86_64", "aarch64", "arm64")


@dataclass(frozen=True, kw_only=True)
class Tolerance:
    """How far a curve may lie from its record if the arithmetic differs in its last bits.

    Training amplifies a difference in the last bit: the first epochs of the same trial agree closely, the
    late ones only in level, and at the edge of stability one run may diverge and the other not. So the first
    epochs are compared one by one, but of the whole curve only the best value, if both runs have one.

    Attributes:
        epochs: number of first epochs that are compared one by one.
        curve: greatest difference allowed in one of these epochs, relative to the record.
        value: greatest difference allowed in the best value, relative to the record.
    """

    epochs: int
    curve: float
    value: float

    def __post_init__(self) -> None:
        """Raises ValueError for a number out of range."""
        if self.epochs < 1 or not (self.curve > 0 and self.value > 0):
            raise ValueError(
                "epochs must be >= 1, curve and value above 0, "
                f"got {self.epochs}, {self.curve} and {self.value}"
            )

    def __str__(self) -> str:
        return (
            f"relative differences up to {self.curve:.2g} in the first {self.epochs} epochs and up to "
            f"{self.value:.2g} in the best value; one run alone may diverge later"
        )


class Again(NamedTuple):
    """A recorded trial and the same trial trained again.

    Attributes:
        row: its recorded row.
        recorded: its recorded curve.
        trial: the trial trained again.
    """

    row: Mapping[Any, Any]
    recorded: Curve
    trial: Trial


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How a trial agrees with its record.

    Attributes:
        identical: whether every recorded metric is identical, bit for bit.
        same: number of first epochs that are identical.
        early: greatest relative difference of the objective in the first epochs; infinite if one of the
            curves has ended by then.
        value: relative difference of the best value; NaN if only one of the two diverged.
    """

    identical: bool
    same: int
    early: float
    value: float

    def within(self, tolerance: Tolerance) -> bool:
        """Whether it lies within the tolerance."""
        return self.identical or (self.early <= tolerance.curve and not self.value > tolerance.value)


def checked(key: StudyKey, records: Records, trial: int) -> tuple[dict[str, Any], Curve]:
    """The row and the curve of one recorded trial.

    Raises:
        UserError: if there is no trial of this number, or it failed and there is nothing to repeat.
    """
    rows = records.trials
    matches = rows[rows["trial"] == trial]
    if matches.empty:
        raise UserError(
            f"{key.name} has no trial {trial}: there are {len(rows)}, from {rows['trial'].min()} to "
            f"{rows['trial'].max()}"
        )
    row = {str(name): value for name, value in matches.iloc[0].items()}
    if row["state"] == "failed":
        raise UserError(f"trial {trial} of {key.name} failed when it was recorded: it has no curve to repeat")
    return row, curve_of(records, trial)


def curve_of(records: Records, trial: int) -> Curve:
    """A recorded curve as its columns by name."""
    rows = records.curves[records.curves["trial"] == trial].sort_values("epoch")
    return {str(name): rows[name].to_numpy() for name in rows if name not in ("trial", "optimizer")}


def trial_of(row: Mapping[Any, Any], hyperparameters: Mapping[str, Any], goal: Goal) -> Trial:
    """A recorded trial as it was before training; one that was stopped early will end there again."""
    until = int(row["epochs"]) if row["state"] == "pruned" else goal.epochs
    return Trial(int(row["trial"]), hyperparameters, int(row["seed"]), goal, until=until)


def train(trials: Iterable[Trial], lanes: Lanes) -> None:
    """Trains trials to their ends, whichever lanes they get: a trial is the same in any lane.

    Args:
        trials: trials of one pairing.
        lanes: lanes of that pairing.

    Raises:
        Exception: whatever a program raises.
    """
    waiting = iter(trials)

    def tell(reports: Sequence[Report]) -> list[bool]:
        for report in reports:
            if report.failed is not None:
                raise report.failed
            report.trial.hear(report)
        return [True] * len(reports)

    lanes.run(lambda: next((trial.assignment(trial) for trial in waiting), None), tell)


def agreement(again: Again, epochs: int) -> Agreement:
    """Compares a trial with its record.

    Args:
        again: the recorded trial and the trial trained again.
        epochs: number of first epochs that are compared one by one; of a shorter curve, all.
    """
    recorded, curve, objective = again.recorded, again.trial.curve(), again.trial.goal.objective
    metrics = [name for name in recorded if name not in ("epoch", "seconds")]
    length = min(len(recorded["epoch"]), len(curve["epoch"]))
    alike = np.ones(length, bool)
    for name in metrics:
        now = curve.get(name, np.full(length, np.nan))  # NaN if it is no longer measured
        alike &= _alike(recorded[name][:length], now[:length])
    same = length if alike.all() else int(alike.argmin())
    compared = min(epochs, len(recorded["epoch"]))
    outcome = again.trial.outcome()
    values = [np.array([run["value"]]) for run in (again.row, outcome)]
    diverged = [bool(run["diverged"]) for run in (again.row, outcome)]
    return Agreement(
        identical=same == len(recorded["epoch"]) == len(curve["epoch"]),
        same=same,
        early=_difference(recorded[objective][:compared], curve[objective][:compared]),
        value=_difference(*values) if diverged[0] == diverged[1] else math.nan,
    )


def _alike(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Where the float32 values of two curves are equal, or both are NaN."""
    return (one == other) | (np.isnan(one) & np.isnan(other))


def _difference(recorded: np.ndarray, again: np.ndarray) -> float:
    """The greatest difference relative to the record; infinite if one of the two is shorter."""
    if len(recorded) != len(again):
        return math.inf
    both = np.isnan(recorded) & np.isnan(again)
    gap = np.where(both, 0.0, np.abs(again - recorded) / np.maximum(np.abs(recorded), np.finfo(float).tiny))
    return float(np.where(np.isnan(gap), math.inf, gap).max())


def draw(trials: Mapping[StudyKey, Sequence[int]], *, share: float, seed: int) -> dict[StudyKey, list[int]]:
    """Draws a random share of the trials of every study, at least one of each.

    The draw from a study follows from the seed and the study's name, so it is the same among fewer studies.

    Raises:
        UserError: unless the share is in (0, 1] and the seed at least 0.
    """
    if seed < 0:
        raise UserError(f"seed must be at least 0, got {seed}")
    if not 0 < share <= 1:
        raise UserError(f"share must be above 0 and at most 1, got {share}")
    drawn = {}
    for key, numbers in trials.items():
        rng = np.random.default_rng([seed, *key.name.encode()])
        count = max(1, round(share * len(numbers)))
        drawn[key] = sorted(int(number) for number in rng.choice(numbers, count, replace=False))
    return drawn


def changed(recorded: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Lists the differences between a record and this machine in the facts that the last bits depend on.

    Args:
        recorded: the provenance of the record.
        now: the provenance of a record made here.
    """
    before, after = _facts(recorded), _facts(now)
    differing = [
        f"{name} {before[name]} -> {after.get(name)}"
        for name in (*_NUMERICAL, "machine")
        if name in before and before[name] != after.get(name)
    ]
    unknown = [name for name in _NUMERICAL if name in after and name not in before]
    free = before.get("device", "cpu") != "cpu" and not before.get("deterministic")
    return [
        *differing,
        *([f"{', '.join(unknown)} not on record"] if unknown else []),
        *(["not deterministic, on an accelerator"] if free else []),
    ]


def _facts(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Facts by their dotted names, except None; ``machine`` is the platform without the kernel's release.

    The width of mapped lanes, which run one after the other, is left out: it changes no bit.
    """
    words = str(provenance.get("platform", "")).split("-")
    machine = "-".join(word for word in words if word in _SYSTEMS or word in _ARCHITECTURES)
    facts = {name: fact for name, fact in flat(provenance).items() if fact is not None}
    if facts.get("lanes.layout") != "vmap":
        facts.pop("lanes.width", None)
    return facts | ({"machine": machine} if machine else {})
