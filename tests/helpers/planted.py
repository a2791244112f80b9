"""Studies as the protocol ``fair`` would record them, in memory; what is planted in them, rules must find."""

import functools
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import hydra
import numpy as np
import pandas as pd
import synthetic
from omegaconf import OmegaConf

from induced_metric.analysis.fairness.comparison import Comparison, of_records
from induced_metric.cli import spaces, values
from induced_metric.cli.factories import Factory
from induced_metric.records import Records
from induced_metric.space import dimension
from induced_metric.studies.compatibility import study_config

OPTIMIZERS = ("adamw", "muon", "sgd", "sgd_log_metric", "sgd_metric", "sgd_rms")
TRIALS = 40


@functools.cache
def composed(*overrides: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a study records as its configuration, and its search space."""
    with hydra.initialize_config_dir(str(values.CONF), version_base="1.3"):
        cfg = hydra.compose("sweep", list(overrides))
    factory = Factory.of(OmegaConf.to_container(cfg.optimizer), "optimizer")
    space, _ = spaces.search_space(cfg, factory, None, lambda **_: None)
    return study_config(OmegaConf.to_container(cfg, resolve=True)), space


def study(
    optimizer: str,
    *,
    sampler: str = "random",
    trials: int = TRIALS,
    settings: Sequence[str] = ("protocol=fair", "task=regression"),
    change: Callable[[dict[str, Any]], None] | None = None,
    **columns: Any,
) -> pd.DataFrame:
    """Trials of a search: hyperparameters drawn from its space, of which the value does not depend."""
    config, space = composed(*settings, f"optimizer={optimizer}", f"sampler={sampler}")
    config = json.loads(json.dumps(config))
    if change is not None:
        change(config)
    rng = np.random.default_rng(len(optimizer))
    row, _ = synthetic.trial(0, optimizer=optimizer, sampler=sampler, epochs=2)
    names = set(synthetic.REGRESSION[optimizer][3])
    row = {name: value for name, value in row.items() if name not in names | {"learning_rate"}}
    task = config["task"]
    ranges = {name: dimension(config["search_space"][name]) for name in space}
    drawn = {name: list(map(each.quantile, rng.uniform(size=trials))) for name, each in ranges.items()}
    values = rng.uniform(0.02, 0.9, size=trials)
    frame = pd.DataFrame(drawn, index=range(trials)).assign(
        **row
        | {
            "trial": range(trials),
            "seed": range(trials),
            "value": values,
            "objective": task["objective"],
            "direction": "maximize" if task["objective"].endswith("accuracy") else "minimize",
            "best_epoch": rng.integers(0, task["epochs"] - 5, size=trials),
            "epochs": task["epochs"],
            "seconds": rng.uniform(0.95, 1.05, size=trials),
            "config": json.dumps(config, sort_keys=True),
        }
    )
    return frame.assign(**columns)


def compared(
    changed: Mapping[str, pd.DataFrame] | None = None,
    *,
    task: str = "regression",
    spread: Mapping[str, float] | None = None,
    **options: Any,
) -> Comparison:
    """A comparison of all optimizers, in which those named are replaced by what is given for them."""
    settings = ("protocol=fair", f"task={task}")
    each = {name: study(name, **{"settings": settings, **options}) for name in OPTIMIZERS}
    each |= dict(changed or {})
    sampler = next(iter(each.values()))["sampler"].iloc[0]
    records = Records(pd.concat(each.values(), ignore_index=True), pd.DataFrame())
    return of_records(task, sampler, {sampler: records}, n=10, spread=spread or {})
