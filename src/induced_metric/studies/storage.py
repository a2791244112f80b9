"""What the processes that work on a study agree on: which process has which trial, and what is recorded.

There are two storages. A journal belongs to one process (``journal``); PostgreSQL serves any number of
processes, on any machines that share the results directory (``postgres``). A study does the same with either.
"""

import json
import warnings
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import optuna
from optuna.trial import TrialState

from induced_metric.errors import DiskError
from induced_metric.lanes.engine import Curve
from induced_metric.records import Records, RecordStore
from induced_metric.studies.compatibility import check_config
from induced_metric.studies.plan import StudyPlan
from induced_metric.training.checkpoints import Checkpoints

STATES = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}
"""Optuna's state for each state of a recorded trial."""
CONFIG = "config"
"""The attribute of a study in Optuna's storage that holds its configuration."""


class StoppedError(Exception):
    """This process was asked to stop while its storage did not answer."""


class Published(NamedTuple):
    """A trial as it is recorded."""

    row: Mapping[str, Any]
    curve: Curve | None  # None if it was not asked for


class Claim(NamedTuple):
    """A process's claim on a trial that it is to train.

    Attributes:
        hyperparameters: those to train it with, which are those of its first claim.
        name: of the claim, and so of the checkpoints that are made under it; empty if only one process works
            on the study.
        lost: how many workers were lost while they trained it.
        suspect: whether so many were lost that the trial may be the reason; no other suspect trial is trained
            beside it.
        failed: why nobody is to train it any more; None if it is to be trained.
    """

    hyperparameters: Mapping[str, Any]
    name: str = ""
    lost: int = 0
    suspect: bool = False
    failed: str | None = None


class News(NamedTuple):
    """What other processes did since the last look.

    Attributes:
        published: trials that other processes recorded.
        lost: trials on which this process has lost its claim.
        elsewhere: trials that other processes have under way, each with its reported values, by epochs. A
            trial that is neither among these nor recorded can be claimed.
    """

    published: Sequence[Published]
    lost: AbstractSet[int]
    elsewhere: Mapping[int, Mapping[int, float]]


class OpenStorage(Protocol):
    """The storage of one study while this process works on it.

    Attributes:
        study: the Optuna study that proposes trials and is told them. It belongs to this process alone,
            starts empty, and is told the same in the same order in every process.
        rows: the rows of the trials recorded before, by number.
        curves: their curves, if the trials will be judged again.
        shared: whether other processes may work on the study, so that it can pay to wait for them.
    """

    study: optuna.Study
    rows: dict[int, Mapping[str, Any]]
    curves: dict[int, Curve]
    shared: bool

    def begin(self) -> None:
        """To be called once, when ``study`` has been told what can be told without training."""

    def claim(self, number: int, hyperparameters: Mapping[str, Any], *, suspects: bool) -> Claim | None:
        """Claims a trial; None if another process has it, or it is suspect and ``suspects`` is false."""

    def report(self, number: int, epochs: int, value: float) -> None:
        """Reports the value that a trial of this process is judged by after ``epochs`` epochs."""

    def publish(self, rows: Sequence[Mapping[str, Any]], curves: Sequence[Curve]) -> Sequence[Published]:
        """Records trials of this process durably; returns them as recorded, perhaps by another process."""

    def look(self, *, waiting: bool) -> News | None:
        """What other processes did; None if it is too early to look again.

        Args:
            waiting: whether lanes are idle, so that looking is worth while more often.
        """


class Storage(Protocol):
    """Where a study is coordinated."""

    def open(self, plan: StudyPlan, records: RecordStore) -> AbstractContextManager[OpenStorage]:
        """Opens a study, and creates it if there is none; at the end, gives back the trials not recorded.

        Raises:
            UserError: if it was begun with another configuration, the records of finished trials are gone, or
                this process may not work on it.
        """


@dataclass(frozen=True, kw_only=True)
class StudyFiles:
    """Where a study is kept.

    Attributes:
        storage: where its processes are coordinated.
        records: where finished trials go.
        checkpoints: where trials under way are saved.
    """

    storage: Storage
    records: RecordStore
    checkpoints: Checkpoints


def published(records: Records, *, curves: bool) -> list[Published]:
    """The trials of records in the order of their numbers, with their curves if ``curves`` is true."""
    rows: list[dict[str, Any]] = records.trials.to_dict("records")  # type: ignore[assignment]
    by_trial: dict[int, Any] = dict(iter(records.curves.groupby("trial"))) if curves and rows else {}  # type: ignore[arg-type]
    return [Published(row, by_trial.get(int(row["trial"])) if curves else None) for row in rows]


def agreed(plan: StudyPlan, store: RecordStore) -> Records:
    """Reads the records of a study.

    Raises:
        UserError: if they were made with another configuration.
    """
    records = store.read()
    if not records.trials.empty:
        for config in records.trials["config"].unique():
            check_config(plan.name, json.loads(config), plan.config)
    return records


def failed_trials(plan: StudyPlan, store: RecordStore) -> list[int]:
    """The numbers of those trials of the plan that are recorded as failed.

    Raises:
        UserError: as in ``agreed``.
    """
    trials = agreed(plan, store).trials
    if trials.empty:
        return []
    wanted = (trials["state"] == "failed") & (trials["trial"] < plan.trials)
    return [int(number) for number in trials.loc[wanted, "trial"]]


def compact(plan: StudyPlan, store: RecordStore) -> None:
    """Compacts the records; if that fails, they stay as they are, and a warning says so."""
    try:
        store.compact()
    except DiskError as error:
        warnings.warn(f"the records of {plan.name} stay in one file per trial ({error})", stacklevel=2)


def new_study(plan: StudyPlan, storage: optuna.storages.BaseStorage) -> optuna.Study:
    """Creates an empty Optuna study for a plan in an Optuna storage."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(
        storage=storage, study_name=plan.name, direction=plan.goal.direction, pruner=plan.pruner
    )
