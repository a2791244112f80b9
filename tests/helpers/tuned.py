"""Searches under the protocol fair and their confirmations, on disk, as small as can be."""

import json
from pathlib import Path

import numpy as np
import synthetic

from induced_metric.records import CONFIRMED, RecordStore, StudyKey

SPACE = {
    "learning_rate": {"low": 1e-5, "high": 100.0, "log": True},
    "beta1": {"low": 0.0, "high": 0.9997, "log": True, "complement": True},
}
MEANS = {"adamw": 0.2, "sgd": 0.3, "lion": 0.1}
STUDIES = ("tpe", "tpe-seed1")


def write(
    results: Path,
    optimizer: str,
    sampler: str,
    trials: int,
    *,
    rate: float = 0.1,
    epochs: int = 4,
    task: str = "regression",
) -> None:
    """A search, or a confirmation, whose seeds do the same to every optimizer."""
    confirmed = CONFIRMED in sampler
    objective = "test/loss" if confirmed else "validation/loss"
    config = {
        "protocol": {"name": "fair"},
        "task": {"name": task, "epochs": epochs},
        "sampler": {
            "create": {"_target_": "optuna.samplers.TPESampler", "n_startup_trials": 2},
            "in_flight": 1,
        },
        "optimizer": {"_target_": f"induced_metric.{optimizer}", "name": optimizer},
        "search_space": SPACE,
        "seed": 1_000_000 if confirmed else STUDIES.index(sampler),
        **({"source": {"trial": 3, "of": optimizer}} if confirmed else {}),
    }
    store = RecordStore(StudyKey("fair", task, sampler, optimizer).directory(results))
    for number in range(trials):
        row, curve = synthetic.trial(
            number,
            optimizer="adam",
            task=task,
            sampler=sampler,
            protocol="fair",
            objective=objective,
            epochs=epochs,
        )
        noise = float(np.random.default_rng([number, *sampler.encode()]).normal(scale=0.01))
        value = MEANS[optimizer] + noise + (0 if confirmed else 0.001 * number)
        row |= {
            "optimizer": optimizer,
            "value": value,
            "learning_rate": rate,
            "beta1": 0.9,
            "config": json.dumps(config),
        }
        del row["beta2"]
        curve = {name: values[:epochs] for name, values in curve.items()}
        if confirmed:
            curve["validation/loss"] = np.full(epochs, value, np.float32)
        store.append([row], [curve])
    store.compact()
