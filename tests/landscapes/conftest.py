"""Double precision for these tests alone, and the candidates of ``conf/landscapes.yaml``."""

import hydra
import jax
import pytest

from induced_metric.cli import landscapes, values


@pytest.fixture(autouse=True)
def double_precision():
    # Not the context manager: it holds for one thread, and the programs run in threads of their own.
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", False)


@pytest.fixture(scope="session")
def candidates():
    with hydra.initialize_config_dir(str(values.CONF), version_base="1.3"):
        cfg = hydra.compose("landscapes")
    return {each.name: each for each in landscapes.candidates(values.plain(cfg)["optimizers"])}
