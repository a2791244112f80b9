"""Decoded arrays kept on disk, one file per split and feature, valid only for the files they came from."""

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from induced_metric.errors import DiskError, UserError

Arrays: TypeAlias = dict[str, np.ndarray]  # by feature; the leading axis counts examples (or characters)

_MANIFEST = "manifest.json"


def digest(arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 over the features of a split: names, types, shapes and contents."""
    total = hashlib.sha256()
    for feature, array in sorted(arrays.items()):
        total.update(f"{feature} {array.dtype.str} {array.shape};".encode())
        total.update(np.ascontiguousarray(array).data)
    return total.hexdigest()


def directory(root: Path) -> Path:
    """Where the arrays of a data directory are kept: inside it or, if it is read-only, in the user's cache.

    Raises:
        UserError: if it is read-only and there is no home directory for a cache.
    """
    # root may write anywhere, but a directory without a write bit should be left alone all the same.
    if root.stat().st_mode & 0o222 and os.access(root, os.W_OK):
        return root / "induced-metric"
    try:
        home = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    except RuntimeError as error:
        raise UserError(
            f"{root} is read-only and this user has no home directory: "
            "set XDG_CACHE_HOME to a directory that can keep the decoded arrays"
        ) from error
    place = hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:12]
    return home / "induced-metric" / "data" / place


def load(kept: Path, source: Path) -> dict[str, Arrays] | None:
    """The kept arrays, memory-mapped; None if there are none, or if they or their source have changed."""
    try:
        manifest = json.loads((kept / _MANIFEST).read_text())
        if manifest["source"] != _fingerprint(source):
            return None
        splits = {
            split: {
                feature: np.load(kept / f"{split}-{feature}.npy", mmap_mode="r").view(np.ndarray)
                for feature in entry["features"]
            }
            for split, entry in manifest["splits"].items()
        }
        intact = all(digest(splits[split]) == entry["sha256"] for split, entry in manifest["splits"].items())
    # A damaged copy does not matter: it is decoded again from the source.
    except (OSError, ValueError, LookupError, TypeError, EOFError):
        return None
    return splits if intact else None


def keep(splits: Mapping[str, Arrays], kept: Path, source: Path) -> None:
    """Writes each array atomically, and then the manifest, without which ``load`` ignores the arrays.

    Raises:
        DiskError: if they cannot be written.
    """
    manifest = {
        "source": _fingerprint(source),
        "splits": {
            split: {"features": sorted(arrays), "sha256": digest(arrays)} for split, arrays in splits.items()
        },
    }
    try:
        kept.mkdir(parents=True, exist_ok=True)
        for split, arrays in splits.items():
            for feature, array in arrays.items():
                _write(kept / f"{split}-{feature}.npy", array)
        _write(kept / _MANIFEST, json.dumps(manifest, indent=1).encode())
    except OSError as error:
        raise DiskError(
            f"cannot write the decoded arrays to {kept} ({error.strerror}); make room there, or choose "
            "another directory: TFDS_DATA_DIR, or XDG_CACHE_HOME if the data directory is read-only",
            error,
        ) from error


def _fingerprint(source: Path) -> list[list[Any]]:
    """A fingerprint that changes when a prepared file changes."""
    files = sorted(path for path in source.iterdir() if path.is_file())
    return [[path.name, path.stat().st_size, path.stat().st_mtime_ns] for path in files]


def _write(path: Path, content: np.ndarray | bytes) -> None:
    """Writes a file atomically: after a crash, the whole new file or the previous one is there."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        try:
            if isinstance(content, bytes):
                file.write(content)
            else:
                np.lib.format.write_array(file, content, allow_pickle=False)
            file.flush()
            os.fsync(file.fileno())
            Path(file.name).replace(path)
        finally:
            Path(file.name).unlink(missing_ok=True)
