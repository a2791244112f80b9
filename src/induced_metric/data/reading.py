"""Reads a prepared TFDS directory into arrays; each error is reported in one sentence."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from induced_metric.data.cache import Arrays
from induced_metric.data.releases import Release
from induced_metric.errors import UserError

_BLOCK = 1000  # examples decoded at once


def source(release: Release, root: Path) -> Path:
    """The directory of the prepared files, after checking that its descriptions match the data set.

    Raises:
        UserError: if it is missing, or its descriptions are unreadable or of another data set.
    """
    name, directory = release.name, root / release.name / release.version
    if not directory.is_dir():
        others = sorted(path.name for path in directory.parent.glob("[0-9]*") if path.is_dir())
        if others:
            raise UserError(
                f"{directory.parent} holds {name} in version {', '.join(others)} but {release.version} is "
                f"needed; run {release.remedy}"
            )
        raise UserError(
            f"the data set {name} is missing: {directory} does not exist; run {release.remedy}, "
            "or set TFDS_DATA_DIR to the directory that holds it"
        )
    for file in (directory / "dataset_info.json", directory / "features.json"):
        try:
            content = json.loads(file.read_text())
            described = [content.get(key) for key in ("name", "version", "fileFormat")]
        except (OSError, ValueError, AttributeError) as error:
            raise damaged(file, error, release, directory) from error
        if file.name == "dataset_info.json" and described != [name, release.version, "array_record"]:
            raise UserError(
                f"{file} describes {' '.join(map(str, described))} and not {name} {release.version} "
                f"array_record; remove {directory} and run {release.remedy}"
            )
    return directory


def decode(release: Release, directory: Path) -> dict[str, Arrays]:
    """Reads and decodes every split through TFDS.

    Raises:
        UserError: if TFDS is not installed or a file is missing, truncated or corrupt.
    """
    try:
        import tensorflow_datasets as tfds
        from google.protobuf import json_format
    except ImportError as error:
        raise UserError(
            f"reading {directory} needs tensorflow-datasets ({error}); "
            "pip install 'induced-metric[experiments]' adds it"
        ) from error
    try:
        sources = tfds.builder_from_directory(directory).as_data_source()
    # TFDS raises these for descriptions that are JSON but not in its own format.
    except (
        json_format.Error,
        OSError,
        ImportError,
        LookupError,
        TypeError,
        ValueError,
        AttributeError,
    ) as error:
        raise damaged(directory / "*.json", error, release, directory) from error
    decoded = {}
    for split in release.examples:
        file = file_of(release, split, directory)
        if split not in sources:
            raise damaged(file, f"no split {split}", release, directory)
        try:
            decoded[split] = _arrays(release, sources[split])
        # array_record raises only RuntimeError, whatever is wrong with a file.
        except (RuntimeError, OSError, LookupError, TypeError, ValueError) as error:
            raise damaged(file, error, release, directory) from error
    return decoded


def _arrays(release: Release, records: Any) -> Arrays:
    if "text" in release.shapes:
        (record,) = (records[index] for index in range(len(records)))
        return {"text": np.frombuffer(record["text"], np.uint8)}
    arrays = {
        feature: np.empty((len(records), *shape), np.uint8) for feature, shape in release.shapes.items()
    }
    for start in range(0, len(records), _BLOCK):
        indices = range(start, min(start + _BLOCK, len(records)))
        for index, record in zip(indices, records.__getitems__(list(indices)), strict=True):
            for feature, shape in release.shapes.items():
                value = np.asarray(record[feature])
                if value.shape != shape:
                    raise ValueError(f"{feature} of shape {value.shape} instead of {shape}")
                arrays[feature][index] = value
    return arrays


def file_of(release: Release, split: str, directory: Path) -> Path:
    """The file of a split, or a pattern of all its files."""
    pattern = f"{release.name}-{split}.array_record*"
    files = sorted(directory.glob(pattern))
    return files[0] if len(files) == 1 else directory / pattern


def damaged(file: Path, error: BaseException | str, release: Release, directory: Path) -> UserError:
    """The error for a file that is missing, truncated or corrupt."""
    reason = error if isinstance(error, str) else one_line(error)
    return UserError(
        f"{file} is missing, truncated or corrupt ({reason}); remove {directory} and run {release.remedy}"
    )


def one_line(error: BaseException) -> str:
    """The beginning of the first line of an exception's message, or else its type."""
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__
