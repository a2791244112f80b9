"""Trials an hour on this device, five ways: what lanes are worth beside what people would do otherwise.

Run: python benchmarks/accelerator.py [--minutes 9] [--output FILE] [--quick] [--only task/way/precision,...].
The ways (ways.py): lanes, naive (a vmap in lock step), process (one a trial), plain (jitted optax in a loop),
published (the published loop's shape); of regression, MNIST, the GPT and ResNet-18; at 1, 8, 64, 256 and 500
trials. Random data of the published shapes: no data set is needed. Some epochs are measured; a published
trial has as many as ``epochs`` says, of ResNet-18 twelve times as long. Results are written to FILE as they
come, the most telling first, and the same command goes on with those that are missing. On a CPU it does the
same, and takes hours unless --quick, whose tiny sizes say nothing but that everything runs.
"""

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

from ways import EPOCHS, SHARE, WAYS, measured, products, task_of

NUMBERS = (64, 500, 1, 8, 256)
BFLOAT16 = ("cifar10", "shakespeare")  # also measured so
REPEATED = ("process", "plain", "published")  # of which a trial takes as long beside others


def plan(quick):
    """Pieces of work: (task, way, precision), the most telling first."""
    pieces = [("peak", "matmul", "float32"), ("occupancy", "lanes", "float32")]
    pieces += [(task, "lanes", "float32") for task in EPOCHS]
    pieces += [(task, "lanes", "bfloat16") for task in BFLOAT16]
    pieces += [(task, way, "float32") for way in WAYS if way != "lanes" for task in EPOCHS]
    return [*pieces[:1], *pieces[2:], pieces[1]] if not quick else pieces


def numbers_of(way, quick):
    if way in REPEATED:
        return (1,)
    return (1, 3) if quick else NUMBERS


def names_of(piece, quick):
    """What a piece adds to the results."""
    task, way, precision = piece
    if task == "peak":
        return ["peak"]
    if task == "occupancy":
        return ["occupancy"]
    return ["/".join((task, way, precision, str(number))) for number in numbers_of(way, quick)]


def device_facts():
    import jax

    from induced_metric.lanes import facts

    return {**facts.device_facts(), "jax": jax.__version__, "platform": jax.default_backend()}


def peak(quick):
    """Operations a second of a large product, by precision."""
    import jax
    import jax.numpy as jnp

    size = 256 if quick else 2048 if jax.default_backend() == "cpu" else 8192
    found = {}
    for precision in ("float32", "tensorfloat32", "bfloat16"):
        a = jnp.ones((size, size), jnp.bfloat16 if precision == "bfloat16" else jnp.float32)
        with jax.default_matmul_precision(precision):
            product = jax.jit(lambda a: a @ a)
            product(a).block_until_ready()
            times = []
            for _ in range(5):
                start = time.perf_counter()
                for _ in range(4):
                    out = product(a)
                out.block_until_ready()
                times.append((time.perf_counter() - start) / 4)
        found[precision] = 2 * size**3 / min(times)
    return {"size": size, "flops": found}


def occupied(quick):
    """How busy a pruned study leaves the lanes, as occupancy.py measures it."""
    from dataclasses import replace

    import occupancy
    from regression import HYPERPARAMETERS
    from ways import task_of as of

    import induced_metric
    from induced_metric.lanes.facts import lane_facts
    from induced_metric.lanes.placement import Placement
    from induced_metric.training.program import trial_lanes

    task = of("regression", quick=quick, precision="float32")
    cfg = occupancy.configured("random", "successive_halving")
    trials = 8 if quick else 500
    if quick:
        task = replace(task, epochs=21)
    in_flight = cfg.pruner.in_flight or trials
    with trial_lanes(
        task, induced_metric.adam, HYPERPARAMETERS["adam"], Placement(trials=in_flight)
    ) as engine:
        facts = lane_facts(engine)
        found = occupancy.measured(occupancy.plan(cfg, task, trials, 0, facts), engine)
    return {**found._asdict(), **facts, "trials": trials}


def work(piece, *, quick, skip, command, alone):
    """Does a piece, and prints a line of JSON for each result as soon as it is there."""
    from induced_metric import xla
    from induced_metric.errors import out_of_memory

    task_name, way, precision = piece
    # One trial after the other takes all cores of a CPU as one device.
    xla.configure(devices="auto" if way in ("lanes", "naive") else 1)
    if way == "process":  # whose processes need the memory
        os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
    if task_name in ("peak", "occupancy"):
        tell(task_name, {**(peak if task_name == "peak" else occupied)(quick), "device": device_facts()})
        return
    task = task_of(task_name, quick=quick, precision=precision)
    if alone:
        WAYS["plain"](task, 1).run(alone)
        return
    operations = products(task)
    for number, name in zip(numbers_of(way, quick), names_of(piece, quick), strict=True):
        if name in skip:
            continue
        try:
            found = measured(way, task, number, seconds=0.0 if quick else 4.0, command=command)
        except (RuntimeError, ValueError) as error:  # as JAX's are
            if not out_of_memory(error):
                raise
            tell(name, {"failed": "out of memory", "device": device_facts()})
            continue
        whole = told(task_name, way, number, found, operations)
        tell(name, {**found, **whole, "quick": quick, "device": device_facts()})


def told(task, way, number, found, operations):
    """What follows from a measurement for ``number`` whole trials."""
    epochs, count = EPOCHS[task] / SHARE.get(task, 1), found["epochs_measured"]
    seconds, start = found["seconds_per_trial_epoch"], 0.0
    if way == "process":  # what comes before the first epoch comes with every trial
        seconds = (
            (found["seconds_measured"] - found["first_epoch_seconds"]) / (count - 1) if count > 1 else seconds
        )
        start = max(0.0, found["first_epoch_seconds"] - seconds)
    whole = number * (start + epochs * seconds)
    return {
        "task": task, "way": way, "trials": number, "epochs": epochs,
        "start_seconds": start,
        "trials_per_hour": 3600 * number / whole,
        "trials_per_hour_with_compilation": 3600 * number / (whole + found["compile_seconds"]),
        "flops": operations / seconds,
        "operations_per_epoch": operations,
    }  # fmt: skip


def tell(name, found):
    print(json.dumps({name: found}), flush=True)


def run(piece, arguments, skip, seconds):
    """A process that does a piece, until it is done or the time is over; yields its results."""
    command = [str(Path(__file__)), "--piece", "/".join(piece), *(["--quick"] if arguments.quick else [])]
    with subprocess.Popen(
        [sys.executable, *command, "--skip", ",".join(skip)], stdout=subprocess.PIPE, text=True
    ) as child:
        end = time.monotonic() + seconds
        timer = threading.Timer(seconds, child.kill)
        timer.start()
        try:
            for line in child.stdout:
                if line.startswith("{"):
                    yield json.loads(line)
        finally:
            timer.cancel()
    if child.returncode and time.monotonic() < end:
        sys.exit(f"{'/'.join(piece)} failed: its error is above")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=9.0, help="of this run (default: 9)")
    parser.add_argument("--output", type=Path, default=Path("accelerator.json"))
    parser.add_argument("--quick", action="store_true", help="tiny sizes, which only show that all runs")
    parser.add_argument("--only", help="these tasks, ways or pieces alone, separated by commas")
    parser.add_argument("--piece", help=argparse.SUPPRESS)
    parser.add_argument("--skip", default="", help=argparse.SUPPRESS)
    parser.add_argument("--alone", type=int, default=0, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.piece:
        command = [__file__, "--piece", arguments.piece, *(["--quick"] if arguments.quick else [])]
        work(
            tuple(arguments.piece.split("/")), quick=arguments.quick, skip=arguments.skip.split(","),
            command=command, alone=arguments.alone,
        )  # fmt: skip
        return
    end = time.monotonic() + 60 * arguments.minutes
    done = json.loads(arguments.output.read_text()) if arguments.output.exists() else {}
    only = set(arguments.only.split(",")) if arguments.only else None
    for piece in plan(arguments.quick):
        names = names_of(piece, arguments.quick)
        if set(names) <= done.keys() or (only and not only & {*piece, "/".join(piece)}):
            continue
        left = end - time.monotonic()
        if left < 1:
            print(f"the time is over; the same command goes on with {'/'.join(piece)}")
            return
        for found in run(piece, arguments, done, left):
            done |= found
            arguments.output.write_text(json.dumps(done, indent=1, sort_keys=True))
            ((name, facts),) = found.items()
            rate = facts.get("trials_per_hour")
            print(name, f"{rate:.4g} trials an hour" if rate else "done", flush=True)


if __name__ == "__main__":
    main()
