"""Records of two tuned baselines and of a candidate, each in a results directory of its own."""

from pathlib import Path

import pytest
from tuned import STUDIES, write

from induced_metric.records import CONFIRMED


@pytest.fixture
def baselines(tmp_path: Path) -> Path:
    """AdamW and SGD, from 20 seeds."""
    for optimizer in ("adamw", "sgd"):
        for sampler in STUDIES:
            write(tmp_path / "published", optimizer, sampler, 12)
            write(tmp_path / "published", optimizer, sampler + CONFIRMED, 20)
    return tmp_path / "published"


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """The candidate, from 15 seeds."""
    for sampler in STUDIES:
        write(tmp_path / "mine", "lion", sampler, 12)
        write(tmp_path / "mine", "lion", sampler + CONFIRMED, 15)
    return tmp_path / "mine"
