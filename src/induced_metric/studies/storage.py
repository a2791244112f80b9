"""What the processes that work on a study agree on: which trial is whose, and what is recorded.

There are two storages. A journal belongs to one process (``journal``); PostgreSQL serves any number of them,
on any machines that share the results directory (``postgres``). A study does the same with either.
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
"""What Optuna calls the states of recorded trials."""
CONFIG = "config"
"""The attribute of a study in Optuna's storage that holds its configuration."""


class Published(NamedTuple):
    """A trial as it is recorded."""

    row: Mapping[str, Any]
    curve: Curve | None  # None where nobody asks for it


class Claim(NamedTuple):
    """A trial that is this process's to train.

    Attributes:
        hyperparameters: with which; those of whoever trained it first.
        name: of the claim, and so of the checkpoints that are made under it; empty where there is but one.
        lost: how many workers were lost while they trained it.
        suspect: whether so many were that it may be the reason; no other such trial is trained beside it.
        failed: why nobody is to train it any more; None where it is to be trained.
    """

    hyperparameters: Mapping[str, Any]
    name: str = ""
    lost: int = 0
    suspect: bool = False
    failed: str | None = None


class News(NamedTuple):
    """What became known since the last look.

    Attributes:
        published: trials that other processes recorded.
        lost: trials of this process that are another's by now.
        elsewhere: trials that other processes have under way, each with the values that it reported, by the
            epochs after which. A trial that is neither here nor recorded can be claimed.
    """

    published: Sequence[Published] = ()
    lost: AbstractSet[int] = frozenset()
    elsewhere: Mapping[int, Mapping[int, float]] = {}


class OpenStorage(Protocol):
    """The storage of one study while this process works on it.

    Attributes:
        study: where trials are proposed and told; it belongs to this process alone, begins empty, and is
            told the same in the same order in every process.
        rows: the trials recorded before, by number.
        curves: theirs, where they will be judged again.
        shared: whether other processes may work on the study, so that it can pay to wait for them.
    """

    study: optuna.Study
    rows: dict[int, Mapping[str, Any]]
    curves: dict[int, Curve]
    shared: bool

    def begin(self) -> None:
        """To be called once, when ``study`` has been told what can be told without training."""

    def claim(self, number: int, hyperparameters: Mapping[str, Any], *, suspects: bool) -> Claim | None:
        """Takes a trial for this process; None if it is another's, or suspect and ``suspects`` is false."""

    def report(self, number: int, epochs: int, value: float) -> None:
        """Says what a trial of this process is judged by after so many epochs."""

    def publish(self, rows: Sequence[Mapping[str, Any]], curves: Sequence[Curve]) -> Sequence[Published]:
        """Records trials of this process durably; returns them as they are recorded, by whomever."""

    def look(self, *, waiting: bool) -> News | None:
        """What became known, or None if it is too early to look again.

        Args:
            waiting: whether lanes are idle, so that news are worth more.
        """

    def release(self, numbers: Sequence[int]) -> None:
        """Gives trials back, to be claimed by anyone."""


class Storage(Protocol):
    """Where a study is coordinated."""

    def open(self, plan: StudyPlan, records: RecordStore) -> AbstractContextManager[OpenStorage]:
        """Opens a study, and makes it if there is none.

        Raises:
            UserError: if it was begun with another configuration, trials are known whose records are gone, or
                this process may not work on it.
        """


@dataclass(frozen=True, kw_only=True)
class StudyFiles:
    """Where a study is kept.

    Attributes:
        storage: where it is coordinated.
        records: where finished trials go.
        checkpoints: where trials under way are kept.
    """

    storage: Storage
    records: RecordStore
    checkpoints: Checkpoints


def published(records: Records, *, curves: bool) -> list[Published]:
    """The trials of records, by number."""
    rows: list[dict[str, Any]] = records.trials.to_dict("records")  # type: ignore[assignment]
    by_trial: dict[int, Any] = dict(iter(records.curves.groupby("trial"))) if curves and rows else {}  # type: ignore[arg-type]
    return [Published(row, by_trial.get(int(row["trial"])) if curves else None) for row in rows]


def agreed(plan: StudyPlan, store: RecordStore) -> Records:
    """The records of a study.

    Raises:
        UserError: if they were made with another configuration.
    """
    records = store.read()
    if not records.trials.empty:
        for config in records.trials["config"].unique():
            check_config(plan.name, json.loads(config), plan.config)
    return records


def failed_trials(plan: StudyPlan, store: RecordStore) -> list[int]:
    """The numbers of the trials that are recorded as failed, of those that the plan asks for.

    Raises:
        UserError: as of ``agreed``.
    """
    trials = agreed(plan, store).trials
    if trials.empty:
        return []
    wanted = (trials["state"] == "failed") & (trials["trial"] < plan.trials)
    return [int(number) for number in trials.loc[wanted, "trial"]]


def compact(plan: StudyPlan, store: RecordStore) -> None:
    """Puts the records in order; where that cannot be done, they stay as they are, which is said."""
    try:
        store.compact()
    except DiskError as error:
        warnings.warn(f"{plan.name} keeps a file for each trial ({error})", stacklevel=2)


def new_study(plan: StudyPlan, storage: optuna.storages.BaseStorage) -> optuna.Study:
    """An empty study of a plan in a storage of Optuna's."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(
        storage=storage, study_name=plan.name, direction=plan.goal.direction, pruner=plan.pruner
    )
