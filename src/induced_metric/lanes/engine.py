"""Many trials at once in one compiled program.

The engine knows nothing of tasks or optimizers. It takes two pure functions,

    init(hyperparameters, seed, *shared) -> state
    advance(state, hyperparameters, *shared) -> (state, metrics)

and runs them in *lanes*: slots of a compiled program that carry one trial at a time and are refilled in
place when it ends. Hyperparameters are traced scalars, so the program compiles once. On CPU each device is
one core and maps its lanes one after the other; on an accelerator they are vmapped.
"""

import contextlib
import functools
import itertools
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple, Self, TypeAlias

import jax
import numpy as np

from induced_metric.lanes.program import Layout, Metrics, Slots, State, not_finite
from induced_metric.lanes.program import program as lane_program

Curve: TypeAlias = dict[str, np.ndarray]  # columns by name, one entry a step


class Assignment(NamedTuple):
    """A trial for a lane."""

    trial: Any  # the caller's handle, returned with its progress
    hyperparameters: Mapping[str, float]
    seed: int  # 0 <= seed < 2**32
    steps: int  # steps of the whole trial
    done: int = 0  # steps done already, in an earlier run ...
    state: State = None  # ... which ended in this state


class Report(NamedTuple):
    """What a trial did in one dispatch."""

    trial: Any
    done: int  # steps so far
    metrics: Mapping[str, np.ndarray]  # of the new steps; shape=(new steps, ...)
    seconds: np.ndarray  # shape=(new steps,), share of the device of each (``records``), compilation excluded
    halted: bool  # ``halt`` held after the last of these steps
    finished: bool  # all steps done, or halted
    state: Callable[[], State]  # copies the trial's state to the host; only while ``tell`` runs


def joined(parts: Sequence[Mapping[str, np.ndarray]]) -> Curve:
    """A curve in one piece."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def default_layout() -> Layout:
    """``map`` on CPU, ``vmap`` elsewhere."""
    return "map" if jax.default_backend() == "cpu" else "vmap"


class Lanes:
    """A compiled set of lanes over the given devices.

    Args:
        init: pure; the state of a new trial.
        advance: pure; one step (for training: one epoch).
        hyperparameters: their names.
        shared: pytrees that all trials read, such as the data; copied to every device once.
        devices: those to use, all by default. A sharding in a device's place keeps its trials on
            all devices of its mesh, and the program runs in the context of that mesh, so that it can share
            its work out: for data parallelism.
        width: lanes of one dispatch.
        queue: dispatches in flight per device; while one computes, the host serves the results of another.
        steps_per_dispatch: most steps a lane runs before the host hears of it.
        layout: ``map`` runs the lanes of a dispatch one after the other, so that an idle lane costs nothing
            and a trial's result does not depend on its neighbours by a single bit; ``vmap`` runs them as one
            batch; ``auto`` maps on CPU, and a single lane everywhere, and vmaps otherwise.
        halt: from the metrics of a step, whether the lane is to stop there.

    Attributes:
        layout: ``map`` or ``vmap``, whichever ``auto`` came to.
        width: lanes of a dispatch.
        queue: dispatches in flight per device.

    Raises:
        ValueError: for a number below 1 or an unknown layout.
    """

    def __init__(
        self,
        init: Callable[..., State],
        advance: Callable[..., tuple[State, Metrics]],
        *,
        hyperparameters: Sequence[str],
        shared: tuple[Any, ...] = (),
        devices: Sequence[jax.Device | jax.sharding.NamedSharding] | None = None,
        width: int = 2,
        queue: int = 2,
        steps_per_dispatch: int = 20,
        layout: Layout = "auto",
        halt: Callable[[Metrics], jax.Array] = not_finite,
    ) -> None:
        if min(width, queue, steps_per_dispatch) < 1:
            raise ValueError(
                "width, queue and steps_per_dispatch must be >= 1, "
                f"got {width}, {queue} and {steps_per_dispatch}"
            )
        if layout not in ("auto", "map", "vmap"):
            raise ValueError(f"layout must be auto, map or vmap, got {layout}")
        devices = jax.devices() if devices is None else list(devices)
        if layout == "auto":
            # One lane has nothing to be batched with, and as a batch it would train through every branch.
            layout = default_layout() if width > 1 else "map"
        self.layout, self.width, self.queue = layout, width, queue
        self.steps_per_dispatch = steps_per_dispatch
        self._names = tuple(hyperparameters)
        program = jax.jit(lane_program(init, advance, halt, steps_per_dispatch, layout), donate_argnums=0)
        idle = self._slots([None] * width, [0] * width)
        one = jax.tree.map(lambda array: array[0], idle)
        self.state_shapes = jax.eval_shape(init, one.hyperparameters, one.seed, *shared)
        self._groups = []
        self._workers = [ThreadPoolExecutor(1, thread_name_prefix=f"lanes-{device}") for device in devices]
        on_device = [jax.device_put(shared, device) for device in devices]
        for _, index in itertools.product(range(queue), range(len(devices))):
            zeros = jax.tree.map(lambda leaf: np.zeros((width, *leaf.shape), leaf.dtype), self.state_shapes)
            self._groups.append(
                _Group(
                    program=program,
                    state=jax.device_put(zeros, devices[index]),
                    shared=on_device[index],
                    worker=self._workers[index],
                    mesh=getattr(devices[index], "mesh", None),
                    lanes=[None] * width,
                )
            )
        start = time.perf_counter()
        for future in [group.submit(idle) for group in self._groups]:
            future.result()
        self.compile_seconds = time.perf_counter() - start

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Waits for the dispatches under way and ends the device threads."""
        for worker in self._workers:
            worker.shutdown(cancel_futures=True)

    @property
    def capacity(self) -> int:
        """Trials that can be under way at once."""
        return sum(len(group.lanes) for group in self._groups)

    def run(
        self,
        ask: Callable[[], Assignment | None],
        tell: Callable[[Sequence[Report]], Sequence[bool]],
        *,
        stride: int | None = None,
        stop: Callable[[], bool] = lambda: False,
    ) -> None:
        """Runs trials until ``ask`` has none left and all are finished.

        The order in which ``ask`` and ``tell`` are called follows from the trials alone and not from
        timing, so a caller that is itself deterministic gets the same run every time.

        Args:
            ask: the next trial, or None when there is none now.
            tell: hears what a dispatch did, trial by trial; False ends a trial early.
            stride: steps between two calls of ``tell`` for a trial; ``steps_per_dispatch`` by default,
                and at the most.
            stop: once true, no new dispatch starts; those under way are still told.
        """
        for group in self._groups:
            group.lanes = [None] * len(group.lanes)
        stride = min(stride or self.steps_per_dispatch, self.steps_per_dispatch)
        under_way: deque[tuple[_Group, Future[_Result]]] = deque()

        def fill(groups: Sequence[_Group]) -> None:
            # Lane by lane over all groups, so that a few trials spread over the devices.
            for lane, group in itertools.product(range(len(groups[0].lanes)), groups):
                if group.lanes[lane] is None:
                    assignment = ask()
                    if assignment is None:
                        break
                    group.fill(lane, assignment)
            for group in groups:
                # To the next multiple: a trial that goes on from between two is looked at where others are.
                steps = [
                    min(stride - c.done % stride, c.assignment.steps - c.done) if c else 0
                    for c in group.lanes
                ]
                if any(steps):
                    under_way.append((group, group.submit(self._slots(group.lanes, steps))))

        fill(self._groups)
        while under_way:
            group, future = under_way.popleft()
            reports = _reports(group, future.result())
            going_on = iter(tell(list(reports.values())))
            for lane, report in reports.items():
                if not next(going_on) or report.finished:
                    group.lanes[lane] = None
            if not stop():
                busy = [other for other, _ in under_way]
                fill([group, *(idle for idle in self._groups if idle is not group and idle not in busy)])

    def run_all(self, assignments: Iterable[Assignment], *, stride: int | None = None) -> dict[Any, Curve]:
        """Runs these trials to their ends.

        Args:
            assignments: whose handles differ.
            stride: as of ``run``.

        Returns:
            The curve of each by its handle: every metric, and ``seconds``, with one entry a step.
        """
        waiting, parts = iter(assignments), defaultdict(list)

        def tell(reports: Sequence[Report]) -> list[bool]:
            for report in reports:
                parts[report.trial].append({"seconds": report.seconds, **report.metrics})
            return [True] * len(reports)

        self.run(lambda: next(waiting, None), tell, stride=stride)
        return {trial: joined(curve) for trial, curve in parts.items()}

    def _slots(self, lanes: Sequence["_Carried | None"], steps: Sequence[int]) -> Slots:
        assignments = [carried.assignment if carried else None for carried in lanes]
        return Slots(
            hyperparameters={
                name: np.array([a.hyperparameters[name] if a else 0 for a in assignments], np.float32)
                for name in self._names
            },
            seed=np.array([a.seed if a else 0 for a in assignments], np.uint32),
            fresh=np.array([carried is not None and carried.done == 0 for carried in lanes]),
            steps=np.array(steps, np.int32),
        )


class _Carried(NamedTuple):
    """The trial in a lane."""

    assignment: Assignment
    done: int  # steps so far


class _Result(NamedTuple):
    metrics: dict[str, np.ndarray]  # shape=(lanes, steps_per_dispatch, ...)
    ran: np.ndarray  # shape=(lanes,), steps
    halted: np.ndarray  # shape=(lanes,)
    seconds: float


class _Group:
    """The lanes of one dispatch, their state on its device, and the thread that waits for that device."""

    def __init__(
        self,
        *,
        program: Callable[..., Any],
        state: State,
        shared: tuple[Any, ...],
        worker: ThreadPoolExecutor,
        mesh: jax.sharding.Mesh | None,
        lanes: list[_Carried | None],
    ) -> None:
        self.lanes = lanes
        self._program = program
        self._state = state
        self._shared = shared
        self._worker = worker
        self._mesh = mesh

    def fill(self, lane: int, assignment: Assignment | None) -> None:
        """Puts a trial in a lane; one that goes on brings its state, a new one starts on the device."""
        self.lanes[lane] = None if assignment is None else _Carried(assignment, assignment.done)
        if assignment is not None and assignment.done:
            self._state = jax.tree.map(
                lambda lanes, one: lanes.at[lane].set(one), self._state, assignment.state
            )

    def state_of(self, lane: int) -> State:
        """The state of one lane, on the host."""
        return jax.device_get(jax.tree.map(lambda lanes: lanes[lane], self._state))

    def submit(self, slots: Slots) -> "Future[_Result]":
        return self._worker.submit(self._run, slots)

    def _run(self, slots: Slots) -> _Result:
        start = time.perf_counter()
        with jax.set_mesh(self._mesh) if self._mesh else contextlib.nullcontext():
            self._state, outputs = self._program(self._state, slots, *self._shared)
        metrics, ran, halted = jax.device_get(jax.block_until_ready(outputs))
        return _Result(metrics, ran, halted, time.perf_counter() - start)


def _reports(group: _Group, result: _Result) -> dict[int, Report]:
    """Moves the lanes on by what a dispatch did; each step run is given an equal share of its seconds."""
    seconds = result.seconds / max(int(result.ran.sum()), 1)
    reports = {}
    for lane, carried in enumerate(group.lanes):
        if carried is None:
            continue
        new, halted = int(result.ran[lane]), bool(result.halted[lane])
        done = carried.done + new
        group.lanes[lane] = carried._replace(done=done)
        reports[lane] = Report(
            trial=carried.assignment.trial,
            done=done,
            metrics={name: values[lane, :new] for name, values in result.metrics.items()},
            seconds=np.full(new, seconds),
            halted=halted,
            finished=halted or done >= carried.assignment.steps,
            state=functools.partial(group.state_of, lane),
        )
    return reports
