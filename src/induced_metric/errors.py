"""The exceptions whose messages are for the user at the command line, and helpers to detect their causes."""

import contextlib
import errno
import os
import re
import sys
from collections.abc import Iterator

_REMEDIES = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), "free some space there"),
    **dict.fromkeys((errno.EROFS, errno.EACCES, errno.EPERM), "make it writable"),
    **dict.fromkeys((errno.EEXIST, errno.ENOTDIR), "remove what is in the place of a directory"),
}
_PASSING = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ESTALE)
"""What may be over later, unlike missing rights or a file in the place of a directory."""
_NO_MEMORY = re.compile(
    "|".join(
        (
            "RESOURCE_EXHAUSTED",  # XLA's allocators, and XLA's error when CUDA's driver is out of memory
            "out.of.memory",  # CUDA_ERROR_OUT_OF_MEMORY, and CUDA's text for cudaErrorMemoryAllocation
            "failed to allocate",  # buffers other than those of a program
            "resource allocation failed",  # cuBLAS's text for its ..._STATUS_ALLOC_FAILED
            "ALLOC(ATION)?_FAILED",  # the error names of cuBLAS, cuDNN, cuSOLVER and cuFFT
        )
    ),
    re.IGNORECASE,
)


class UserError(ValueError):
    """The user asked for something that cannot be done; the message is one sentence that says what can be.

    Attributes:
        passing: whether it may be over when the same command runs again, as when a disk is full.
    """

    passing = False


class PassingError(UserError):
    """A UserError that is ``passing``."""

    passing = True


class DiskError(UserError):
    """A file cannot be written, for instance because the disk is full or read-only.

    Args:
        message: the sentence.
        cause: the system's error, which decides whether it is ``passing``.
    """

    def __init__(self, message: str, cause: OSError | None = None) -> None:
        super().__init__(message)
        self.passing = cause is not None and cause.errno in _PASSING


def refused(error: OSError) -> bool:
    """Whether the system refused to write, for instance because the disk is full or read-only."""
    return error.errno in _REMEDIES


def out_of_memory(error: Exception) -> bool:
    """Whether the device or the host is out of memory.

    A program's first call raises JAX's own error, and a later call a ValueError with the same text.
    """
    if isinstance(error, UserError):
        return False
    says = isinstance(error, RuntimeError | ValueError) and _NO_MEMORY.search(str(error)) is not None
    return says or isinstance(error, MemoryError)


def memory_sentence(error: Exception, remedy: str) -> str:
    """A sentence for a device out of memory, with the size asked for, if the error has it, and the remedy."""
    size = re.search(r"allocat\w* +(?:request for +)?([\d.]+ ?[KMGTPE]?i?[bB]\w*)", str(error))
    requested = f" ({size[1]} were requested)" if size else ""
    return f"the device does not have enough memory{requested}: {remedy}"


@contextlib.contextmanager
def written(path: str | os.PathLike[str]) -> Iterator[None]:
    """Within this context, a refusal to write a file becomes a DiskError.

    Args:
        path: the path of the file, since the error of a write does not name it.
    """
    try:
        yield
    except FileNotFoundError:  # another process removed the directory: not a problem of the disk
        raise
    except OSError as error:
        if error.errno is None:  # raised by a library, not by the system
            raise
        remedy = _REMEDIES.get(error.errno, "check its disk")
        raise DiskError(
            f"{os.fspath(path)} cannot be written ({error.strerror}): {remedy}; what is recorded is kept, "
            "and the same command continues",
            error,
        ) from error


@contextlib.contextmanager
def locking(path: str | os.PathLike[str]) -> Iterator[None]:
    """Within this context, a file system without locks becomes a UserError; a lock that is held does not.

    Raises:
        UserError: if the file system has no locks.
    """
    try:
        yield
    except BlockingIOError:
        raise
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
            raise
        raise UserError(
            f"{os.fspath(path)} must lie on a file system with locks (flock), by which processes keep out of "
            f"each other's way ({error.strerror}); use another results directory"
        ) from error


def check_platform() -> None:
    """Raises UserError on Windows, which lacks ``fcntl``, with which studies are locked."""
    if sys.platform == "win32":
        raise UserError("Windows is not supported, since it has no fcntl locks; use Linux, macOS or WSL 2")
