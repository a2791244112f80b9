"""Studies that look like real ones, written with RecordStore: no training, no JAX."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from induced_metric.records import Records, RecordStore, StudyKey

# Mean and spread of the best trials, epochs to them, hyperparameters: near the published table.
REGRESSION = {
    "adam": (0.021, 0.20, 150, ("beta1", "beta2")),
    "adamw": (0.024, 0.15, 160, ("beta1", "beta2", "weight_decay")),
    "muon": (0.033, 0.10, 155, ("beta", "adam_b1", "adam_b2", "weight_decay")),
    "sgd": (0.036, 0.25, 190, ("momentum",)),
    "sgd_metric": (0.031, 0.20, 188, ("momentum", "xi", "beta", "weight_decay")),
    "sgd_log_metric": (0.032, 0.30, 167, ("momentum", "xi", "beta", "weight_decay")),
    "sgd_rms": (0.022, 0.20, 160, ("momentum", "xi", "beta", "beta_rms", "weight_decay")),
}
SAMPLERS = {"tpe": "optuna.samplers.TPESampler", "random": "optuna.samplers.RandomSampler"}
# Far from the others on TinyShakespeare, as published.
SLOW = ("sgd", "sgd_metric", "sgd_log_metric")


def trial(
    number: int,
    *,
    optimizer: str,
    task: str = "regression",
    sampler: str = "tpe",
    protocol: str = "paper",
    objective: str = "test/loss",
    evaluated: bool = True,
    epochs: int = 200,
    state: str = "complete",
    diverged: bool = False,
) -> tuple[dict, dict]:
    """The row and the curve of one trial, a function of its arguments alone; train evaluated or not."""
    floor, spread, peak, names = REGRESSION[optimizer]
    rng = np.random.default_rng([number, *optimizer.encode(), *sampler.encode()])
    quality = floor * np.exp(rng.gamma(2, 2 * spread))
    best_epoch = int(np.clip(rng.normal(peak, 35), 0.1 * epochs, 199) * (epochs - 1) / 199)
    t = (np.arange(epochs) + 1) * (200 / epochs)
    decay = (t / t[best_epoch]) ** -rng.uniform(0.6, 1.1)
    noise = np.exp(0.05 * rng.standard_normal((2, epochs)).cumsum(axis=1) / np.sqrt(t))
    test = quality * (0.7 * decay * noise[0] + 0.3)
    test[best_epoch + 1 :] = np.maximum(test[best_epoch + 1 :], test[best_epoch]) * 1.02
    test[:best_epoch] = np.maximum(test[:best_epoch], test[best_epoch] * 1.001)
    train = 0.8 * quality * decay**1.4 * noise[1]
    direction = "minimize"
    kind = objective.split("/")[1]
    name = f"train/{kind}" if evaluated else f"train/minibatch_{kind}"
    if kind == "accuracy":
        test, train, direction = 1 / (1 + test), 1 / (1 + train), "maximize"
    if kind == "perplexity":
        test, train = (
            5 * (1 + 10 * curve) if optimizer in SLOW else 4.2 * (1 + curve) for curve in (test, train)
        )
        # Of minibatches there is the loss alone.
        train, name = (train, name) if evaluated else (np.log(train), "train/minibatch_loss")
    curve = {
        "epoch": np.arange(epochs),
        "seconds": rng.uniform(0.9, 1.1, epochs) * 1e-3,
        name: train.astype(np.float32),
        objective: test.astype(np.float32),
    }
    values = curve[objective]
    if diverged:
        values[-1] = np.nan
    worst = float(np.finfo(np.float32).max) * (1 if direction == "minimize" else -1)
    place = int(values.argmin() if direction == "minimize" else values.argmax())
    row = {
        "trial": number,
        "state": state,
        "diverged": diverged,
        "value": worst if diverged else float(values[place]),
        "objective": objective,
        "direction": direction,
        "best_epoch": -1 if diverged else place,
        "epochs": epochs,
        "seed": 1000 + number,
        "seconds": float(curve["seconds"].sum()),
        "learning_rate": float(10 ** rng.uniform(-5, 0)),
        **{name: float(rng.uniform(0.8, 0.99)) for name in names},
        "protocol": protocol,
        "task": task,
        "sampler": sampler,
        "optimizer": optimizer,
        "finished": f"2026-01-01T00:{number // 60:02d}:{number % 60:02d}+00:00",
        "provenance": json.dumps({"commit": "0" * 40, "device": "cpu", "dirty": False}, sort_keys=True),
        "config": json.dumps(
            {
                "task": {"epochs": epochs, "name": task},
                "sampler": {"name": sampler, "create": {"_target_": SAMPLERS.get(sampler, "a.Sampler")}},
            },
            sort_keys=True,
        ),
    }
    return row, curve


def write_study(
    results: Path, optimizer: str, *, trials: int = 6, compact: bool = True, **options: object
) -> RecordStore:
    """A study whose last trial but one was pruned and whose last diverged."""
    store = RecordStore(
        StudyKey(
            str(options.get("protocol", "paper")),
            str(options.get("task", "regression")),
            str(options.get("sampler", "tpe")),
            optimizer,
        ).directory(results)
    )
    for number in range(trials):
        odd: dict = {"state": "pruned"} if number == trials - 2 else {"diverged": number == trials - 1}
        row, curve = trial(number, optimizer=optimizer, **(options | odd))
        store.append([row], [curve])
    if compact:
        store.compact()
    return store


def study_of(
    optimizer: str, values: np.ndarray, *, sampler: str, first_seed: int = 0, **columns: object
) -> Records:
    """A study in memory: one trial a value, no curves."""
    rows = [trial(k, optimizer=optimizer, sampler=sampler, epochs=2)[0] for k in range(len(values))]
    trials = pd.DataFrame(rows).assign(value=values, seed=first_seed + np.arange(len(values)), **columns)
    return Records(trials, pd.DataFrame())


def joined(*parts: Records) -> Records:
    """The trials of several as one."""
    return Records(pd.concat([part.trials for part in parts], ignore_index=True), pd.DataFrame())
