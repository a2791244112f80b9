"""Prepares a data set: python -m induced_metric.data --task mnist [--manual-dir DIRECTORY].

Downloads it, or takes its original files from a directory, which is for machines without network. This alone
needs TensorFlow, the extra ``data``.
"""

import argparse
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from induced_metric.data import Dataset, default_data_dir, load
from induced_metric.data.reading import one_line
from induced_metric.data.releases import RELEASES, Release
from induced_metric.errors import UserError


def prepare(
    task: str, *, data_dir: str | Path | None = None, manual_dir: str | Path | None = None
) -> Dataset:
    """Prepares the data set of a task, unless it is prepared already, and verifies it.

    Args:
        task: the task, or a preset of it, whose name begins with the task's: ``mnist_small``.
        data_dir: the TFDS data directory; ``default_data_dir()`` by default.
        manual_dir: a directory with the original files under their own names; TFDS checks their checksums.

    Raises:
        UserError: if the task has no data set, TensorFlow is not installed, or the files cannot be had.
    """
    by_task = {release.task: release for release in RELEASES.values()}
    base = task.split("_")[0]
    if base not in by_task:
        raise UserError(f"task {task} has no data set to prepare; those that have: {', '.join(by_task)}")
    release = by_task[base]
    root = Path(data_dir) if data_dir else default_data_dir()
    if manual_dir is not None and not Path(manual_dir).is_dir():
        raise UserError(f"the directory of the original files does not exist: {manual_dir}")
    if not (root / release.name / release.version).exists():
        _download_and_prepare(release, root, manual_dir)
    return load(release.name, data_dir=root)


def _download_and_prepare(release: Release, root: Path, manual_dir: str | Path | None) -> None:
    missing = [name for name in ("tensorflow", "tensorflow_datasets") if find_spec(name) is None]
    if missing:
        raise UserError(
            f"preparing a data set needs {' and '.join(missing)}; install the extra: pip install -e '.[data]'"
        )
    import tensorflow_datasets as tfds

    builder = tfds.builder(f"{release.name}:{release.version}", data_dir=root, file_format="array_record")
    files = ", ".join(sorted(info.filename or url for url, info in builder.url_infos.items()))
    wrong = (
        OSError,
        tfds.download.DownloadError,
        tfds.core.download.download_manager.NonMatchingChecksumError,
    )
    try:
        builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=manual_dir))
    except wrong as error:
        raise UserError(
            f"{release.name} could not be prepared ({one_line(error)}); without network, put its original "
            f"files ({files}) into a directory and run {release.remedy} MANUAL_DIR=<directory>"
        ) from error


def _counts(dataset: Dataset) -> Iterator[str]:
    for split, arrays in dataset.splits.items():
        count, released = len(next(iter(arrays.values()))), dataset.release.examples[split]
        unit = "characters" if "text" in arrays else "examples"
        yield f"{split} {count:,}{f' of {released:,}' if count < released else ''} {unit}"


def main() -> None:
    """Prepares a data set and says what it holds."""
    parser = argparse.ArgumentParser(prog="python -m induced_metric.data", description=main.__doc__)
    parser.add_argument("--task", required=True, help="mnist, cifar10, shakespeare or a preset of one")
    parser.add_argument("--manual-dir", help="directory with the original files, to do without network")
    arguments = parser.parse_args()
    try:
        dataset = prepare(arguments.task, manual_dir=arguments.manual_dir or None)
    except UserError as error:
        print(f"data: {error}", file=sys.stderr)
        sys.exit(2)
    release = dataset.release
    print(f"{release.name} {release.version} in {dataset.directory}: {', '.join(_counts(dataset))}")


if __name__ == "__main__":
    main()
