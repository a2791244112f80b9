"""Measures several ways to do the same work in turn, so that noise of the machine affects all of them alike.

Each side has its own process, or several that share the work of a round, with the XLA settings that suit it.
A process is a function that takes a pipe, makes its preparations and then calls ``serve``.
"""

import multiprocessing
import resource
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

_CONF = Path(__file__).parents[1] / "conf"
_UNITS_PER_GIB = 2**30 if sys.platform == "darwin" else 2**20  # ru_maxrss is in bytes on macOS, else in KiB


class Measured(NamedTuple):
    seconds: list[float]  # per unit of work, by round
    peak: float  # the most memory that its processes held, in GiB

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


def serve(requests: Connection, work: Callable[[], object], *, units: float = 1) -> None:
    """Does the work, which must wait for its result, once per round and reports the seconds per unit.

    The first time, which compiles, does not count.
    """
    work()
    requests.send(None)
    while requests.recv():
        start = time.perf_counter()
        work()
        requests.send((time.perf_counter() - start) / units)
    requests.send(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _UNITS_PER_GIB)


def serve_lanes(
    requests: Connection,
    make_task: Callable[[], Any],
    optimizer_name: str,
    hyperparameters: Mapping[str, float],
    *,
    trials: int,
    epochs: int,
    units: float,
    alone: bool = False,
) -> None:
    """Serves this many trials on the lane engine, used as in a sweep but without Optuna and records.

    With ``alone``, the engine is used as in train.py: one lane on one device, which reports every epoch.
    """
    from induced_metric import xla

    xla.configure()
    import induced_metric
    from induced_metric.lanes import Assignment
    from induced_metric.lanes.placement import Placement
    from induced_metric.training.program import TrialProgram

    placement = Placement(trials=1) if alone else Placement()
    optimizer = getattr(induced_metric, optimizer_name)
    with TrialProgram(make_task(), optimizer, hyperparameters).lanes(placement) as lanes:

        def work() -> None:
            assignments = (Assignment(k, hyperparameters, k, epochs) for k in range(trials))
            lanes.run_all(assignments, stride=1 if alone else None)

        serve(requests, work, units=units)


def configured(name: str, **changes: Any) -> Any:
    """The task of ``conf/task/<name>.yaml`` with some settings changed."""
    import hydra

    with hydra.initialize_config_dir(str(_CONF), version_base="1.3"):
        cfg = hydra.compose("config", [f"task={name}"])
    return hydra.utils.instantiate(cfg.task, _convert_="all", **changes)


Process = Callable[[Connection], None]


def interleave(sides: Mapping[str, Process | Sequence[Process]], *, rounds: int) -> dict[str, Measured]:
    """Measures every side once per round, after all are prepared; of several processes the slowest counts."""
    context = multiprocessing.get_context("spawn")
    pipes: dict[str, list[Connection]] = {}
    try:
        for name, side in sides.items():
            pipes[name] = []
            for process in side if isinstance(side, Sequence) else [side]:
                parent_end, child_end = context.Pipe()
                pipes[name].append(parent_end)
                context.Process(target=process, args=(child_end,), daemon=True).start()
                child_end.close()  # so that the end of the process is noticed here
            _answers(pipes[name])
        seconds: dict[str, list[float]] = {name: [] for name in sides}
        for _ in range(rounds):
            for name in sides:
                _ask(pipes[name], True)
                seconds[name].append(max(_answers(pipes[name])))
        measured = {}
        for name in sides:
            _ask(pipes[name], False)
            measured[name] = Measured(seconds[name], sum(_answers(pipes[name])))
        return measured
    except (EOFError, ConnectionError):
        sys.exit(f"{name} failed: its error is above")


def _ask(pipes: Sequence[Connection], go_on: bool) -> None:
    for pipe in pipes:
        pipe.send(go_on)


def _answers(pipes: Sequence[Connection]) -> list[Any]:
    return [pipe.recv() for pipe in pipes]
