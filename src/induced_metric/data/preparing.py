"""Prepares a data set: downloads it or, without network, takes its original files from a directory.

Only this module needs TensorFlow, which the extra ``data`` installs.
"""

import logging
import os
import sys
from importlib.util import find_spec
from pathlib import Path

from induced_metric.data import Dataset, default_data_dir, load
from induced_metric.data.reading import one_line
from induced_metric.data.releases import RELEASES, Release
from induced_metric.errors import UserError

_TIMEOUT = 10  # seconds that a server may take to answer


def prepare(
    name: str, *, data_dir: str | Path | None = None, manual_dir: str | Path | None = None
) -> Dataset:
    """Prepares a data set, unless it is prepared already, and verifies it.

    Args:
        name: one of ``RELEASES``.
        data_dir: the TFDS data directory; ``default_data_dir()`` by default.
        manual_dir: a directory with the original files under their own names; TFDS checks their checksums.

    Raises:
        UserError: if there is no such data set, TensorFlow is missing, or the files cannot be obtained.
    """
    root = Path(data_dir) if data_dir else default_data_dir()
    if to_prepare(name, data_dir=root, manual_dir=manual_dir):
        _download_and_prepare(RELEASES[name], root, manual_dir)
    return load(name, data_dir=root)


def to_prepare(
    name: str, *, data_dir: str | Path | None = None, manual_dir: str | Path | None = None
) -> bool:
    """Whether the data set still has to be prepared; uses the network only in that case.

    Raises:
        UserError: if there is no such data set, or it is not prepared and its files cannot be obtained.
    """
    if name not in RELEASES:
        raise UserError(f"there is no data set {name}; there are {', '.join(RELEASES)}")
    if manual_dir is not None and not Path(manual_dir).is_dir():
        raise UserError(f"the directory of the original files does not exist: {manual_dir}")
    root = Path(data_dir) if data_dir else default_data_dir()
    release = RELEASES[name]
    if (root / name / release.version).exists():
        return False
    _reach(release, manual_dir)
    return True


def _reach(release: Release, manual_dir: str | Path | None) -> None:
    """Tries once to reach every file that is not at hand, since TFDS itself would try for minutes."""
    import requests  # TFDS downloads with it, so proxies and certificates are the same

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
            f"preparing a data set needs {' and '.join(missing)}; pip install 'induced-metric[data]' adds it"
        )
    # Silence the libraries: an error is reported in one sentence, below.
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
