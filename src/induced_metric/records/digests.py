"""Short names for the content of records, so that a statement can say which it rests on."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

DIGITS = 8


def digest(paths: Iterable[Path]) -> str:
    """The first digits of the SHA-256 of the files' bytes, one after the other: of one file as ``sha256sum``.

    Of a study: its ``trials.parquet`` and, while it runs, the files of ``pending/`` (``parts``).
    """
    found = hashlib.sha256()
    for path in paths:
        found.update(path.read_bytes())
    return found.hexdigest()[:DIGITS]


def parts(study: Path) -> list[Path]:
    """The files that hold the summaries of a study's trials, in order."""
    whole = study / "trials.parquet"
    return [path for path in (whole, *sorted((study / "pending").glob("*.parquet"))) if path.exists()]
