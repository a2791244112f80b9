"""Where the workers of a sweep run: the configuration group ``launcher``.

A worker is the user's command with ``worker=<name> launcher=none`` added. A launcher starts a number of
workers. It has one method, ``launch(sweep)``, which returns the exit code.
"""

import functools
import itertools
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from omegaconf import DictConfig
from pydantic import Field

from induced_metric import xla
from induced_metric.cli import app, values
from induced_metric.cli.storages import Database, storages
from induced_metric.cli.supervisor import Restarts, Supervisor, Worker, noted
from induced_metric.errors import UserError

Count = Annotated[int, Field(ge=1)]
_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*"
_CARD = re.compile(r"\d+$|GPU-|MIG-")
_FRACTIONS = ("XLA_CLIENT_MEM_FRACTION", "XLA_PYTHON_CLIENT_MEM_FRACTION")  # the second is the older name
_OURS = re.compile(r"[+~]*(launcher|worker)([.=@]|$)")


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """What a launcher starts.

    Attributes:
        command: the command of a worker, without its name.
        logs: the directory of the workers' logs.
        shared: whether several processes can work on the studies.
        devices: the setting ``lanes.devices`` as the user gave it.
    """

    command: Sequence[str]
    logs: Path
    shared: bool = True
    devices: int | str = "auto"

    def worker(self, name: str, *settings: str, **about: Any) -> Worker:
        """A worker with this name and with settings of its own."""
        command = [*self.command, *settings, "launcher=none", f"worker={name}"]
        return Worker(name=name, command=command, log=self.logs / f"{name}.log", **about)

    def check(self, workers: int) -> None:
        """Raises UserError if this many workers cannot share the studies."""
        if workers > 1 and not self.shared:
            raise UserError(
                f"launcher.workers={workers} needs storage=postgresql: the journal is for one process"
            )


def placed(task: Callable[[DictConfig], None]) -> Callable[[DictConfig], None]:
    """A Hydra job that does ``task`` in this process or, once for all jobs, starts workers that do it."""

    @functools.wraps(task)
    def job(cfg: DictConfig) -> None:
        name = cfg.worker
        if name is not None and not re.fullmatch(_NAME, str(name)):
            raise UserError(f"worker must be a name of letters, digits, '.', '_' and '-', got {name!r}")
        cfg.worker = None if name is None else str(name)
        chosen = values.plain(cfg.launcher)
        if chosen.get("_target_") is None:
            return task(cfg)
        create: Any = values.target(chosen, "launcher")
        with values.sentences("launcher"):
            launcher = values.settings(create, chosen, "launcher")
        storage = storages(cfg)
        if isinstance(storage, Database):
            storage.url()  # if it is missing, fail now: on a cluster each worker would, perhaps hours later
        sweep = Sweep(
            command=command(),
            logs=app.results(cfg) / "workers",
            shared=isinstance(storage, Database),
            devices=cfg.lanes.devices,
        )
        # Exit instead of returning to Hydra's next job: each worker runs the jobs of all optimisers.
        raise SystemExit(launcher.launch(sweep))

    return job


def command() -> list[str]:
    """The command line of this process, without the words for the launcher and the worker's name."""
    words = sys.argv[1:]
    start = sys.orig_argv[1 : len(sys.orig_argv) - len(words)]
    return [sys.executable, *start, *(word for word in words if not _OURS.match(word))]


@dataclass(frozen=True, kw_only=True)
class Local(Restarts):
    """Runs workers on this machine and waits for them.

    Attributes:
        workers: the number of workers.
        prefix: the prefix of their names; None takes the machine's name.
        pin: give each worker cores of its own. XLA's threads use every core that their process may use,
            however few devices it defines on them.
        card_memory: if several workers share a card, the fraction of its memory that they use together.
    """

    workers: Count
    prefix: Annotated[str, Field(pattern=f"^{_NAME}$")] | None
    pin: bool
    card_memory: Annotated[float, Field(gt=0, le=1)]

    def launch(self, sweep: Sweep) -> int:
        """Runs the workers to their end; SIGTERM and Ctrl-C stop them in an orderly way.

        Returns:
            0 when all are done or after SIGTERM, 130 after Ctrl-C, 2 if one refused to run, 1 if one failed.
        """
        sweep.check(self.workers)
        workers = self._workers(sweep)
        with Supervisor(workers, self) as supervisor, noted(signal.SIGTERM, signal.SIGINT) as came:
            code = supervisor.run(came)
        if came:
            print("stopped; the same command continues")
            return 130 if signal.SIGINT in came else 0
        return code

    def _workers(self, sweep: Sweep) -> list[Worker]:
        prefix = self.prefix or re.sub(r"[^A-Za-z0-9]+", "-", socket.gethostname().partition(".")[0])
        count, allowed = xla.cores(), _affinity()
        # Under a CPU quota, do not pin: every process limited in this way would crowd onto the first cores.
        pinned = self.pin and len(allowed) == count
        settings = []
        if not pinned and sweep.devices == "auto":
            settings = [f"lanes.devices={max(1, count // self.workers)}"]
        cards = _cards()
        workers = []
        for index in range(self.workers):
            cores = allowed[index :: self.workers] or [allowed[index % len(allowed)]] if pinned else []
            about = {"cores": frozenset(cores), "environment": self._own(cards, index)}
            workers.append(sweep.worker(f"{prefix}-{index}", *settings, **about))
        return workers

    def _own(self, cards: Sequence[str], index: int) -> dict[str, str]:
        """The environment variables that give a worker its own cards, or its share of one."""
        if not cards or self.workers == 1:
            return {}
        # A JAX process takes the memory of all cards that it sees.
        assigned = cards[index :: self.workers] or [cards[index % len(cards)]]
        environment = {"CUDA_VISIBLE_DEVICES": ",".join(assigned)}
        sharing = len(range(index % len(cards), self.workers, len(cards)))
        if sharing > 1 and not any(os.environ.get(name) for name in _FRACTIONS):
            environment[_FRACTIONS[0]] = f"{self.card_memory / sharing:.3f}"
        return environment


def _affinity() -> list[int]:
    """The cores on which this process may run, if the system can tell."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def _cards() -> list[str]:
    """The NVIDIA cards that this process may use, by the names that CUDA_VISIBLE_DEVICES takes."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        # CUDA uses the cards before the first name that it does not know, such as -1 or SLURM's NoDevFiles.
        return list(itertools.takewhile(_CARD.match, map(str.strip, chosen.split(","))))
    query = shutil.which("nvidia-smi")
    if query is None:
        return []
    listing = subprocess.run(
        [query, "--query-gpu=uuid", "--format=csv,noheader"], capture_output=True, text=True, check=False
    )
    return [line.strip() for line in listing.stdout.splitlines() if line.startswith("GPU-")]
