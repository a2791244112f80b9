"""Which of the released data sets are at hand; tests of the others are skipped, by name."""

import os

import pytest

from induced_metric import data
from induced_metric.data.releases import RELEASES


def there(name):
    """A mark that skips a test where ``TFDS_DATA_DIR`` does not hold a data set."""
    directory = data.default_data_dir() / name / RELEASES[name].version
    held = "TFDS_DATA_DIR" in os.environ and directory.is_dir()
    return pytest.mark.skipif(not held, reason=f"TFDS_DATA_DIR does not hold {name}")
