"""Optuna's journal of a study: one process writes it, killed at any moment, and the next one goes on."""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import optuna

from induced_metric.errors import UserError

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


def open_study(
    journal: Path, *, name: str, direction: str, pruner: optuna.pruners.BasePruner, config: Mapping[str, Any]
) -> optuna.Study:
    """Opens or creates the study in its journal, which only this process writes."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    # A process that was killed may have left Optuna's lock and half a line.
    Path(f"{journal}.lock").unlink(missing_ok=True)
    _cut_torn_line(journal)
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(journal)))
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


def _cut_torn_line(path: Path) -> None:
    if not path.exists():
        return
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        os.truncate(path, whole)


def check_config(name: str, known: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    """Raises UserError, with the difference, if a study was begun with another configuration."""
    before, now = _flat(known), _flat(json.loads(json.dumps(dict(config))))
    changes = [
        f"{key}: {before.get(key, 'absent')} -> {now.get(key, 'absent')}"
        for key in sorted({*before, *now})
        if before.get(key) != now.get(key)
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
