"""Optuna's journal of a study: one process writes it, killed at any moment, and the next one goes on."""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.storages.journal import BaseJournalBackend

from induced_metric.errors import UserError

_CONFIG = "config"
# Settings that came later, with the values that mean what older studies did: on two cores eight trials were
# under way.
_LATER = {
    "sampler.in_flight": (8, None),
    "pruner.in_flight": (8, None),
    "pruner.ranks_stopped": (False,),
    "task.micro_batch": (None,),
    "task.compute_dtype": (None,),
}


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


class OneWriter(BaseJournalBackend):
    """The lines of Optuna's journal format, for a file that only this process writes.

    Optuna's own backend is for several processes: for every line it takes a lock, syncs the file and reads it
    again, some twenty times a trial, which took longer than to propose it. Here the lines are in memory, the
    file is written but not synced: after a crash of the machine the records, which are, have every finished
    trial, and the study follows from them.

    Args:
        path: of the file; half a line at its end, left by a process that was killed, is cut.
    """

    def __init__(self, path: Path) -> None:
        content = path.read_bytes() if path.exists() else b""
        whole = content.rfind(b"\n") + 1
        self._logs: list[dict[str, Any]] = [json.loads(line) for line in content[:whole].splitlines()]
        self._path = path
        if whole < len(content):
            os.truncate(path, whole)

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        """The lines from this one on."""
        return iter(self._logs[log_number_from:])

    def append_logs(self, logs: Iterable[dict[str, Any]]) -> None:
        """Writes lines that survive the death of this process."""
        lines = [json.dumps(log, separators=(",", ":")) for log in logs]
        with self._path.open("ab", buffering=0) as file:
            file.write("".join(f"{line}\n" for line in lines).encode())
        self._logs += map(json.loads, lines)  # as another process would read them


def open_study(
    journal: Path, *, name: str, direction: str, pruner: optuna.pruners.BasePruner, config: Mapping[str, Any]
) -> optuna.Study:
    """Opens or creates the study in its journal, which only this process writes.

    Raises:
        UserError: if the study was begun with another configuration, or the journal cannot be read.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        storage = optuna.storages.JournalStorage(OneWriter(journal))
    except (ValueError, KeyError) as error:
        raise UserError(
            f"the journal {journal} is damaged ({error}); remove it: it is made again from the records"
        ) from error
    study = optuna.create_study(
        storage=storage,
        study_name=name,
        direction=direction,
        pruner=pruner,
        load_if_exists=True,
    )
    known = study.user_attrs.get(_CONFIG)
    if known is None:
        study.set_user_attr(_CONFIG, dict(config))
    else:
        check_config(name, known, config)
    return study


def check_config(name: str, known: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    """Raises UserError, with the difference, if a study was begun with another configuration."""
    before, now = _flat(known), _flat(json.loads(json.dumps(dict(config))))
    changes = [
        f"{key}: {before.get(key, 'absent')} -> {now.get(key, 'absent')}"
        for key in sorted({*before, *now})
        if before.get(key) != now.get(key) and not (key not in before and now.get(key) in _LATER.get(key, ()))
    ]
    if changes:
        raise UserError(
            f"{name} was begun with another configuration ({'; '.join(changes)}); "
            "use the same one, or another results directory"
        )


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
