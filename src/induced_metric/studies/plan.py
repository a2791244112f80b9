"""What a study is to do, and where it stands."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import optuna

from induced_metric.errors import UserError
from induced_metric.records.schema import StudyKey, check_hyperparameter_names
from induced_metric.space import Dimension
from induced_metric.training.trial import Goal

_STRIDE = 20  # epochs between two looks at a trial if there is no pruner


@dataclass(frozen=True, kw_only=True)
class StudyPlan:
    """What a study is to do.

    Attributes:
        key: names of its protocol, task, sampler and optimiser.
        search_space: range of each searched hyperparameter.
        fixed: value of each other hyperparameter.
        goal: what every trial is trained for.
        trials: number of finished trials in total, including those of earlier runs.
        seed: seed of the study; ``trial_seed`` derives the seed of each trial from it.
        create_sampler: called as ``create_sampler(seed=...)`` for each trial, so that a proposal follows from
            the seed, the number of the trial and the history, even after an interruption.
        in_flight: number of trials that are proposed but not yet told, for a sampler or pruner whose
            decisions depend on other trials. None if they do not; then as many are under way as the lanes
            carry.
        pruner: judges trials at the rungs.
        rungs: epochs after which a trial is reported to the pruner; rungs at or after the last epoch are
            dropped.
        config: the full configuration, JSON-like; a study goes on only under the same one.
        provenance: facts for every record: versions, device, commit.
    """

    key: StudyKey
    search_space: Mapping[str, Dimension]
    fixed: Mapping[str, Any]
    goal: Goal
    trials: int
    seed: int
    create_sampler: Callable[..., optuna.samplers.BaseSampler]
    in_flight: int | None = None
    pruner: optuna.pruners.BasePruner = field(default_factory=optuna.pruners.NopPruner)
    rungs: Sequence[int] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raises UserError for a plan that cannot be carried out."""
        check_hyperparameter_names([*self.search_space, *self.fixed])
        if self.trials < 1:
            raise UserError(f"trials must be >= 1, got {self.trials}")
        if self.seed < 0:
            raise UserError(f"seed must be >= 0, got {self.seed}")
        if self.in_flight is not None and self.in_flight < 1:
            raise UserError(f"in_flight must be >= 1, got {self.in_flight}")
        object.__setattr__(self, "rungs", tuple(rung for rung in self.rungs if rung < self.goal.epochs))
        if self.rungs and self.in_flight is None:
            raise UserError("in_flight must be a number where a pruner compares trials, got null")

    @property
    def name(self) -> str:
        """Name of the study, of its journal and of its group in W&B."""
        return self.key.name

    @property
    def stride(self) -> int:
        """Epochs between two looks at a trial."""
        return math.gcd(*self.rungs) if self.rungs else _STRIDE

    @cached_property
    def columns(self) -> dict[str, Any]:
        """The columns that have the same value in the records of all its trials."""
        nested = {"provenance": self.provenance, "config": self.config}
        return {
            **self.key._asdict(),
            **{name: json.dumps(dict(facts), sort_keys=True) for name, facts in nested.items()},
        }

    def described(self, **facts: Any) -> dict[str, Any]:
        """``columns`` with facts about one trial in the provenance; facts that are None are left out."""
        extra = {name: fact for name, fact in facts.items() if fact is not None}
        if not extra:
            return self.columns
        provenance = json.dumps({**self.provenance, **extra}, sort_keys=True)
        return {**self.columns, "provenance": provenance}


@dataclass(frozen=True)
class StudyStatus:
    """Where a study stands."""

    finished: int
    total: int
    running: Sequence[int]  # epochs done of each trial under way
    epochs: int  # of a whole trial
    trained: float  # trials that this process trained; those under way and those resumed count in part
    best: float | None  # None before the first trial that did not diverge
    diverged: int
    pruned: int
    failed: int = 0

    @property
    def left(self) -> float:
        """How many trials are still to be trained; those under way count in part."""
        return self.total - self.finished - sum(self.running) / self.epochs


def trial_seed(seed: int, number: int) -> int:
    """Seed of trial ``number`` of any study with this ``seed``: independent across both, below 2**32."""
    return int(np.random.SeedSequence(entropy=seed, spawn_key=(number,)).generate_state(1)[0])
