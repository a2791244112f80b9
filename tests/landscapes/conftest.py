"""Double precision for these tests alone, and the configuration of the entry point."""

import hydra
import jax
import pytest

from induced_metric.cli import values


@pytest.fixture(autouse=True)
def double_precision():
    # Not the context manager: it holds for one thread, and the programs run in threads of their own.
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", False)


@pytest.fixture(scope="session")
def entry_point():
    """``sweeps/landscapes.py`` as a module."""
    from induced_metric.cli import landscapes

    return landscapes


@pytest.fixture(scope="session")
def cfg():
    with hydra.initialize_config_dir(str(values.CONF), version_base="1.3"):
        return hydra.compose("landscapes")


@pytest.fixture(scope="session")
def contenders(entry_point, cfg):
    return {contender.name: contender for contender in entry_point.contenders_of(cfg)}
