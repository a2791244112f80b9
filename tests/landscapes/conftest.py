"""Double precision for these tests alone, and the configuration of the entry point."""

import importlib.util
from pathlib import Path

import hydra
import jax
import pytest

from induced_metric import cli

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def double_precision():
    # Not the context manager: it holds for one thread, and the programs run in threads of their own.
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", False)


@pytest.fixture(scope="session")
def entry_point():
    """``sweeps/landscapes.py`` as a module."""
    spec = importlib.util.spec_from_file_location("landscapes_entry", ROOT / "sweeps" / "landscapes.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def cfg():
    with hydra.initialize_config_dir(str(cli.CONF), version_base="1.3"):
        return hydra.compose("landscapes")


@pytest.fixture(scope="session")
def contenders(entry_point, cfg):
    return {contender.name: contender for contender in entry_point.contenders_of(cfg)}
