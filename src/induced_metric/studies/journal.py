"""Optuna's journal of a study, and the lock that makes its writer the only one."""

import contextlib
import fcntl
import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.storages.journal import BaseJournalBackend

from induced_metric.errors import UserError
from induced_metric.records import RecordStore
from induced_metric.studies.compatibility import check_config
from induced_metric.studies.plan import StudyPlan

_CONFIG = "config"


@contextlib.contextmanager
def exclusive(journal: Path) -> Iterator[None]:
    """Holds the study for this process; the system lets go of it however the process ends."""
    journal.parent.mkdir(parents=True, exist_ok=True)
    with journal.with_suffix(".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"another process is running the study of {journal}") from None
        yield


class Journal(BaseJournalBackend):
    """The lines of Optuna's journal format, for a file that only this process writes and nobody needs.

    Optuna's own backend is for several processes: for every line it takes a lock, syncs the file and reads it
    again, some twenty times a trial, which took longer than to propose it. Here the lines are in memory. The
    file is for those who want to look at a study with Optuna's tools: every run of a study writes it anew.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._path.write_bytes(b"")
        self._logs: list[dict[str, Any]] = []

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        """The lines from this one on."""
        return iter(self._logs[log_number_from:])

    def append_logs(self, logs: Iterable[dict[str, Any]]) -> None:
        """Adds lines, which survive the death of this process."""
        lines = [json.dumps(log, separators=(",", ":")) for log in logs]
        with self._path.open("a", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in lines)
        self._logs += map(json.loads, lines)  # as another process would read them

    def rename(self, path: Path) -> None:
        """Puts the file in the place of another."""
        self._path = self._path.replace(path)


def create_study(plan: StudyPlan, journal: Path) -> tuple[optuna.Study, Journal]:
    """A new study in a new journal beside the old one, whose place it may take."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    backend = Journal(journal.with_suffix(".new"))
    study = optuna.create_study(
        storage=optuna.storages.JournalStorage(backend),
        study_name=plan.name,
        direction=plan.goal.direction,
        pruner=plan.pruner,
    )
    study.set_user_attr(_CONFIG, dict(plan.config))
    return study, backend


def recorded(
    plan: StudyPlan, journal: Path, records: RecordStore
) -> tuple[dict[int, Mapping[str, Any]], dict[int, Any]]:
    """What earlier runs left: the records, from which Optuna's study is made again.

    Returns:
        Rows by number, and, where they will be judged again, curves.

    Raises:
        UserError: if the study was begun with another configuration, or its journal knows trials that have
            no record.
    """
    rows: list[dict[str, Any]] = records.trials().to_dict("records")  # type: ignore[assignment]
    for config in {row["config"] for row in rows}:
        check_config(plan.name, json.loads(config), plan.config)
    by_number: dict[int, Mapping[str, Any]] = {int(row["trial"]): row for row in rows}
    told = _finished(journal, name=plan.name, config=plan.config)
    if lost := sorted(told - by_number.keys()):
        raise UserError(
            f"the journal of {plan.name} holds {len(lost)} finished trials "
            f"(first: {lost[0]}) whose records are gone; restore the records or remove the journal"
        )
    judged = plan.rungs and rows
    return by_number, dict(iter(records.curves().groupby("trial"))) if judged else {}  # type: ignore[arg-type]


def _finished(journal: Path, *, name: str, config: Mapping[str, Any]) -> set[int]:
    """The numbers of the trials that an earlier run of a study told to its journal.

    Raises:
        UserError: if the study was begun with another configuration, or the journal cannot be read.
    """
    content = journal.read_text(encoding="utf-8") if journal.exists() else ""
    whole = content[: content.rfind("\n") + 1]  # a kill may leave half a line
    if not whole:
        return set()
    with tempfile.TemporaryDirectory() as directory:
        copied = Path(directory, "journal")
        copied.write_text(whole, encoding="utf-8")
        try:
            backend = optuna.storages.journal.JournalFileBackend(str(copied))
            study = optuna.load_study(study_name=name, storage=optuna.storages.JournalStorage(backend))
        except (ValueError, KeyError) as error:
            raise UserError(
                f"the journal {journal} is damaged ({error}); remove it: it is made again from the records"
            ) from error
        check_config(name, study.user_attrs.get(_CONFIG, config), config)
        return {trial.number for trial in study.get_trials(deepcopy=False) if trial.state.is_finished()}
