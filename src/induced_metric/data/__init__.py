"""Data sets from tensorflow-datasets (TFDS) as arrays, read without TensorFlow, decoded once and kept.

``load`` reads a prepared TFDS directory (``$TFDS_DATA_DIR``, by default ``~/tensorflow_datasets``) as a
random-access data source, in TFDS's order of the examples. It keeps the decoded arrays in the subdirectory
``induced-metric``, so that later runs map them into memory. If the data directory is read-only, they are
kept in ``$XDG_CACHE_HOME/induced-metric/data`` (``~/.cache/...`` by default).

``preparing.prepare`` prepares a data set: ``make data TASK=mnist``.
"""

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from induced_metric.data import cache, reading
from induced_metric.data.cache import Arrays, digest
from induced_metric.data.releases import RELEASES, Release
from induced_metric.errors import UserError

__all__ = ["Arrays", "Dataset", "default_data_dir", "digest", "load"]

_CLASSES = 10


class Dataset(NamedTuple):
    """A verified data set."""

    release: Release
    splits: dict[str, Arrays]
    directory: Path  # of the prepared files

    def __str__(self) -> str:
        """What it holds, in one line."""
        parts = []
        for split, arrays in self.splits.items():
            count, released = len(next(iter(arrays.values()))), self.release.examples[split]
            unit = "characters" if "text" in arrays else "examples"
            parts.append(f"{split} {count:,}{f' of {released:,}' if count < released else ''} {unit}")
        return f"{self.release.name} {self.release.version} in {self.directory}: {', '.join(parts)}"

    def part(self, split: str, start: int, count: int) -> Arrays:
        """The ``count`` examples of a split from ``start`` on, in TFDS's order.

        Raises:
            UserError: if there are too few examples, since the prepared data may be a subset of the release.
        """
        available, released = len(self.splits[split]["label"]), self.release.examples[split]
        if start + count > available:
            raise UserError(
                f"{start + count:,} {split} examples of {self.release.name} are needed, but {self.directory} "
                f"holds {available:,} of the release's {released:,}; take fewer "
                f"(task.{split}_examples={available}) or the task's small preset, or prepare the whole data "
                f"set in another TFDS_DATA_DIR with {self.release.remedy}"
            )
        return {feature: array[start : start + count] for feature, array in self.splits[split].items()}


def load(name: str, *, data_dir: str | Path | None = None) -> Dataset:
    """Loads a data set as arrays and verifies it.

    Args:
        name: ``mnist``, ``cifar10`` or ``tiny_shakespeare``.
        data_dir: the TFDS data directory; ``default_data_dir()`` by default.

    Returns:
        The splits with their features: ``image`` uint8 [examples, height, width, channels] and ``label``
        uint8 [examples], or ``text`` uint8 [characters]. The arrays are mapped read-only from their files.
        If the digest of the release is unknown, fewer examples than it has are accepted as a subset.

    Raises:
        UserError: if the data set is missing, of another version, truncated or corrupt; the message names
            the file and the remedy.
    """
    release = RELEASES[name]
    root = Path(data_dir) if data_dir else default_data_dir()
    source = reading.source(release, root)
    kept = cache.directory(root) / name / release.version
    splits = cache.load(kept, source)
    if splits is None:
        splits = reading.decode(release, source)
        for split, arrays in splits.items():
            _verify(release, split, arrays, source)
        cache.keep(splits, kept, source)
        # Map the arrays from the files, so that the decoded copy does not stay in memory.
        splits = cache.load(kept, source) or splits
    else:
        for split, arrays in splits.items():
            _verify(release, split, arrays, source)
    return Dataset(release, splits, source)


def default_data_dir() -> Path:
    """``$TFDS_DATA_DIR``, or TFDS's own default.

    Raises:
        UserError: if it exists and is not a directory, or there is no home directory to look in.
    """
    try:
        root = Path(os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets").expanduser()
    except RuntimeError as error:
        raise UserError(
            "this user has no home directory: set TFDS_DATA_DIR to the directory of the prepared data sets"
        ) from error
    if root.exists() and not root.is_dir():
        raise UserError(f"the data directory (TFDS_DATA_DIR) must be a directory, and {root} is a file")
    return root


def _verify(release: Release, split: str, arrays: Arrays, directory: Path) -> None:
    """Checks counts and labels and, if the digest of the release is known, the contents."""
    count, released = len(next(iter(arrays.values()))), release.examples[split]
    expected = release.digests.get(split)
    problem = ""
    if not 0 < count <= released or (expected and count < released):
        problem = f"{count:,} examples instead of {released:,}"
    elif "label" in arrays:
        labels = np.bincount(arrays["label"], minlength=_CLASSES)
        if len(labels) > _CLASSES:
            problem = f"a label {len(labels) - 1} of {_CLASSES} classes"
        elif count == released and tuple(labels) != tuple(release.labels[split]):
            problem = f"label counts {labels.tolist()} instead of {list(release.labels[split])}"
    if not problem and expected and digest(arrays) != expected:
        problem = "contents other than the release's"
    if problem:
        raise reading.damaged(reading.file_of(release, split, directory), problem, release, directory)
