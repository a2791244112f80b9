"""Files that are written whole or not at all, and survive a crash of the machine."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from induced_metric.errors import written


@contextlib.contextmanager
def durable(path: Path) -> Iterator[IO[bytes]]:
    """Opens a file that is synced and renamed to ``path`` at the end: a reader sees all of it or nothing.

    Raises:
        DiskError: if it cannot be written.
    """
    temporary = path.with_suffix(".tmp")
    with written(path):
        try:
            with temporary.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):  # a full disk needs its space
                temporary.unlink()
            raise
        synced(path.parent)


def synced(directory: Path) -> None:
    """Syncs a directory, so that the names in it survive a crash of the machine."""
    opened = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
