"""What the processes of a study agree on through files other than its records."""

import contextlib
import fcntl
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from induced_metric.errors import UserError, locking, written
from induced_metric.records.pending import linked


def shared(path: Path) -> contextlib.AbstractContextManager[None]:
    """Holds a study for this worker and others; refused while one process has it for itself."""
    return held(path, f"a process with storage=journal is running the study of {path}", how=fcntl.LOCK_SH)


@contextlib.contextmanager
def held(path: Path, otherwise: str, *, how: int = fcntl.LOCK_EX) -> Iterator[None]:
    """Holds a lock file for this process; the system releases it however the process ends.

    Args:
        path: of the file.
        otherwise: message of the error if another process holds the file.
        how: ``fcntl.LOCK_EX`` to hold it alone, ``fcntl.LOCK_SH`` to share it.

    Raises:
        UserError: if another process holds it.
        DiskError: if the file cannot be written.
    """
    with written(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("w")
    with file:
        try:
            with locking(path):
                fcntl.flock(file, how | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(otherwise) from None
        yield


@contextlib.contextmanager
def sole(path: Path) -> Iterator[bool]:
    """Yields whether this process alone holds a lock file, and so may do the work that the file stands for.

    Unlike a database's lock, a process that is stopped in the middle keeps this one, and goes on when it
    wakes. The lock is free again when that process has finished or ended.
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
    """Holds a study open, together with its other workers.

    Args:
        path: of the lock file for this.
        before: called first, unless another worker has the study open; a worker that opens the study
            meanwhile waits.
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
    """The identity of a results directory, the same on every machine that sees the directory."""
    path = directory / ".identity"
    with written(path):
        directory.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            # Written to another name and linked, so that whoever finds the file finds its content, too.
            name = uuid.uuid4().hex
            temporary = directory / f".identity-{name}"
            temporary.write_text(name)
            try:
                linked(temporary, path)
            finally:
                temporary.unlink()
    return path.read_text()
