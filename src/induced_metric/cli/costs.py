"""``induced-metric costs``: device seconds per epoch of each optimiser, measured in turns."""

import argparse
import contextlib
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from induced_metric.cli import arguments as common

if TYPE_CHECKING:
    from induced_metric.lanes import Lanes

_EPOCHS = 20  # epochs of a trial, unless the task has fewer


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the optimisers to measure, and how often to measure them."""
    common.study(parser)
    common.results(parser)
    parser.add_argument(
        "--optimizers", nargs="+", required=True, metavar="OPTIMIZER", help="measured in turns"
    )
    parser.add_argument("--rounds", type=common.count, default=7, help="number of turns of each (default: 7)")


def run(task: str, protocol: str, optimizers: Sequence[str], rounds: int, results: Path) -> None:
    """Measures the device seconds per epoch, prints them and writes them to ``<results>/costs.csv``.

    The machine should do nothing else. In each round every optimiser trains one trial in each of its lanes,
    as a search under the protocol does; the result is the median over the rounds. Device seconds are the
    seconds that the devices were busy, divided by the epochs of all trials.

    Raises:
        UserError: for a task, protocol or optimiser that does not exist.
    """
    import pandas as pd

    from induced_metric.cli import app, build
    from induced_metric.cli.composing import compose

    chosen = {
        name: compose([f"task={task}", f"protocol={protocol}", f"optimizer={name}"]) for name in optimizers
    }
    app.start_jax(next(iter(chosen.values())))  # before anything imports JAX
    seconds: dict[str, list[float]] = {name: [] for name in chosen}
    with contextlib.ExitStack() as held:
        engines = {}
        for name, cfg in chosen.items():
            pair = build.pairing(cfg)
            lanes = held.enter_context(pair.lanes(build.placement(cfg.lanes)))
            engines[name] = (lanes, pair.hyperparameters, min(_EPOCHS, pair.task.epochs))
            _train(*engines[name])  # compiles the program
        for _ in range(rounds):
            for name, engine in engines.items():
                seconds[name].append(_train(*engine))
    measured = pd.DataFrame(
        {"task": task, "optimizer": name, "seconds_per_epoch": statistics.median(each)}
        for name, each in seconds.items()
    )
    path = results / "costs.csv"
    earlier = [pd.read_csv(path)] if path.exists() else []
    table = pd.concat([*earlier, measured]).drop_duplicates(["task", "optimizer"], keep="last")
    path.parent.mkdir(parents=True, exist_ok=True)
    table.sort_values(["task", "optimizer"]).to_csv(path, index=False, float_format="%.4g")
    sys.stdout.write(f"{measured.to_string(index=False, float_format='{:.4g}'.format)}\nwrote {path}\n")


def _train(lanes: "Lanes", hyperparameters: dict[str, Any], epochs: int) -> float:
    """Device seconds per epoch."""
    import jax

    from induced_metric.lanes import Assignment

    begun = time.perf_counter()
    assignments = (Assignment(number, hyperparameters, number, epochs) for number in range(lanes.capacity))
    curves = lanes.run_all(assignments)
    trained = sum(len(curve["seconds"]) for curve in curves.values())  # a diverged trial ends early
    return (time.perf_counter() - begun) * len(jax.devices()) / trained
