from pathlib import Path

import pytest
import synthetic

from induced_metric.analysis import report

OPTIMIZERS = ("adam", "sgd", "sgd_rms")


@pytest.fixture(scope="session")
def recorded(tmp_path_factory) -> Path:
    """A results directory: two searches, a confirmation, settings from many seeds, another protocol."""
    directory = tmp_path_factory.mktemp("recorded")
    for optimizer in OPTIMIZERS:
        for sampler in ("tpe", "random", "fixed", "tpe-confirmed"):
            synthetic.write_study(directory, optimizer, trials=12, epochs=20, sampler=sampler)
    for optimizer in OPTIMIZERS[:2]:
        synthetic.write_study(
            directory, optimizer, epochs=5, task="mnist_small", objective="test/accuracy", protocol="fair"
        )
    return directory


@pytest.fixture(scope="session")
def page(recorded) -> Path:
    """The report on them."""
    return report.write(recorded)
