"""The exception whose message is for the user at the command line, and what ends in it everywhere."""

import contextlib
import errno
import os
import re
import sys
from collections.abc import Iterator

_REMEDIES = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), "make room there"),
    **dict.fromkeys((errno.EROFS, errno.EACCES, errno.EPERM), "make it writable"),
    **dict.fromkeys((errno.EEXIST, errno.ENOTDIR), "remove what is in the place of a directory"),
}
_NO_MEMORY = re.compile(
    "|".join(
        (
            "RESOURCE_EXHAUSTED",  # XLA's allocators, and what it makes of CUDA's driver out of memory
            "out.of.memory",  # CUDA_ERROR_OUT_OF_MEMORY, and CUDA's words for cudaErrorMemoryAllocation
            "failed to allocate",  # buffers beside those of a program
            "resource allocation failed",  # cuBLAS's words for its ..._STATUS_ALLOC_FAILED
            "ALLOC(ATION)?_FAILED",  # the names of cuBLAS, cuDNN, cuSOLVER and cuFFT
        )
    ),
    re.IGNORECASE,
)


class UserError(ValueError):
    """Something was asked that cannot be done; the message is one sentence and says what is possible."""


class DiskError(UserError):
    """A file cannot be written: the disk is full, or may not be written to."""


def refused(error: OSError) -> bool:
    """Whether the system refused to write: the disk is full, or may not be written to."""
    return error.errno in _REMEDIES


def out_of_memory(error: Exception) -> bool:
    """Whether the device, or the host, has no memory left.

    A program's first call raises JAX's own error, a later one a ValueError with the same text.
    """
    if isinstance(error, UserError):
        return False
    says = isinstance(error, RuntimeError | ValueError) and _NO_MEMORY.search(str(error)) is not None
    return says or isinstance(error, MemoryError)


def memory_sentence(error: Exception, remedy: str) -> str:
    """That a device is out of memory, with what was asked for, where the error says it, and what helps."""
    size = re.search(r"allocat\w* +(?:request for +)?([\d.]+ ?[KMGTPE]?i?[bB]\w*)", str(error))
    asked = f" ({size[1]} were asked for)" if size else ""
    return f"the device has not enough memory{asked}: {remedy}"


@contextlib.contextmanager
def written(path: str | os.PathLike[str]) -> Iterator[None]:
    """What the system refuses while a file is written is a DiskError.

    Args:
        path: of the file, since the error of a write does not name it.
    """
    try:
        yield
    except FileNotFoundError:  # of a directory that another process took away: no matter of the disk
        raise
    except OSError as error:
        if error.errno is None:  # a library's own
            raise
        remedy = _REMEDIES.get(error.errno, "see to its disk")
        raise DiskError(
            f"{os.fspath(path)} cannot be written ({error.strerror}): {remedy}; what is recorded is kept, "
            "and the same command continues"
        ) from error


def check_platform() -> None:
    """Raises UserError on Windows, which has no ``fcntl`` to lock a study with."""
    if sys.platform == "win32":
        raise UserError("Windows is not supported, since it has no fcntl locks; use Linux, macOS or WSL 2")
