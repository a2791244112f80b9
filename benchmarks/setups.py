"""The studies that the benchmarks run, and where they are kept: in a journal or in PostgreSQL."""

import contextlib
import os
import sys
from pathlib import Path

import hydra

ROOT = Path(__file__).parents[1]
BETAS = ("learning_rate", "beta1", "beta2")  # Adam's searched hyperparameters


@contextlib.contextmanager
def database(**settings):
    """A PostgreSQL server for this process; ``settings`` of postgresql.conf override those of the tests."""
    # The tests have a helper that starts one on any machine with PostgreSQL's programs.
    sys.path.insert(0, str(ROOT / "tests" / "helpers"))
    from postgres import PostgresServer, reason_for_none

    if reason := reason_for_none():
        sys.exit(reason)
    with contextlib.closing(PostgresServer(**settings)) as server:
        yield server


def cpu_seconds(server):
    """CPU seconds that all processes of a PostgreSQL server have used, including those that have ended."""
    main = int(server.execute("select pg_read_file('postmaster.pid')")[0][0].split()[0])
    processes = [stat for stat in map(_stat, filter(str.isdigit, os.listdir("/proc"))) if stat is not None]
    # utime and stime, and for the main process also those of the ended children that it has waited for.
    ticks = sum(sum(times[:4]) for pid, _, times in processes if pid == main)
    ticks += sum(sum(times[:2]) for _, parent, times in processes if parent == main)
    return ticks / os.sysconf("SC_CLK_TCK")


def _stat(pid):
    """A process's id, its parent's id and its times; None if it has ended."""
    try:
        fields = Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return int(pid), int(fields[1]), list(map(int, fields[11:15]))


def connected(url, **settings):
    """A worker's connection to a database; the caller must close it."""
    from induced_metric.studies.server import Server

    return contextlib.closing(Server(url, **{"grace": 60, "patience": 300, **settings}))


def files(directory, server=None, **settings):
    """The files of a study: with a journal or, as one worker of ``server``, with PostgreSQL."""
    from induced_metric.records import RecordStore
    from induced_metric.studies.journal import JournalStorage
    from induced_metric.studies.postgres import PostgresStorage
    from induced_metric.studies.storage import StudyFiles
    from induced_metric.training.checkpoints import Checkpoints

    directory = Path(directory)
    storage = (
        PostgresStorage(
            server=server, lock=directory / "lock", **{"claims": 5, "same_code": True, **settings}
        )
        if server
        else JournalStorage(directory / "journal")
    )
    return StudyFiles(
        storage=storage,
        records=RecordStore(directory / "records"),
        checkpoints=Checkpoints(directory / "checkpoints"),
    )


def regression_study(sampler, trials, *, epochs=None):
    """Regression with Adam as in sweeps/sweep.py: the plan, and lanes on all devices, to be closed later."""
    import induced_metric
    from induced_metric.records import StudyKey
    from induced_metric.space import Float
    from induced_metric.studies.plan import StudyPlan
    from induced_metric.training.program import TrialProgram
    from induced_metric.training.trial import Goal

    with hydra.initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        cfg = hydra.compose("sweep", ["task=regression", "optimizer=adam", f"sampler={sampler}"])
    task = hydra.utils.instantiate(cfg.task, _convert_="all", **({"epochs": epochs} if epochs else {}))
    space = {name: Float(**cfg.search_space[name]) for name in BETAS}
    plan = StudyPlan(
        key=StudyKey("paper", "regression", sampler, "adam"), search_space=space,
        fixed={"eps": 1e-8}, goal=Goal.of(task), trials=trials, seed=0,
        create_sampler=hydra.utils.instantiate(cfg.sampler.create), in_flight=cfg.sampler.in_flight,
    )  # fmt: skip
    return plan, TrialProgram(task, induced_metric.adam, dict.fromkeys([*space, "eps"], 0.5)).lanes()


def toy_plan(trials, *, name="toy", sampler="random", in_flight=None):
    """A study whose trials take no time."""
    from induced_metric.records import StudyKey
    from induced_metric.space import Float
    from induced_metric.studies.plan import StudyPlan
    from induced_metric.training.trial import Goal

    with hydra.initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        cfg = hydra.compose("sweep", [f"sampler={sampler}"])
    return StudyPlan(
        key=StudyKey("paper", "toy", name, "none"),
        search_space={"x": Float(0.0, 10.0), "y": Float(0.1, 1.0, log=True)}, fixed={},
        goal=Goal("test/loss", "minimize", 1e30, 1), trials=trials, seed=0,
        create_sampler=hydra.utils.instantiate(cfg.sampler.create), in_flight=in_flight,
    )  # fmt: skip


def toy_lanes():
    """Lanes that train the toy study on one device; the caller must close them."""
    import jax
    import jax.numpy as jnp

    from induced_metric.lanes import Lanes

    def init(_hyperparameters, _seed):
        return jnp.float32(0)

    def advance(state, h):
        return state + 1, {"test/loss": (h["x"] - 2) ** 2 + h["y"]}

    return Lanes(init, advance, hyperparameters=["x", "y"], devices=jax.devices()[:1])
