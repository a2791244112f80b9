"""Named arrays saved by orbax, with a digest of every file, since orbax does not notice a changed bit."""

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
_OVERHEAD = 1 << 16  # bytes that the files take in addition to the arrays


def write_arrays(path: Path, arrays: Mapping[str, Any]) -> None:
    """Writes named arrays to a directory, completely or not at all.

    Raises:
        OSError: if the system refuses to write; orbax may raise a ValueError instead (see ``refusal``).
    """
    import orbax.checkpoint as ocp  # imported here: it takes a second, and most runs never save

    path.parent.mkdir(parents=True, exist_ok=True)
    _reserve(path.parent, sum(np.asarray(array).nbytes for array in arrays.values()))
    try:
        # Synchronous: the threads of an asynchronous save keep the process alive for minutes after a failure.
        with _silent("absl"), ocp.Checkpointer(ocp.StandardCheckpointHandler()) as checkpointer:
            checkpointer.save(path, arrays, force=True)
    except BaseException:
        for unfinished in path.parent.glob(f"{path.name}.*"):  # a full disk needs the space
            shutil.rmtree(unfinished, ignore_errors=True)
        raise
    (path / _DIGESTS).write_text(json.dumps(_digests(path)))


def _reserve(directory: Path, size: int) -> None:
    """Raises OSError if there is no space for this many bytes, since orbax's threads print long errors."""
    with tempfile.TemporaryFile(dir=directory) as file:
        if hasattr(os, "posix_fallocate"):  # not on macOS
            os.posix_fallocate(file.fileno(), 0, size + _OVERHEAD)


def read_arrays(path: Path) -> dict[str, Any]:
    """The arrays in a directory, by name.

    Raises:
        OSError: if orbax cannot read a file.
        ValueError: if a file is missing or differs from what was written.
    """
    import orbax.checkpoint as ocp

    try:
        recorded = json.loads((path / _DIGESTS).read_text())
    except (OSError, ValueError):
        recorded = {}  # saved by an earlier version, or cut off by a crash; the arrays may still be intact
    present = _digests(path)
    if changed := sorted(name for name, digest in recorded.items() if present.get(name) != digest):
        raise ValueError(f"{changed[0]} is {'changed' if changed[0] in present else 'missing'}")
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
    """Why the system refused to write; None if it did not. Orbax's ValueError has only the error number."""
    if isinstance(error, OSError):
        return error.strerror
    match = re.search(r"os_error_code='(\d+)'", str(error))
    return os.strerror(int(match[1])) if match else None


@contextlib.contextmanager
def _silent(*loggers: str) -> Iterator[None]:
    silenced = [logging.getLogger(name) for name in loggers]
    before = [logger.disabled for logger in silenced]
    try:
        for logger in silenced:
            logger.disabled = True
        yield
    finally:
        for logger, disabled in zip(silenced, before, strict=True):
            logger.disabled = disabled
