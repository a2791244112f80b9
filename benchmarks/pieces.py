"""A piece of accelerator.py, in its own process: one task, way and precision.

Prints one line of JSON that describes where it runs, and one for each result as soon as it is available.
"""

import argparse
import functools
import json
import math
import os
import sys
import tempfile
from pathlib import Path

from operations import peak, products
from processes import process
from ways import EPOCHS, SHARE, lanes, measured, task_of

TRIALS = 500  # trials of a study
ROUND = {"regression": 20, "mnist": 5, "shakespeare": 1, "cifar10": 1}  # epochs per round
PLACED = ("lanes", "occupancy", "deterministic")  # ways that use lanes, whose width is measured once


def study(quick):
    """The number of trials of a whole study, the largest that is measured."""
    return 3 if quick else TRIALS


def here():
    """The facts that results must have in common to be compared."""
    import jax

    from induced_metric import xla

    devices, platform = jax.devices(), jax.default_backend()
    return {
        "device": devices[0].device_kind,
        # On a CPU, a process has one device in all or one for each core, so the cores are counted.
        "devices": xla.cores() if platform == "cpu" else len(devices),
        "jax": jax.__version__,
        "platform": platform,
    }


def occupied(what, quick, before):
    """How busy a pruned study leaves the lanes, measured as in occupancy.py.

    The number of trials in flight is part of a pruner's configuration. ``configured`` uses that number, and
    no more lanes; ``wide`` has as many trials in flight as there are lanes at their best width.
    """
    from dataclasses import replace

    import occupancy
    from regression import HYPERPARAMETERS

    import induced_metric
    from induced_metric.lanes.facts import lane_facts
    from induced_metric.lanes.placement import Placement
    from induced_metric.training.program import TrialProgram

    trials = 4 if quick else TRIALS
    task = task_of("regression", quick=quick, precision="float32")
    if quick:
        task = replace(task, epochs=21)
    cfg = occupancy.configured("random", "successive_halving")
    most = trials if what == "wide" else cfg.pruner.in_flight
    placement = Placement(trials=most, before=before)
    with TrialProgram(task, induced_metric.adam, HYPERPARAMETERS["adam"]).lanes(placement) as engine:
        if what == "wide":
            cfg.pruner.in_flight = engine.capacity
        facts = lane_facts(engine)
        study_result = occupancy.measured(occupancy.plan(cfg, task, trials, 0, facts), engine)
    busy = None if math.isnan(study_result.occupancy) else study_result.occupancy
    return {
        **study_result._asdict(), **facts, "occupancy": busy,
        "trials": trials, "in_flight": cfg.pruner.in_flight, "capacity": engine.capacity,
    }  # fmt: skip


def deterministic(piece, trials, quick, before):
    """The same lanes with and without deterministic kernels, in turn: seconds per epoch, by round."""
    from interleave import interleave

    task, _, precision = piece
    side = functools.partial(
        serve_deterministic, task=task, precision=precision, quick=quick, trials=trials, before=before
    )
    sides = {"without": side, "with": functools.partial(side, deterministic=True)}
    by_side = interleave(sides, rounds=2 if quick else 5)
    return {
        **{f"seconds_{name}": each.seconds for name, each in by_side.items()},
        "price": by_side["with"].median / by_side["without"].median, "lanes": before,
    }  # fmt: skip


def serve_deterministic(requests, *, task, precision, quick, trials, before, deterministic=False):
    import contextlib

    from interleave import serve

    from induced_metric import xla

    xla.configure()
    if deterministic:
        xla.make_deterministic()
    with contextlib.ExitStack() as held:
        made = lanes(task_of(task, quick=quick, precision=precision), trials, held=held, before=before)
        epochs = ROUND[task]
        serve(requests, lambda: made.run(epochs), units=epochs * made.trials)


def results(piece, whats, *, quick, known=None, seconds):
    """Yields (what, result) of a piece.

    Args:
        piece: task, way, precision.
        whats: numbers of trials, or the other options that the way has.
        quick: whether sizes are tiny.
        known: the result of the lanes of this task and precision for a whole study, if there is one, so that
            their width is not measured again.
        seconds: how long to measure each.
    """
    task_name, way, precision = piece
    if way == "peak":
        yield from ((what, peak(quick)) for what in whats)
        return
    task = task_of(task_name, quick=quick, precision=precision)
    if way in ("occupancy", "deterministic") and known is None:
        known = measured("lanes", task, study(quick), seconds=0.0)
    operations = products(task)
    for what in whats:
        try:
            if way == "occupancy":
                result = occupied(what, quick, known["lanes"])
            elif way == "deterministic":
                result = deterministic(piece, int(what), quick, known["lanes"])
            else:
                result = whole_trials(piece, task, int(what), quick, known, seconds)
                result |= told(task_name, int(what), result, operations)
                if way == "lanes" and what == str(study(quick)):
                    known = result
        except (ArithmeticError, LookupError, OSError, RuntimeError, TypeError, ValueError) as error:
            result = {"failed": sentence(error)}  # the next may succeed
        yield what, result


def whole_trials(piece, task, number, quick, known, seconds):
    """Measures a way of training this many trials."""
    from induced_metric.lanes.facts import device_facts

    _, way, _ = piece
    if way == "process":
        command = [sys.executable, __file__, "/".join(piece), *(["--quick"] if quick else []), "--alone"]
        result = process(command, seconds=seconds)
    elif way == "lanes" and known and known["trials_measured"] <= number:
        result = known  # the same lanes, with no more trials at once
    else:
        before = known["lanes"] if known else None
        result = measured(way, task, number, seconds=seconds, before=before)
        if known and way == "lanes":  # probed once for all numbers; it compiles the program that is then used
            result["probe_seconds"] = known["probe_seconds"]
    facts = device_facts(task.matmul_precision)
    return {**result, "matmul_precision": facts["matmul_precision"]}


def told(task, number, found, operations):
    """What a measurement implies for ``number`` whole trials."""
    epochs, seconds = EPOCHS[task] / SHARE.get(task, 1), found["seconds_per_trial_epoch"]
    whole = number * (found.get("start_seconds", 0.0) + epochs * seconds)
    once = found["compile_seconds"] + found.get("probe_seconds", 0.0)
    return {
        "trials": number, "epochs": epochs,
        "trials_per_hour": 3600 * number / whole,
        "trials_per_hour_with_compilation": 3600 * number / (whole + once),
        "flops": operations / seconds,
        "operations_per_epoch": operations,
    }  # fmt: skip


def sentence(error):
    """An error in one line."""
    from induced_metric.errors import out_of_memory

    if out_of_memory(error):
        return "out of memory"
    message = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {message[0]}"[:300]


def configure(way):
    """Sets XLA up, before JAX starts."""
    from induced_metric import xla

    # Ways that train one trial after the other use all cores of a CPU as one device.
    xla.configure(devices="auto" if way in (*PLACED, "naive") else 1)
    if way in ("process", "deterministic"):  # their child processes need the memory
        os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("piece", help="task/way/precision")
    parser.add_argument("whats", nargs="*", help="numbers of trials, or other options of the way")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--known", type=json.loads, help="a known result of its lanes")
    parser.add_argument("--alone", type=float, help="train one trial at a time, for this many seconds")
    arguments = parser.parse_args()
    piece = tuple(arguments.piece.split("/"))
    if arguments.alone is not None:
        configure(piece[1])
        task = task_of(piece[0], quick=arguments.quick, precision=piece[2])
        print(json.dumps(measured("plain", task, 1, seconds=arguments.alone)))
        return
    options = {"quick": arguments.quick, "known": arguments.known, "seconds": 0.5 if arguments.quick else 4.0}
    # A new cache, so that compilation takes as long as the first time.
    with tempfile.TemporaryDirectory() as cache:
        os.environ["JAX_COMPILATION_CACHE_DIR"] = cache
        configure(piece[1])
        print(json.dumps({"here": here()}), flush=True)
        for what, found in results(piece, arguments.whats, **options):
            print(json.dumps({what: found}), flush=True)
            for program in Path(cache).iterdir():
                program.unlink()


if __name__ == "__main__":
    main()
