from pathlib import Path

import pytest
import synthetic

from induced_metric.analysis import runs
from induced_metric.records import Records


@pytest.fixture(scope="session")
def results(tmp_path_factory) -> Path:
    """A small study of every published optimizer with TPE, of two of them with random search."""
    directory = tmp_path_factory.mktemp("results")
    for optimizer in synthetic.REGRESSION:
        synthetic.write_study(directory, optimizer, trials=8, epochs=20)
    for optimizer in ("adam", "sgd"):
        synthetic.write_study(directory, optimizer, trials=5, epochs=20, sampler="random")
    for optimizer in ("adam", "sgd_rms"):
        for task, objective in (
            ("mnist", "test/accuracy"),
            ("cifar10", "test/accuracy"),
            ("shakespeare_small", "validation/perplexity"),
        ):
            synthetic.write_study(
                directory,
                optimizer,
                trials=6,
                epochs=10,
                task=task,
                objective=objective,
                evaluated=task == "mnist",
            )
    return directory


@pytest.fixture(scope="session")
def ours(results) -> dict[str, Records]:
    return runs.load_samplers("regression", ["tpe", "random"], results=results)
