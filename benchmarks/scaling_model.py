"""How many workers one PostgreSQL server can carry: a simulation with service times measured on this machine.

Nothing is trained. A worker is one thread, as in a study: it looks every second and sends heartbeats every
sixth of the grace. When a lane has finished, it writes the record, tells the trial and claims another. A
claim waits for the lock of its study, and is refused if another worker was faster. The server has some cores;
each round trip on the network takes the given time.

Run: python benchmarks/scaling_model.py [--times file.json] [--help]. Without the file, which service_times.py
writes, the service times are measured first (some minutes).
"""

import argparse
import heapq
import json
import random
from collections import deque
from itertools import count, product
from pathlib import Path

LOOK, WAITING, BEAT = 1.0, 0.1, 10.0  # seconds between two; WAITING: looks without a trial; BEAT: grace 60
# Of Optuna's sessions and our statements, including the starts and ends of transactions.
ROUND_TRIPS = {"claim": 19, "refused": 14, "tell": 9, "look": 2, "reap": 5, "beat": 1}


class Clock:
    """A simulated clock. Processes are generators that yield seconds to wait, or a ``Queue`` to enter."""

    def __init__(self):
        self.now, self._events, self._order = 0.0, [], count()

    def at(self, when, process):
        heapq.heappush(self._events, (when, next(self._order), process))

    def step(self, process):
        wanted = next(process, None)
        if isinstance(wanted, Queue):
            wanted.enter(process)
        elif wanted is not None:
            self.at(self.now + wanted, process)

    def run(self, until, stop=lambda: False):
        while self._events and self._events[0][0] <= until and not stop():
            self.now, _, process = heapq.heappop(self._events)
            self.step(process)


class Queue:
    """Admits ``places`` processes at once, in the order in which they come; each must leave later."""

    def __init__(self, clock, places):
        self._clock, self._free, self._waiting = clock, places, deque()
        self._since, self.busy = 0.0, 0.0  # place-seconds

    def enter(self, process):
        if self._free:
            self._free -= 1
            self._clock.at(self._clock.now, process)
        else:
            self._waiting.append(process)

    def leave(self, seconds):
        """Frees the place of a process that was inside for this many seconds."""
        self.busy += seconds
        if self._waiting:
            self._clock.at(self._clock.now, self._waiting.popleft())
        else:
            self._free += 1


class Study:
    def __init__(self, clock):
        self.lock, self.created, self.recorded, self.lanes = Queue(clock, 1), 0, 0, 0


class Cluster:
    """Workers, their studies and the server.

    Args:
        times: the service times, from service_times.py.
        workers: number of workers.
        lanes: lanes per worker.
        studies: number of studies among which the workers are divided.
        trial: seconds that a trial takes in its lane.
        cores: cores of the server.
        network: seconds per round trip.
        batch: whether a worker that has the lock takes the first free trial, so that no claim is refused.
    """

    def __init__(self, times, *, workers, lanes, studies, trial, cores, network, batch=False):
        self.clock, self.dice = Clock(), random.Random(0)
        self.times, self.lanes, self.trial, self.network, self.batch = times, lanes, trial, network, batch
        self.server = Queue(self.clock, cores)
        self.studies = [Study(self.clock) for _ in range(studies)]
        self.crowded = times["together"][max(times["together"], key=int)]
        self.claims = self.refused = self.told = 0
        self.until, self.busy = 0.0, 0.0  # lane-seconds of trials
        self.workers = workers

    def run(self, seconds, *, busy, stop=lambda: False):
        """Starts all workers at once, with empty lanes or in the middle of trials."""
        self.until = seconds
        for number in range(self.workers):
            study = self.studies[number % len(self.studies)]
            study.lanes += self.lanes
            if busy:
                study.created += self.lanes
            self.clock.at(0.0, self._worker(study, busy))
        self.clock.run(seconds, stop)

    def _use(self, step, here, there):
        """A step: time in this thread, on the network and in the server."""
        yield here + ROUND_TRIPS[step] * self.network
        yield self.server
        yield there
        self.server.leave(there)

    def _line(self, step, x):
        (seconds, slope), (server_seconds, server_slope) = self.times[step]
        return self._use(step, seconds + slope * x, server_seconds + server_slope * x)

    def _worker(self, study, busy):
        clock, created, read = self.clock, study.created, study.recorded
        lanes = [clock.now] * self.lanes
        if busy:
            lanes = [self._trained(self.dice.uniform(0, self.trial)) for _ in lanes]
        fresh = 0 if busy else self.lanes  # lanes that have not had a trial yet
        heapq.heapify(lanes)
        look, beat = self.dice.uniform(0, LOOK), self.dice.uniform(0, BEAT)
        while True:
            yield max(0.0, min(look, beat, lanes[0]) - clock.now)
            if lanes[0] <= clock.now:
                heapq.heappop(lanes)
                if fresh:
                    fresh -= 1
                else:
                    yield self.times["publish"]
                    study.recorded += 1
                    read += 1
                    yield from self._use("tell", *self.crowded["tell"][1:])
                    self.told += 1
                created = yield from self._claim(study, created)
                heapq.heappush(lanes, self._trained(self.trial * self.dice.uniform(0.9, 1.1)))
            elif look <= clock.now:
                look = clock.now + LOOK
                yield (study.recorded - read) * self.times["read"] + study.recorded * self.times["list"]
                read = study.recorded
                yield from self._line("look", study.lanes)
                created = study.created
            else:
                beat = clock.now + BEAT
                yield from self._line("beat", self.lanes)
                yield from self._line("reap", study.lanes)

    def _trained(self, seconds):
        """The time at which a trial that begins now will end."""
        end = self.clock.now + seconds
        self.busy += min(end, self.until) - self.clock.now
        return end

    def _claim(self, study, known):
        while True:
            yield study.lock
            began = self.clock.now
            refused = study.created > known and not self.batch
            if refused:
                yield from self._use("refused", *self.crowded["refused"][1:])
            else:
                # Every worker proposes every trial: here, those that others have claimed in the meantime.
                yield (study.created - known) * self.times["random"]
                yield from self._use("claim", *self.crowded["claim"][1:])
                study.created += 1
            self.refused += refused
            known = study.created
            study.lock.leave(self.clock.now - began)
            if not refused:
                self.claims += 1
                return known


def steady(options, times, **settings):
    """Simulates workers in the middle of a sweep."""
    cluster = Cluster(times, cores=options.cores, network=options.network, lanes=options.lanes, **settings)
    cluster.run(options.seconds, busy=True)
    capacity = settings["workers"] * options.lanes * options.seconds
    return {
        "lanes busy": cluster.busy / capacity,
        "trials/s": cluster.told / options.seconds,
        "server cores": cluster.server.busy / options.seconds,
        "lock held": max(study.lock.busy for study in cluster.studies) / options.seconds,
        "refused": cluster.refused / max(cluster.claims, 1),
    }


def at_once(options, times, **settings):
    """The share of lanes that have a trial after all workers began at once, and after how many seconds."""
    cluster = Cluster(
        times, cores=options.cores, network=options.network, lanes=options.lanes, trial=1e9, **settings
    )
    lanes = settings["workers"] * options.lanes
    cluster.run(options.seconds, busy=False, stop=lambda: cluster.claims == lanes)
    return cluster.claims / lanes, cluster.clock.now


def check(options, times):
    """Prints the refused claims of workers that do nothing but claim, as measured and as simulated."""
    print("refused claims per successful one, of workers that do nothing but claim")
    print(f"{'workers':>12} {'measured':>10} {'simulated':>10}")
    for workers, steps in times["together"].items():
        cluster = Cluster(
            times, workers=int(workers), lanes=1, studies=1, trial=0, cores=options.cores, network=0.0
        )
        cluster.run(10, busy=False)
        measured = steps["refused"][0] if "refused" in steps else 0
        print(f"{workers:>12} {measured:10.1f} {cluster.refused / cluster.claims:10.1f}")


def table(options, times, *, batch):
    how = "if a claim took the first free trial under one lock" if batch else "as implemented"
    print(f"\n{how}: workers in the middle of sweeps")
    columns = ("lanes busy", "trials/s", "server cores", "lock held", "refused")
    print(f"{'trial':>8} {'workers':>8} {'studies':>8} " + " ".join(f"{name:>12}" for name in columns))
    for trial, workers, studies in product(options.trials, options.workers, options.studies):
        result = steady(options, times, workers=workers, studies=studies, trial=trial, batch=batch)
        line = " ".join(f"{result[name]:12.3g}" for name in columns)
        print(f"{trial:7g}s {workers:8} {studies:8} {line}", flush=True)
    print("the same, if all workers begin at once")
    print(f"{'workers':>8} {'studies':>8} {'lanes with a trial':>20} {'after seconds':>15}")
    for workers, studies in product(options.workers, options.studies):
        share, seconds = at_once(options, times, workers=workers, studies=studies, batch=batch)
        print(f"{workers:8} {studies:8} {share:20.0%} {seconds:15.3g}", flush=True)


def limits(options, times):
    """Prints the limits of a single study and of a single worker."""
    _, in_worker, in_server = times["together"]["1"]["claim"]
    print(
        f"\nclaims per second in one study: "
        f"{1 / (in_worker + in_server + ROUND_TRIPS['claim'] * options.network):.0f}"
    )
    print(f"records of other workers that one worker can read per second: {1 / times['read']:.0f}")
    print("TPE proposals that one worker can make per second")
    for told in (500, 5000):
        print(f"{told:8} told trials: {1 / (times['tpe'][0] + times['tpe'][1] * told):.0f}")
    print("milliseconds per look: in the worker, in the server")
    (in_worker, slope), (in_server, server_slope) = times["look"]
    for trials in (100, 1000, 4000):
        worker_ms, server_ms = 1e3 * (in_worker + slope * trials), 1e3 * (in_server + server_slope * trials)
        print(f"{trials:8} trials under way: {worker_ms:.1f}, {server_ms:.1f}")
    cores = 1e3 * (in_server + server_slope * 8) / WAITING
    print(f"server cores used by 1000 waiting workers, with 8 trials under way: {cores:.1f}")
    for files in (1000, 10000):
        print(f"{files:8} records not in the tables: {1e3 * files * times['list']:.0f}, 0")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--times", type=Path, help="service times measured by service_times.py")
    parser.add_argument("--workers", type=int, nargs="+", default=[4, 16, 100, 1000])
    parser.add_argument("--studies", type=int, nargs="+", default=[1, 7])
    parser.add_argument("--trials", type=float, nargs="+", default=[0.1, 60, 3600], help="seconds each")
    parser.add_argument("--lanes", type=int, default=4, help="per worker")
    parser.add_argument("--cores", type=int, default=4, help="of the server")
    parser.add_argument("--network", type=float, default=2e-4, help="seconds of a round trip")
    parser.add_argument("--seconds", type=float, default=60, help="simulated")
    options = parser.parse_args()
    if options.times:
        times = json.loads(options.times.read_text())
    else:
        from service_times import measured

        times = measured()
    check(options, times)
    for batch in (False, True):
        table(options, times, batch=batch)
    limits(options, times)


if __name__ == "__main__":
    main()
