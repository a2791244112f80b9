"""A user without a home directory, as in a container that runs under a number."""

import os
import pwd

import pytest

from induced_metric import xla
from induced_metric.data import cache, default_data_dir
from induced_metric.errors import UserError


@pytest.fixture(autouse=True)
def nobody(monkeypatch):
    def unknown(number):
        raise KeyError(f"getpwuid(): uid not found: {number}")

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    for name in ("HOME", "XDG_CACHE_HOME", "TFDS_DATA_DIR", "JAX_COMPILATION_CACHE_DIR"):
        monkeypatch.setenv(name, "")  # so that it is what it was afterwards
        monkeypatch.delenv(name)


def test_programs_are_then_compiled_every_time(monkeypatch):
    xla.configure(devices=2)
    assert "JAX_COMPILATION_CACHE_DIR" not in os.environ
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    xla.configure(devices=2)
    assert os.environ["JAX_COMPILATION_CACHE_DIR"] == "/somewhere/induced-metric/xla"


def test_the_data_directory_must_then_be_named(monkeypatch, tmp_path):
    with pytest.raises(UserError, match="no home directory: set TFDS_DATA_DIR to the directory"):
        default_data_dir()
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    assert default_data_dir() == tmp_path


def test_the_cache_of_a_read_only_data_directory_must_then_be_named(tmp_path):
    tmp_path.chmod(0o555)
    with pytest.raises(
        UserError, match="is read-only and this user has no home directory: set XDG_CACHE_HOME"
    ):
        cache.directory(tmp_path)
    tmp_path.chmod(0o755)
    assert cache.directory(tmp_path) == tmp_path / "induced-metric"
