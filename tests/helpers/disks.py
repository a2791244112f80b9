"""File systems of the tests' own, to be filled or made read-only: needs root."""

import contextlib
import os
import resource
import subprocess
import tempfile

PAGE = 4096


def reason_for_none():
    """Why there is no file system of one's own; None where there is."""
    if os.geteuid() != 0:
        return "mounting a file system needs root"
    with tempfile.TemporaryDirectory() as directory:
        done = _mount(directory, size=PAGE)
        if done.returncode == 0:
            _unmount(directory)
            return None
        return f"no file system can be mounted here ({done.stderr.strip()})"


@contextlib.contextmanager
def tmpfs(path, size):
    """Mounts a file system of so many bytes at a directory, which is made."""
    path.mkdir(exist_ok=True)
    done = _mount(path, size)
    assert done.returncode == 0, done.stderr
    try:
        yield path
    finally:
        _unmount(path)


def fill(path, *, but=0):
    """Takes all the room of a file system, but so many bytes; returns the file that took it."""
    filler = path / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * PAGE)
    os.truncate(filler, max(0, filler.stat().st_size - but))
    return filler


def read_only(path, on=True):
    """Makes a mounted file system read-only, or writable again."""
    subprocess.run(["mount", "-o", f"remount,{'ro' if on else 'rw'}", str(path)], check=True)


@contextlib.contextmanager
def file_size(most):
    """No file of this process can grow past so many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def _mount(path, size):
    options = ["-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path)]
    return subprocess.run(["mount", *options], capture_output=True, text=True, check=False)


def _unmount(path):
    subprocess.run(["umount", "--lazy", str(path)], check=True)
