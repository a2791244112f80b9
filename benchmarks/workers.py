"""What many workers of a study cost, and what they survive, against one process with a journal.

Run: python benchmarks/workers.py throughput|cost|kills|resume [--help]. Every part starts a PostgreSQL server
of its own and writes to a directory that is removed.

throughput  regression trials with Adam, by one process on two cores and by two workers on one core each
cost        CPU seconds a trial, of the worker and of the server, where the trials themselves take no time
kills       a sweep by several workers of which one after another is killed: are its records those of an
            undisturbed sweep?
resume      seconds until a study that lacks its last trial is finished, without compilation
"""

import argparse
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path

from interleave import interleave, serve
from setups import ROOT, connected, cpu_seconds, database, files, regression_study, toy_study

OPTIMIZERS = "adam,adamw,muon,sgd,sgd_log_metric,sgd_metric,sgd_rms"
OF_A_RUN = ["seconds", "finished", "provenance"]  # columns in which two runs of the same sweep differ


def side(requests, *, sampler, trials, directory, cores, url=None):
    """A process on these cores, which runs another study each round: alone, or as one of those of a URL."""
    os.sched_setaffinity(0, cores)
    from induced_metric import xla

    xla.configure()
    from induced_metric.records import StudyKey
    from induced_metric.studies.running import run_studies

    plan, lanes = regression_study(sampler, trials)
    rounds = count()
    with lanes:

        def work():
            name = f"{sampler}-{next(rounds)}"
            this = replace(plan, key=StudyKey("paper", "regression", name, "adam"))
            run_studies([(this, files(Path(directory, name), server), lambda _: None)], lanes)

        if url is None:
            server = None
            serve(requests, work, units=trials)
        else:
            with connected(url) as server:
                serve(requests, work, units=trials)


def throughput(options):
    two = sorted(os.sched_getaffinity(0))[:2]
    if len(two) < 2:
        sys.exit("two cores are needed")
    title = f"seconds a trial, median of {options.rounds}"
    print(f"{title:32} {'one':>8} {'two':>8} {'throughput of two':>18}")
    for sampler in options.samplers:
        with database() as server, tempfile.TemporaryDirectory() as directory:
            common = partial(side, sampler=sampler, trials=options.trials)
            sides = {
                "one": partial(common, directory=f"{directory}/one", cores=two),
                "two": [
                    partial(common, directory=f"{directory}/two", cores=[core], url=url)
                    for url in [server.url()]
                    for core in two
                ],
            }
            one, two_workers = (m.median for m in interleave(sides, rounds=options.rounds).values())
        print(f"{sampler:32} {one:8.4f} {two_workers:8.4f} {one / two_workers:17.3f}x", flush=True)


def cost(options):
    from induced_metric import xla

    xla.configure()
    from induced_metric.studies.running import run_studies

    found = {name: [] for name in ("journal", "postgresql", "its server")}
    with database() as server, tempfile.TemporaryDirectory() as directory:
        url = server.url()
        for turn in range(options.rounds + 1):  # in the first, the tables are made
            plan, lanes = toy_study(options.trials, name=f"toy-{turn}")

            def run(storage, where):
                start = time.process_time()
                run_studies([(plan, files(Path(directory, where), storage), lambda _: None)], lanes)  # noqa: B023
                return (time.process_time() - start) / options.trials

            with lanes:
                found["journal"].append(run(None, f"journal-{turn}"))
                with connected(url) as storage:
                    before = cpu_seconds(server)
                    found["postgresql"].append(run(storage, f"postgresql-{turn}"))
                    found["its server"].append((cpu_seconds(server) - before) / options.trials)
    medians = {name: statistics.median(seconds[1:]) for name, seconds in found.items()}
    print(
        f"{f'CPU milliseconds a trial of {options.trials}, median of {options.rounds}':52} {'to journal':>19}"
    )
    for name, seconds in medians.items():
        print(f"{name:52} {1e3 * seconds:8.2f} {seconds / medians['journal']:9.2f}x")


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
        # Nothing is given up, however often it is lost, and heirs do go on from checkpoints.
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
    print(f"trials recorded: {len(many.trials)} of {total}, each number once in every study: {exact}")
    print(
        f"workers killed: {killed}; trials lost by a worker and trained by another: {_inherited(many.trials)}"
    )
    print(f"records equal to the undisturbed sweep's, bit for bit: {_same(one, many)}")
    print(
        f"seconds, {options.workers} workers and kills / one process: {disturbed:.0f} / {undisturbed:.0f} "
        f"= {disturbed / undisturbed:.2f}x"
    )


def _killed_sweep(options, command, url, server, total, directory):
    """Runs workers until all have ended by themselves; how many were killed."""
    environment = {**os.environ, "INDUCED_METRIC_STORAGE": url}
    dice = random.Random(options.seed)
    # By progress, not by the clock: on any machine all kills come while there is work.
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
    """Whether two sweeps recorded the same, but for what is another in every run."""
    keys = (["optimizer", "trial"], ["optimizer", "trial", "epoch"])
    pairs = [
        [
            frame.drop(columns=OF_A_RUN, errors="ignore").sort_values(key, ignore_index=True)
            for frame in frames
        ]
        for key, *frames in zip(keys, one, many, strict=True)
    ]
    return all(ours.equals(theirs[list(ours)]) for ours, theirs in pairs)


def resume(options):
    from induced_metric import xla

    xla.configure()
    ways = ("journal", "postgresql", "postgresql, empty")
    print(
        f"{f'seconds to finish {options.trials} trials, of which one lacks':52} {'median':>7} {'a trial':>8}"
    )
    for sampler in options.samplers:
        found = {way: [] for way in ways}
        plan, lanes = regression_study(sampler, options.trials, epochs=options.epochs)
        with lanes, database() as database_server, tempfile.TemporaryDirectory() as made:
            train = partial(_train, plan, lanes)
            train(Path(made, "first"), options.trials - 1)
            alone = train(Path(made, "alone"), 1)
            for turn in range(options.rounds):
                for way in ways:
                    where = Path(made, f"{way}-{turn}")
                    shutil.copytree(Path(made, "first"), where)
                    if way == "journal":
                        found[way].append(train(where, options.trials))
                        continue
                    with connected(database_server.url()) as server:
                        if (
                            way == "postgresql"
                        ):  # which knows what is recorded; an empty one is told all of it
                            train(where, options.trials - 1, server)
                        found[way].append(train(where, options.trials, server))
        for way, seconds in found.items():
            print(f"{f'{sampler}: {way}':52} {statistics.median(seconds):7.2f} {alone:8.2f}", flush=True)


def _train(plan, lanes, directory, trials, server=None):
    """Runs a study up to so many trials; seconds."""
    from induced_metric.studies.running import run_studies

    start = time.perf_counter()
    run_studies([(replace(plan, trials=trials), files(directory, server), lambda _: None)], lanes)
    return time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parts = parser.add_subparsers(required=True, metavar="part")

    def part(work, **defaults):
        found = parts.add_parser(work.__name__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
        for name, value in defaults.items():
            many = {"nargs": "+", "type": str} if isinstance(value, list) else {"type": type(value or 0)}
            found.add_argument(f"--{name}", default=value, **many)
        found.set_defaults(work=work)
        return found

    part(throughput, trials=120, rounds=5, samplers=["random", "tpe"])
    part(cost, trials=200, rounds=5)
    part(kills, trials=100, kills=30, workers=4, seed=0, optimizers=OPTIMIZERS).add_argument(
        "settings", nargs="*", help="of sweeps/sweep.py, such as task.epochs=20 for a quick try"
    )
    part(resume, trials=500, rounds=3, epochs=200, samplers=["random", "tpe"])
    options = parser.parse_args()
    options.work(options)


if __name__ == "__main__":
    main()
