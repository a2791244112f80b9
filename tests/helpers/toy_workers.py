"""Workers of a toy study in processes of their own, which die or stop where a test wants them to."""

import contextlib
import functools
import itertools
import json
import multiprocessing
import os
import signal
import sys
import time
from pathlib import Path

from optuna.storages import RDBStorage
from optuna.storages._rdb.models import TrialModel
from optuna.trial import TrialState
from sqlalchemy.orm import Query
from toy_study import files, plan, run, serving, toy_lanes

from induced_metric.records import RecordStore
from induced_metric.records import store as store_module
from induced_metric.studies.ledger import Ledger
from induced_metric.studies.server import Server
from induced_metric.studies.tables import TrialsTable
from induced_metric.training.checkpoints import Checkpoints

# A process that has imported all of this and started no thread is copied for every worker.
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["toy_workers"])


def _state(state):
    # By identity: it is equal to the id of some trial.
    return lambda arguments, options: any(given is state for given in [*arguments, *options.values()])


def _table(name):
    return lambda arguments, options: arguments[1].name == f"{name}.parquet"


# What a worker does -> the object and the method that do it, and for which arguments.
DOINGS = {
    "create": (RDBStorage, "create_new_trial", None),
    "sign": (RDBStorage, "set_trial_user_attr", None),
    "beat": (Server, "beat", None),
    "claim": (RDBStorage, "set_trial_state_values", _state(TrialState.RUNNING)),
    "report": (RDBStorage, "set_trial_intermediate_value", None),
    "checkpoint": (Checkpoints, "save", None),
    "write": (store_module, "write_table", lambda arguments, _: arguments[1].suffix == ".written"),
    "link": (os, "link", None),
    "tell": (TrialsTable, "tell", None),
    "forget": (Checkpoints, "remove", None),
    "query": (Query, "all", None),  # also the trials, after another statement of the same session
    "lock row": (TrialModel, "find_or_raise_by_id", lambda _, options: options.get("for_update")),
    "catch up": (Ledger, "_catch_up", None),
    "release": (RDBStorage, "set_trial_state_values", _state(TrialState.WAITING)),
    "fold": (RecordStore, "compact", None),
    "fold curves": (store_module, "write_table", _table("curves")),
    "fold trials": (store_module, "write_table", _table("trials")),
    "sweep": (Path, "unlink", None),
}


def interrupt(doing, moment, number, act, setattr=setattr):
    """Has ``act`` called ``before`` or ``after`` the ``number``-th time that this process does something."""
    owner, method, meant = DOINGS[doing]
    original, times = getattr(owner, method), itertools.count(1)

    @functools.wraps(original)
    def interrupted(*arguments, **options):
        now = (meant is None or meant(arguments, options)) and next(times) == number
        if now and moment == "before":
            act()
        result = original(*arguments, **options)
        if now and moment == "after":
            act()
        return result

    setattr(owner, method, interrupted)


def send_oneself(number):
    """SIGKILL or SIGSTOP, as if from outside: nothing of this process notices."""
    os.kill(os.getpid(), number)


def _work(directory, url, server, storage, study, faults, pause, prepare, stopped):
    for fault in faults:
        *where, number = fault
        interrupt(*where, functools.partial(send_oneself, number))
    if prepare is not None:
        prepare()
    with serving(url, **server) as server, toy_lanes() as lanes:
        run(
            plan(**study), files(directory, server, **storage), lanes,
            stop=stopped.is_set, on_progress=lambda _: time.sleep(pause),
        )  # fmt: skip


def _logged(log, *arguments):
    file = Path(log).open("a", buffering=1)  # noqa: SIM115 - until the process ends
    sys.stdout = sys.stderr = file
    os.dup2(file.fileno(), 1)
    os.dup2(file.fileno(), 2)
    _work(*arguments)


class Worker:
    """A process that works on a toy study.

    Args:
        directory: the study's.
        url: of the database.
        server: settings of ``Server``.
        storage: settings of ``PostgresStorage`` and ``Checkpoints``.
        faults: ``(doing, moment, number, signal)``: what it does to itself, and when.
        pause: seconds between two dispatches.
        prepare: called in the process at first.
        study: changes of the plan.
    """

    _numbers = itertools.count()

    def __init__(
        self, directory, url, *, server=None, storage=None, faults=(), pause=0.0, prepare=None, **study
    ):
        self._stopped = _CONTEXT.Event()
        self.log_file = directory / f"worker-{next(self._numbers)}.log"
        settings = {"every": 15, "claims": 1000, **(storage or {})}
        self.process = _CONTEXT.Process(
            target=_logged,
            args=(
                self.log_file, directory, url, server or {}, settings, study, faults, pause, prepare,
                self._stopped,
            ),
        )  # fmt: skip
        self.process.start()

    def send(self, number):
        os.kill(self.process.pid, number)

    def stop(self):
        """Asks it to stop in order."""
        self._stopped.set()

    def kill(self):
        self.process.kill()
        return self.ended()

    def ended(self, seconds=60):
        """Its exit code, once it has ended."""
        self.process.join(seconds)
        assert self.process.exitcode is not None, f"it runs on: {self.log()}"
        return self.process.exitcode

    def wait_until_stopped(self, seconds=60):
        """Returns once the process has been stopped by a signal."""
        until(lambda: self._state() == "T", seconds)

    def _state(self):
        return Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()[0]

    def log(self):
        return self.log_file.read_text() if self.log_file.exists() else ""


@contextlib.contextmanager
def workers(directory, url, **common):
    """``start(**more)``, which starts a worker; none outlives the block."""
    started = []

    def start(**more):
        started.append(Worker(directory, url, **{**common, **more}))
        return started[-1]

    try:
        yield start
    finally:
        for worker in started:
            if worker.process.is_alive():
                worker.send(signal.SIGCONT)
                worker.kill()


def until(happened, seconds=60):
    """Returns once something has happened; fails if it does not."""
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "it has not happened"
        time.sleep(0.01)


def recorded(directory):
    """How many trials are on record."""
    return len(files(directory).records.trials())


def lost(records):
    """The trials during which workers were lost, by number: how many."""
    facts = {row["trial"]: json.loads(row["provenance"]) for row in records.trials.to_dict("records")}
    return {number: known["lost"] for number, known in facts.items() if "lost" in known}


def name_of(url):
    """A database's."""
    return url.rpartition("/")[2]


def states(postgres, url):
    """How many trials the database has of each state."""
    rows = postgres.execute("SELECT state, count(*) FROM trials GROUP BY state", database=name_of(url))
    return dict(rows)


def holders(postgres, url):
    """The names of the workers that have trials under way."""
    rows = postgres.execute(
        "SELECT value_json FROM trial_user_attributes JOIN trials USING (trial_id)"
        " WHERE state = 'RUNNING' AND key = 'claim'",
        database=name_of(url),
    )
    return {json.loads(text)["worker"] for (text,) in rows}


def age(postgres, url, seconds=3600):
    """Moves all heartbeats into the past of the database's clock."""
    postgres.execute(
        "UPDATE trial_heartbeats SET heartbeat = heartbeat - %s * interval '1 second'",
        seconds, database=name_of(url),
    )  # fmt: skip
