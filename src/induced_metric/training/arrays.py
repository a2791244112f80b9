"""Named arrays in a directory, by orbax, with the digest of every file: it does not notice a changed bit."""

import contextlib
import hashlib
import json
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

_DIGESTS = "digests.json"
_OVERHEAD = 1 << 16  # bytes that the files have beside their arrays


def write_arrays(path: Path, arrays: Mapping[str, Any]) -> None:
    """Writes arrays by their names to a directory, whole or not at all.

    Raises:
        OSError: where the disk refuses; or a ValueError of orbax's, of which ``refusal`` knows.
    """
    import orbax.checkpoint as ocp  # a second to import, and most runs never save

    path.parent.mkdir(parents=True, exist_ok=True)
    _reserve(path.parent, sum(np.asarray(array).nbytes for array in arrays.values()))
    try:
        # Orbax's threads of an asynchronous save outlive a failure by minutes, and so does the process.
        with _silent("absl"), ocp.Checkpointer(ocp.StandardCheckpointHandler()) as checkpointer:
            checkpointer.save(path, arrays, force=True)
    except BaseException:
        for unfinished in path.parent.glob(f"{path.name}.*"):  # a full disk needs its room
            shutil.rmtree(unfinished, ignore_errors=True)
        raise
    (path / _DIGESTS).write_text(json.dumps(_digests(path)))


def _reserve(directory: Path, size: int) -> None:
    """Raises OSError where there is no room for so many bytes: orbax's threads complain at length."""
    with tempfile.TemporaryFile(dir=directory) as file:
        if hasattr(os, "posix_fallocate"):  # not on macOS
            os.posix_fallocate(file.fileno(), 0, size + _OVERHEAD)


def read_arrays(path: Path) -> dict[str, Any]:
    """The arrays of a directory by their names.

    Raises:
        OSError: where a file is missing.
        ValueError: where one is not as it was written.
    """
    import orbax.checkpoint as ocp

    try:
        known = json.loads((path / _DIGESTS).read_text())
    except (OSError, ValueError):
        known = {}  # of an earlier version, or torn by a crash: the rest may be whole
    found = _digests(path)
    if changed := sorted(name for name, digest in known.items() if found.get(name) != digest):
        raise ValueError(f"{changed[0]} is {'changed' if changed[0] in found else 'missing'}")
    with _silent("absl", "asyncio"), ocp.StandardCheckpointer() as checkpointer:
        return dict(checkpointer.restore(path))


def _digests(path: Path) -> dict[str, str]:
    """The digest of every file of a checkpoint."""
    digests = {}
    for name in sorted(path.rglob("*")):
        if name.is_file() and name.name != _DIGESTS:
            with name.open("rb") as file:
                digests[str(name.relative_to(path))] = hashlib.file_digest(file, "sha256").hexdigest()
    return digests


def refusal(error: OSError | ValueError) -> str | None:
    """Why the system refused to write, which a ValueError of orbax's has by a number; None if it did not."""
    if isinstance(error, OSError):
        return error.strerror
    found = re.search(r"os_error_code='(\d+)'", str(error))
    return os.strerror(int(found[1])) if found else None


@contextlib.contextmanager
def _silent(*loggers: str) -> Iterator[None]:
    found = [logging.getLogger(name) for name in loggers]
    before = [logger.disabled for logger in found]
    try:
        for logger in found:
            logger.disabled = True
        yield
    finally:
        for logger, disabled in zip(found, before, strict=True):
            logger.disabled = disabled
