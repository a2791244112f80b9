"""Prepares a data set: python -m induced_metric.data --task mnist [--manual-dir DIRECTORY].

Downloads it, or takes its original files from a directory, which is for machines without network. This alone
needs TensorFlow, the extra ``data``. ``--check`` does without: its exit code is 0 if there is nothing to
prepare, 1 if there is, and 2, with a sentence, if that could not succeed.
"""

import argparse
import logging
import os
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from induced_metric.data import Dataset, default_data_dir, load
from induced_metric.data.reading import one_line
from induced_metric.data.releases import RELEASES, Release
from induced_metric.errors import UserError

_TIMEOUT = 10  # seconds that a server may take to answer


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
    release = _release(task)
    if release is None:
        known = ", ".join(release.task for release in RELEASES.values())
        raise UserError(f"task {task} has no data set to prepare; those that have: {known}")
    root = Path(data_dir) if data_dir else default_data_dir()
    if to_prepare(task, data_dir=root, manual_dir=manual_dir):
        _download_and_prepare(release, root, manual_dir)
    return load(release.name, data_dir=root)


def to_prepare(
    task: str, *, data_dir: str | Path | None = None, manual_dir: str | Path | None = None
) -> bool:
    """Whether the task has a data set that is not prepared; asks nothing of the network otherwise.

    Raises:
        UserError: if it has and its files cannot be had.
    """
    release = _release(task)
    if release is None:
        return False
    if manual_dir is not None and not Path(manual_dir).is_dir():
        raise UserError(f"the directory of the original files does not exist: {manual_dir}")
    root = Path(data_dir) if data_dir else default_data_dir()
    if (root / release.name / release.version).exists():
        return False
    _reach(release, manual_dir)
    return True


def _release(task: str) -> Release | None:
    base = task.split("_")[0]
    return next((release for release in RELEASES.values() if release.task == base), None)


def _reach(release: Release, manual_dir: str | Path | None) -> None:
    """Asks for every file that is not at hand once: TFDS itself would try for minutes."""
    import requests  # with which TFDS downloads: proxies and certificates are the same

    for url in release.urls:
        if manual_dir is not None and (Path(manual_dir) / url.rsplit("/", 1)[1]).is_file():
            continue
        try:
            with requests.get(url, stream=True, timeout=_TIMEOUT) as response:
                problem = "" if response.ok else f"{url} answers {response.status_code}"
        except requests.RequestException as error:
            problem = f"{url} cannot be reached: {type(error).__name__}"
        if problem:
            raise UserError(f"{release.name} is missing here ({problem}); {release.offline}")


def _download_and_prepare(release: Release, root: Path, manual_dir: str | Path | None) -> None:
    missing = [name for name in ("tensorflow", "tensorflow_datasets") if find_spec(name) is None]
    if missing:
        raise UserError(
            f"preparing a data set needs {' and '.join(missing)}; install the extra: pip install -e '.[data]'"
        )
    # What goes wrong is said in one sentence, below.
    os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "0"}
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    import tensorflow_datasets as tfds

    if not sys.stderr.isatty():
        tfds.disable_progress_bar()
    builder = tfds.builder(f"{release.name}:{release.version}", data_dir=root, file_format="array_record")
    wrong = (
        OSError,
        tfds.download.DownloadError,
        tfds.core.download.download_manager.NonMatchingChecksumError,
    )
    try:
        builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=manual_dir))
    except wrong as error:
        raise UserError(
            f"{release.name} could not be prepared ({one_line(error)}); {release.offline}"
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
    parser.add_argument(
        "--check", action="store_true", help="only say by the exit code whether there is need"
    )
    arguments = parser.parse_args()
    manual_dir = arguments.manual_dir or None
    try:
        if arguments.check:
            sys.exit(int(to_prepare(arguments.task, manual_dir=manual_dir)))
        dataset = prepare(arguments.task, manual_dir=manual_dir)
    except UserError as error:
        print(f"data: {error}", file=sys.stderr)
        sys.exit(2)
    release = dataset.release
    print(f"{release.name} {release.version} in {dataset.directory}: {', '.join(_counts(dataset))}")


if __name__ == "__main__":
    main()
