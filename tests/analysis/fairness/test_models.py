"""The sizes of the networks, as the networks themselves have them."""

import math

import configured
import jax
import pytest
from real_data import there

from induced_metric.analysis.fairness.models import model, models

FEW = {"train_examples": 1024, "test_examples": 1024}  # the network does not depend on them


def data_set(task: str) -> str:
    return "tiny_shakespeare" if task.startswith("shakespeare") else task.partition("_")[0]


@pytest.mark.parametrize(
    "task",
    [
        name
        if name.startswith("regression")
        else pytest.param(name, marks=[pytest.mark.data, pytest.mark.exhaustive, there(data_set(name))])
        for name in models().index
    ],
)
def test_sizes_are_those_of_the_network(task) -> None:
    _, settings = configured.settings(task)
    built = configured.task(task, **(FEW if "test_examples" in settings else {}))
    shapes = jax.eval_shape(lambda key: built.init(key)[0], jax.random.key(0))
    sizes = [(len(leaf.shape), math.prod(leaf.shape)) for leaf in jax.tree.leaves(shapes)]
    expected = (sum(size for _, size in sizes), sum(size for rank, size in sizes if rank == 2))
    assert model(task, settings) == expected


def test_sizes_are_of_tasks_and_no_other_network_has_one() -> None:
    assert set(models().index) <= {path.stem for path in (configured.CONF / "task").glob("*.yaml")}
    assert model("regression", {"widths": [16, 1]}) is None
    assert model("mine", {}) is None
    assert model("regression", {}) is not None  # a configuration older than the setting
