"""CPU seconds of each step of a worker, in the worker and in the PostgreSQL server; for scaling_model.py.

All are CPU times, of the calling thread and of the server's process for its connection, so that other load on
the machine matters little. A claim is refused if another worker was faster.

Run: python benchmarks/service_times.py [file.json]
"""

import json
import multiprocessing
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from setups import connected, database, toy_plan

PROCESSES = (1, 2, 4, 8, 16)
UNFINISHED = (10, 100, 1000)  # numbers of trials under way that a look finds in a study
TOLD = (50, 200, 500, 1000)  # numbers of told trials that a proposal by TPE uses
FILES = (100, 1000, 4000)  # numbers of records that are not yet in the tables
EPOCHS = 200  # epochs of a recorded curve


class Meter:
    """Measures the CPU seconds of steps, in this thread and in the server.

    Attributes:
        steps: all measurements of each step.
    """

    def __init__(self, server=None):
        self._its = server and Path(f"/proc/{server.execute('select pg_backend_pid()')}/schedstat")
        self.steps = {}

    def __call__(self, name, work):
        before = self._seconds()
        result = work()
        name = name(result) if callable(name) else name
        self.steps.setdefault(name, []).append(np.subtract(self._seconds(), before))
        return result

    def _seconds(self):
        return time.thread_time(), int(self._its.read_text().split()[0]) / 1e9 if self._its else 0.0

    def mean(self, name):
        """Mean seconds, here and in the server, without the first measurements, which prepare statements."""
        seconds = self.steps[name]
        return np.mean(seconds[min(3, len(seconds) // 2) :], axis=0)


def row(number, value=0.5):
    return {"trial": number, "state": "complete", "value": value}


def open_ledger(server):
    from induced_metric.studies.ledger import Ledger

    return Ledger(server, toy_plan(10**6), "here", claims=5, same_code=False)


def claim(ledger, meter):
    """Claims the next trial, trying again while other workers are faster; returns its number."""
    while True:
        number = ledger.count
        if meter(
            lambda claimed: "claim" if claimed else "refused",
            lambda number=number: ledger.claim(number, {"x": 1.0, "y": 0.5}, lambda _: None, suspects=True),
        ):
            return number


def worker(url, trials, begin, found):
    """One of several workers that together claim and tell this many trials of one study."""
    with connected(url) as server:
        ledger, meter = open_ledger(server), Meter(server)
        begin.wait()
        while ledger.count < trials:
            number = claim(ledger, meter)
            meter("tell", lambda number=number: ledger.tell(number, row(number)))
        found.put({name: (len(meter.steps[name]), meter.mean(name)) for name in meter.steps})


def together(url, processes, trials):
    """Steps of several workers at once: how often per claim, and mean seconds in worker and server."""
    context = multiprocessing.get_context("forkserver")
    # Every worker is forked from a process that has imported everything and started no thread.
    context.set_forkserver_preload(["induced_metric.studies.ledger", "setups"])
    begin, results = context.Barrier(processes), context.Queue()
    workers = [context.Process(target=worker, args=(url, trials, begin, results)) for _ in range(processes)]
    for each in workers:
        each.start()
    steps = {}
    for _ in workers:
        for name, (times, seconds) in results.get(timeout=600).items():
            steps.setdefault(name, []).append((times, *seconds))
    for each in workers:
        each.join()
    rows_of = {name: np.array(rows) for name, rows in steps.items()}
    return {
        name: [
            rows[:, 0].sum() / rows_of["claim"][:, 0].sum(),
            *np.average(rows[:, 1:], axis=0, weights=rows[:, 0]),
        ]
        for name, rows in rows_of.items()
    }


def line(x, seconds):
    """Fits a constant and a slope, neither below zero."""
    from scipy.optimize import nnls

    return nnls(np.stack([np.ones(len(x)), x], axis=1), np.asarray(seconds))[0].tolist()


def looks(url):
    """Looks, searches for lost workers and heartbeat rounds, here and in the server, by trials under way."""
    with connected(url) as server:
        ledger, meter = open_ledger(server), Meter(server)
        for unfinished in UNFINISHED:
            while len(ledger.mine) < unfinished:
                claim(ledger, meter)
            for _ in range(13):
                meter(f"look {unfinished}", ledger.look)
                meter(f"reap {unfinished}", lambda: ledger.reap(lambda _: None))
                meter(f"beat {unfinished}", lambda: server._record_heartbeats(list(ledger.mine.values())))
        return {
            step: [
                line(UNFINISHED, column)
                for column in zip(*(meter.mean(f"{step} {n}") for n in UNFINISHED), strict=True)
            ]
            for step in ("look", "reap", "beat")
        }


def proposals():
    """Seconds per proposal: for random search, and for TPE a constant and a slope per told trial."""
    import optuna

    from induced_metric.studies.dimensions import distribution, propose
    from induced_metric.studies.plan import trial_seed

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    meter = Meter()
    for sampler, histories in {"random": TOLD[:1], "tpe": TOLD}.items():
        plan = toy_plan(10**6, sampler=sampler, in_flight=8)
        study = optuna.create_study(storage=optuna.storages.InMemoryStorage())
        told = optuna.create_trial(
            params={"x": 1.0, "y": 0.5}, value=0.5,
            distributions={name: distribution(searched) for name, searched in plan.search_space.items()},
        )  # fmt: skip
        for history in histories:
            study.add_trials([told] * (history - len(study.get_trials(deepcopy=False))))
            for number in range(8):
                study.sampler = plan.create_sampler(seed=trial_seed(0, number))
                meter(f"{sampler} {history}", lambda: propose(study, plan.search_space))  # noqa: B023
    tpe = line(TOLD, [meter.mean(f"tpe {history}")[0] for history in TOLD])
    return {"random": meter.mean(f"random {TOLD[0]}")[0], "tpe": tpe}


def records():
    """Seconds to publish a record, to read another worker's, and to skip the file of a known record."""
    from induced_metric.records import RecordFeed, RecordStore

    meter = Meter()
    with tempfile.TemporaryDirectory() as directory:
        store = RecordStore(directory)
        own_feed, other_feed, times = RecordFeed(store), RecordFeed(store), []
        curve = {"epoch": np.arange(EPOCHS), "seconds": np.ones(EPOCHS), "test/loss": np.ones(EPOCHS)}
        common = dict.fromkeys(
            ("task", "optimizer", "sampler", "protocol", "objective", "direction", "finished"), "a"
        )
        facts = common | {
            "diverged": False,
            "best_epoch": 0,
            "epochs": EPOCHS,
            "seed": 1,
            "seconds": 1.0,
            "config": "{}",
            "provenance": "{}",
        }
        for number in range(40):
            meter("publish", lambda number=number: store.publish(row(number) | facts, curve))
            own_feed.skip(row(number) | facts)
            meter("read", other_feed.news)
        text = (store.file_of(0)).read_bytes()
        for files in FILES:
            for number in range(len(store.pending()), files):
                store.file_of(number).write_bytes(text)
                own_feed.skip({"trial": number, "finished": facts["finished"]})
            for _ in range(5):
                meter(f"list {files}", own_feed.news)
            times.append(meter.mean(f"list {files}")[0])
    return {"publish": meter.mean("publish")[0], "read": meter.mean("read")[0], "list": line(FILES, times)[1]}


def measured(processes=PROCESSES, trials=100):
    """All measurements, in seconds; those in ``together`` by the number of workers."""
    with database(max_connections=max(processes) + 10) as server:
        many = {str(n): together(server.url(), n, trials) for n in processes}
        return {"together": many, **looks(server.url()), **proposals(), **records()}


def main():
    times = measured()
    text = json.dumps(times, indent=1)
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(text)
    print(text)


if __name__ == "__main__":
    main()
