"""Short names for the content of records, so that a statement can say which records it rests on."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

DIGITS = 8


def digest(paths: Iterable[Path]) -> str:
    """The first digits of the SHA-256 of the files' joined bytes; for one file, as by ``sha256sum``.

    The files of a study are its ``trials.parquet`` and, while it runs, those in ``pending/`` (``parts``).
    """
    hasher = hashlib.sha256()
    for path in paths:
        hasher.update(path.read_bytes())
    return hasher.hexdigest()[:DIGITS]


def parts(study: Path) -> list[Path]:
    """The files that hold the summaries of a study's trials, in order."""
    folded = study / "trials.parquet"
    return [path for path in (folded, *sorted((study / "pending").glob("*.parquet"))) if path.exists()]
