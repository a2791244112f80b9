"""The storage of one process: a lock that keeps others out, and a journal to view with Optuna's tools."""

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.storages.journal import BaseJournalBackend
from optuna.trial import TrialState

from induced_metric.errors import UserError, written
from induced_metric.lanes.engine import Curve
from induced_metric.records import RecordStore
from induced_metric.studies.compatibility import check_config
from induced_metric.studies.plan import StudyPlan
from induced_metric.studies.shared_files import held
from induced_metric.studies.storage import (
    CONFIG,
    Claim,
    Published,
    agreed,
    compact,
    failed_trials,
    new_study,
    published,
)
from induced_metric.studies.watching import TRIALS

# What Optuna raises for lines that it did not write.
_DAMAGES = (ValueError, KeyError, TypeError, IndexError, AttributeError, AssertionError)


class Journal(BaseJournalBackend):
    """A backend for Optuna's journal whose file only this process writes and no study depends on.

    Optuna's own backend is for several processes: for every line it takes a lock, syncs the file and reads it
    again, some twenty times a trial, which took longer than proposing the trial. Here the lines are held in
    memory. The file is only for viewing a study with Optuna's tools: every run of a study writes it anew.

    Args:
        path: of the file.

    Raises:
        DiskError: if the file cannot be written; also raised whenever a line is added.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with written(path):
            path.write_bytes(b"")
        self._logs: list[dict[str, Any]] = []

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        """The lines from number ``log_number_from`` on."""
        return iter(self._logs[log_number_from:])

    def append_logs(self, logs: Iterable[dict[str, Any]]) -> None:
        """Adds lines, which survive if this process is killed."""
        lines = [json.dumps(log, separators=(",", ":")) for log in logs]
        with written(self._path), self._path.open("a", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in lines)
        self._logs += map(json.loads, lines)  # as another process would read them

    def rename(self, path: Path) -> None:
        """Moves the file to ``path``, where it replaces any other."""
        with written(path):
            self._path = self._path.replace(path)


class _Lines(BaseJournalBackend):
    """A backend that only reads given lines of Optuna's journal format."""

    def __init__(self, logs: list[dict[str, Any]]) -> None:
        self._logs = logs

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        return iter(self._logs[log_number_from:])

    def append_logs(self, logs: Iterable[dict[str, Any]]) -> None:
        raise NotImplementedError


@dataclass(frozen=True)
class JournalStorage:
    """The storage of a study that one process at a time works on.

    Attributes:
        path: of the journal; created if it does not exist.
        retry: whether failed trials are removed from the records, so that they run again.
    """

    path: Path
    retry: bool = False

    @contextlib.contextmanager
    def open(self, plan: StudyPlan, records: RecordStore) -> "Iterator[_OpenJournal]":
        """See ``Storage``; the only trials under way are those of this process."""
        with held(self.path.with_suffix(".lock"), f"another process is running the study of {self.path}"):
            if self.retry and (failed := failed_trials(plan, records)):
                records.remove(failed)
            yield _OpenJournal(self.path, plan, records)
            compact(plan, records)


class _OpenJournal:
    """See ``OpenStorage``."""

    shared = False

    def __init__(self, path: Path, plan: StudyPlan, records: RecordStore) -> None:
        self._path, self._records = path, records
        recorded = published(agreed(plan, records), curves=bool(plan.rungs))
        self.rows = {int(row["trial"]): row for row, _ in recorded}
        self.curves = {int(row["trial"]): curve for row, curve in recorded if curve is not None}
        finished = _finished(path, name=plan.name, config=plan.config)
        if lost := sorted(finished - self.rows.keys()):
            raise UserError(
                f"the journal of {plan.name} holds {len(lost)} finished trials "
                f"(first: {lost[0]}) whose records are gone; restore the records or remove the journal"
            )
        # The new journal is a file beside the old one, which it replaces once it holds as much.
        self._journal = Journal(path.with_suffix(".new"))
        self.study = new_study(plan, optuna.storages.JournalStorage(self._journal))
        self.study.set_user_attr(CONFIG, dict(plan.config))
        self.study.set_user_attr(TRIALS, plan.trials)

    def begin(self) -> None:
        self._journal.rename(self._path)

    def claim(self, number: int, hyperparameters: Mapping[str, Any], *, suspects: bool) -> Claim:
        del number, suspects
        return Claim(hyperparameters)

    def report(self, number: int, epochs: int, value: float) -> None:
        pass

    def publish(self, rows: Sequence[Mapping[str, Any]], curves: Sequence[Curve]) -> Sequence[Published]:
        self._records.append(rows, curves)
        return [Published(row, curve) for row, curve in zip(rows, curves, strict=True)]

    def look(self, *, waiting: bool) -> None:
        del waiting


def _finished(journal: Path, *, name: str, config: Mapping[str, Any]) -> set[int]:
    """The numbers of the trials that an earlier run told to the journal of a study, without failed ones.

    Raises:
        UserError: if the study was begun with another configuration, or the journal cannot be read.
    """
    content = journal.read_bytes() if journal.exists() else b""
    whole_lines = content[: content.rfind(b"\n") + 1]  # a kill may leave half a line
    if not whole_lines:
        return set()
    try:
        lines = _Lines([json.loads(line) for line in whole_lines.decode().splitlines()])
        study = optuna.load_study(study_name=name, storage=optuna.storages.JournalStorage(lines))
        stored_config = study.user_attrs.get(CONFIG, config)
        states = {trial.number: trial.state for trial in study.get_trials(deepcopy=False)}
    except _DAMAGES as error:
        raise UserError(
            f"the journal {journal} is damaged ({type(error).__name__}: {error}); remove it: the "
            "next run recreates it from the records"
        ) from error
    check_config(name, stored_config, config)
    # A failed trial has no result that could be lost, and may have been removed to run again.
    return {
        number for number, state in states.items() if state.is_finished() and state is not TrialState.FAIL
    }
