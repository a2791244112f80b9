"""What the processes of a study agree on by files, beside its records."""

import contextlib
import fcntl
import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from induced_metric.errors import UserError, written


def shared(path: Path) -> contextlib.AbstractContextManager[None]:
    """Holds a study for workers, among which this process; not while one process has it for itself."""
    return held(path, f"a process with storage=journal is running the study of {path}", how=fcntl.LOCK_SH)


@contextlib.contextmanager
def held(path: Path, otherwise: str, *, how: int = fcntl.LOCK_EX) -> Iterator[None]:
    """Holds a lock file for this process; the system lets go of it however the process ends.

    Args:
        path: of the file.
        otherwise: what it means that another process has it.
        how: alone, or with others that share it.

    Raises:
        UserError: if another process has it.
        DiskError: if the file cannot be written.
    """
    with written(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("w")
    with file:
        try:
            fcntl.flock(file, how | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(otherwise) from None
        yield


@contextlib.contextmanager
def sole(path: Path) -> Iterator[bool]:
    """Whether this process alone does what the file stands for; another one's end, or wake, gives it free.

    Unlike the lock of a database, it is kept by a process that is stopped in the middle, which then goes on.
    """
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


@contextlib.contextmanager
def worked_on(path: Path, before: Callable[[], None]) -> Iterator[None]:
    """Holds a study open, as its other workers do.

    Args:
        path: of a file that stands for that.
        before: done first, unless another worker has the study open; who opens it meanwhile waits.
    """
    with written(path):
        file = path.open("w")
    with file:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            before()
        fcntl.flock(file, fcntl.LOCK_SH)
        yield


def identity_of(directory: Path) -> str:
    """What a results directory is known by, on whatever machine it is seen."""
    path = directory / ".identity"
    with written(path):
        directory.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            # Written aside and linked: who finds it finds what is in it, too.
            name = uuid.uuid4().hex
            mine = directory / f".identity-{name}"
            mine.write_text(name)
            with contextlib.suppress(FileExistsError):
                os.link(mine, path)
            mine.unlink()
    return path.read_text()
