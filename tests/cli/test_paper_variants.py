"""The protocols ``paper_…``: each is ``paper`` with one thing changed, which its name says."""

from typing import Any

import hydra
import pytest
from omegaconf import OmegaConf

from induced_metric.cli import values
from induced_metric.studies.compatibility import study_config

CHANGED = {
    "paper_shuffled": ("adam", {"task.shuffle"}),
    "paper_heavy_ball": ("sgd_log_metric", {"optimizer.heavy_ball"}),
    "paper_wide_rates": ("adam", {"search_space.learning_rate.high"}),
    "paper_new_bits": ("adam", {"task.published_bits"}),
    "paper_without_xi": ("sgd_rms", {"optimizer.xi"}),
    "paper_without_decay": ("adamw", {"optimizer.weight_decay"}),
}
OF_REGRESSION = {"task.published_bits"}


def test_every_variant_is_known_here() -> None:
    assert CHANGED.keys() == {path.stem for path in (values.CONF / "protocol").glob("paper_*.yaml")}


@pytest.mark.slow
@pytest.mark.parametrize(("protocol", "optimizer", "changed"), [(k, *v) for k, v in CHANGED.items()])
@pytest.mark.parametrize("task", ["regression", "mnist_small"])
def test_one_thing_is_changed(protocol: str, optimizer: str, changed: set[str], task: str) -> None:
    paper, other = (settings(name, optimizer, task) for name in ("paper", protocol))
    assert {key for key in paper.keys() | other.keys() if paper.get(key) != other.get(key)} == {
        "protocol.name",
        "protocol.changes",
        *(changed if task == "regression" else changed - OF_REGRESSION),
    }


def settings(protocol: str, optimizer: str, task: str) -> dict[str, object]:
    """The dotted settings of a study."""
    with hydra.initialize_config_dir(str(values.CONF), version_base="1.3"):
        cfg = hydra.compose(
            "sweep", [f"protocol={protocol}", f"optimizer={optimizer}", f"task={task}", "sampler=random"]
        )
    config: Any = OmegaConf.to_container(cfg, resolve=True)
    return dict(flat(study_config(config)))


def flat(tree: object, name: str = "") -> list[tuple[str, object]]:
    if not isinstance(tree, dict):
        return [(name, tree)]
    return [pair for key, value in tree.items() for pair in flat(value, f"{name}.{key}" if name else key)]
