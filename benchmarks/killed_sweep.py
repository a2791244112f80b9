"""Compares a sweep whose workers are killed one after another with an undisturbed one: workers.py kills."""

import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from setups import ROOT, database

OPTIMIZERS = "adam,adamw,muon,sgd,sgd_log_metric,sgd_metric,sgd_rms"
OF_A_RUN = ["seconds", "finished", "provenance"]  # columns that differ between two runs of the same sweep


def kills(options):
    common = [
        sys.executable, "sweeps/sweep.py", "task=regression", f"optimizer={options.optimizers}",
        "sampler=random", f"trials={options.trials}", *options.settings,
    ]  # fmt: skip
    names = options.optimizers.split(",")
    total = options.trials * len(names)
    with database() as server, tempfile.TemporaryDirectory() as directory:
        started = time.perf_counter()
        subprocess.run([*common, f"results={directory}/one"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        undisturbed = time.perf_counter() - started
        url = server.url("killed")
        # No trial is given up, however often it is lost, and other workers resume it from checkpoints.
        command = [
            *common, f"results={directory}/many", "storage=postgresql", "storage.claims=1000",
            "checkpoint_every=20", "checkpoint_seconds=0",
        ]  # fmt: skip
        started = time.perf_counter()
        killed = _killed_sweep(options, command, url, server, total, Path(directory))
        disturbed = time.perf_counter() - started
        from induced_metric import records

        one, many = (
            records.load("regression", sampler="random", results=f"{directory}/{of}")
            for of in ("one", "many")
        )
    numbers = many.trials.groupby("optimizer")["trial"].agg(sorted)
    exact = set(numbers.index) == set(names) and all(
        found == list(range(options.trials)) for found in numbers
    )
    print(
        f"trials recorded: {len(many.trials)} of {total}; every study has each number exactly once: {exact}"
    )
    print(
        f"workers killed: {killed}; trials lost by a worker and trained by another: {_inherited(many.trials)}"
    )
    print(f"records equal to the undisturbed sweep's, bit for bit: {_same(one, many)}")
    print(
        f"seconds, {options.workers} workers with kills / one process: {disturbed:.0f} / {undisturbed:.0f} "
        f"= {disturbed / undisturbed:.2f}x"
    )


def _killed_sweep(options, command, url, server, total, directory):
    """Runs workers until all have ended by themselves; returns how many were killed."""
    environment = {**os.environ, "INDUCED_METRIC_STORAGE": url}
    dice = random.Random(options.seed)
    # Kills are placed by progress, not by the clock, so that on any machine all come while there is work.
    moments = sorted(dice.uniform(0, 0.9 * total) for _ in range(options.kills))
    workers, killed = {}, 0
    try:
        with (directory / "log").open("w") as log:

            def start(name):
                workers[name] = subprocess.Popen(
                    [*command, f"worker={name}"], cwd=ROOT, env=environment, stdout=log, stderr=log
                )

            for number in range(options.workers):
                start(f"worker-{number}")
            while any(worker.poll() != 0 for worker in workers.values()):
                time.sleep(dice.uniform(0, 0.5))
                for name, worker in workers.items():
                    if worker.poll() not in (None, 0, -9):
                        sys.exit(f"{name} failed:\n{(directory / 'log').read_text()[-2000:]}")
                    if worker.poll() == -9:
                        start(name)
                if killed < len(moments) and _told(server) >= moments[killed]:
                    alive = [worker for worker in workers.values() if worker.poll() is None]
                    dice.choice(alive).kill()
                    killed += 1
    finally:
        for worker in workers.values():
            worker.kill()
            worker.wait()
    return killed


def _told(server):
    """How many trials the workers have finished."""
    if not server.execute("select to_regclass('trials')", database="killed")[0][0]:
        return 0
    return server.execute("select count(*) from trials where state = 'COMPLETE'", database="killed")[0][0]


def _inherited(trials):
    return int(trials["provenance"].str.contains('"lost"').sum())


def _same(one, many):
    """Whether two sweeps recorded the same, apart from the columns that differ in every run."""
    keys = (["optimizer", "trial"], ["optimizer", "trial", "epoch"])
    pairs = [
        [
            frame.drop(columns=OF_A_RUN, errors="ignore").sort_values(key, ignore_index=True)
            for frame in frames
        ]
        for key, *frames in zip(keys, one, many, strict=True)
    ]
    return all(ours.equals(theirs[list(ours)]) for ours, theirs in pairs)
