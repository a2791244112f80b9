"""What many workers of a study cost, and what they survive, compared with one process with a journal.

Run: python benchmarks/workers.py throughput|cost|kills|resume [--help]. Every part starts its own PostgreSQL
server and writes to a directory that is then removed.

throughput  regression trials with Adam, by one process on two cores and by two workers on one core each
cost        CPU seconds per trial of the worker and of the server, if the trials themselves take no time
kills       a sweep by several workers that are killed one after another: are its records those of an
            undisturbed sweep?
resume      seconds until a study that lacks its last trial is finished, without compilation
"""

import argparse
import os
import shutil
import signal
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path

from interleave import interleave, serve
from killed_sweep import OPTIMIZERS, kills
from setups import connected, cpu_seconds, database, files, regression_study, toy_lanes, toy_plan


def side(requests, *, sampler, trials, directory, cores, url=None):
    """A process on these cores that runs a new study each round, alone or as one worker of the database."""
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
    title = f"seconds per trial, median of {options.rounds}"
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

    by_storage = {name: [] for name in ("journal", "postgresql", "its server")}
    with database() as server, toy_lanes() as lanes, tempfile.TemporaryDirectory() as directory:
        url = server.url()
        for turn in range(options.rounds + 1):  # the first compiles programs and creates tables
            plan = toy_plan(options.trials, name=f"toy-{turn}")

            def run(storage, where):
                start = time.process_time()
                run_studies([(plan, files(Path(directory, where), storage), lambda _: None)], lanes)  # noqa: B023
                return (time.process_time() - start) / options.trials

            by_storage["journal"].append(run(None, f"journal-{turn}"))
            with connected(url) as storage:
                before = cpu_seconds(server)
                by_storage["postgresql"].append(run(storage, f"postgresql-{turn}"))
                by_storage["its server"].append((cpu_seconds(server) - before) / options.trials)
    medians = {name: statistics.median(seconds[1:]) for name, seconds in by_storage.items()}
    print(f"{f'CPU ms per trial of {options.trials}, median of {options.rounds}':52} {'to journal':>19}")
    for name, seconds in medians.items():
        print(f"{name:52} {1e3 * seconds:8.2f} {seconds / medians['journal']:9.2f}x")


def resume(options):
    from induced_metric import xla

    xla.configure()
    ways = ("journal", "postgresql", "postgresql, empty")
    print(f"{f'seconds to finish {options.trials} trials, all but one done':52} {'median':>7} {'1 trial':>8}")
    for sampler in options.samplers:
        by_way = {way: [] for way in ways}
        plan, lanes = regression_study(sampler, options.trials, epochs=options.epochs)
        with lanes, database() as database_server, tempfile.TemporaryDirectory() as made:
            train = partial(_train, plan, lanes)
            train(Path(made, "first"), options.trials - 1)
            one_trial = train(Path(made, "alone"), 1)
            for turn in range(options.rounds):
                for way in ways:
                    where = Path(made, f"{way}-{turn}")
                    shutil.copytree(Path(made, "first"), where)
                    if way == "journal":
                        by_way[way].append(train(where, options.trials))
                        continue
                    with connected(database_server.url()) as server:
                        if (
                            way == "postgresql"
                        ):  # this database knows the recorded trials; an empty one is told all of them
                            train(where, options.trials - 1, server)
                        by_way[way].append(train(where, options.trials, server))
        for way, seconds in by_way.items():
            print(f"{f'{sampler}: {way}':52} {statistics.median(seconds):7.2f} {one_trial:8.2f}", flush=True)


def _train(plan, lanes, directory, trials, server=None):
    """Runs a study up to this many trials; returns the seconds."""
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
        subparser = parts.add_parser(work.__name__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
        for name, value in defaults.items():
            many = {"nargs": "+", "type": str} if isinstance(value, list) else {"type": type(value or 0)}
            subparser.add_argument(f"--{name}", default=value, **many)
        subparser.set_defaults(work=work)
        return subparser

    part(throughput, trials=120, rounds=5, samplers=["random", "tpe"])
    part(cost, trials=200, rounds=5)
    part(kills, trials=100, kills=30, workers=4, seed=0, optimizers=OPTIMIZERS).add_argument(
        "settings", nargs="*", help="settings of sweeps/sweep.py, such as task.epochs=20 for a quick try"
    )
    part(resume, trials=500, rounds=3, epochs=200, samplers=["random", "tpe"])
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the server is ended too
    options.work(options)


if __name__ == "__main__":
    main()
