"""Many trials at once in one compiled program.

The engine knows nothing of tasks or optimisers. It takes two pure functions,

    init(hyperparameters, seed, *shared) -> state
    advance(state, hyperparameters, *shared) -> (state, metrics)

and runs them in *lanes*: slots of a compiled program that carry one trial at a time and are refilled in
place when it ends. Hyperparameters are traced scalars, so the program compiles once; those that are named
*static* reach the functions as plain values, and each combination of them compiles a program of its own. On
a CPU each device is one core and maps its lanes one after the other; on an accelerator they are vmapped.
"""

import itertools
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Self, TypeAlias

import jax
import numpy as np

from induced_metric.lanes.group import Assignment, Group, Report, Result, slots
from induced_metric.lanes.program import Layout, Metrics, State, not_finite
from induced_metric.lanes.variants import Place, Shared, Variants

Curve: TypeAlias = dict[str, np.ndarray]  # columns by name, one entry a step


def joined(parts: Sequence[Mapping[str, np.ndarray]]) -> Curve:
    """Joins the parts of a curve."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def default_layout() -> Layout:
    """``map`` on CPU, ``vmap`` elsewhere."""
    return "map" if jax.default_backend() == "cpu" else "vmap"


class Lanes:
    """A compiled set of lanes over the given devices.

    Args:
        init: pure function that returns the state of a new trial.
        advance: pure function that does one step (for training: one epoch).
        hyperparameters: names of those that are traced.
        static: names of those that are static.
        shared: pytrees that all trials read, such as the data, copied to every device once; or a function of
            the static values that returns them.
        devices: devices to use, all by default. A sharding in place of a device keeps its trials on all
            devices of its mesh. The program then runs in the context of that mesh, so that it can divide its
            batches (data parallelism).
        width: number of lanes in one dispatch.
        queue: dispatches in flight per device; while one computes, the host serves the results of another.
        steps_per_dispatch: greatest number of steps that a lane runs between two reports to the host.
        layout: ``map`` runs the lanes of a dispatch one after the other, so that an idle lane costs nothing
            and a trial's result does not depend on its neighbours by a single bit; ``vmap`` runs them as one
            batch; ``auto`` maps on CPU, and a single lane everywhere, and vmaps otherwise.
        halt: returns, from the metrics of a step, whether the lane is to stop there.

    Attributes:
        layout: ``map`` or ``vmap``; for ``auto``, the one that was chosen.
        width: number of lanes in a dispatch.
        queue: dispatches in flight per device.
        steps_per_dispatch: greatest number of steps of a dispatch; may be set below what it was made with.
        facts: what was measured to choose these, for the records.

    Raises:
        ValueError: for a number below 1 or an unknown layout.
    """

    def __init__(
        self,
        init: Callable[..., State],
        advance: Callable[..., tuple[State, Metrics]],
        *,
        hyperparameters: Sequence[str],
        static: Sequence[str] = (),
        shared: Shared = (),
        devices: Sequence[Place] | None = None,
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
            # vmap computes every branch of a cond; a single lane would pay for that and gain nothing.
            layout = default_layout() if width > 1 else "map"
        self.layout, self.width, self.queue = layout, width, queue
        self.steps_per_dispatch = steps_per_dispatch
        self.facts: dict[str, Any] = {}
        self._names = tuple(hyperparameters)
        self._static = bool(static)
        idle = slots([None] * width, [0] * width, self._names)
        self._variants = Variants(
            init, advance, halt=halt, steps=steps_per_dispatch, layout=layout, static=static, shared=shared,
            idle=idle,
        )  # fmt: skip
        self._workers = [ThreadPoolExecutor(1, thread_name_prefix=f"lanes-{device}") for device in devices]
        self._groups = [
            Group(self._variants, width, device, worker)
            for _ in range(queue)
            for device, worker in zip(devices, self._workers, strict=True)
        ]
        if not static:  # the only program: it compiles before the first trial is asked for
            try:
                self.compile({})
            except BaseException:
                self.close()
                raise

    @property
    def compile_seconds(self) -> float:
        """Seconds of compilation so far, over all programs and devices."""
        return self._variants.compile_seconds

    def state_shapes(self, hyperparameters: Mapping[str, Any]) -> State:
        """The shapes of the state of a trial with these hyperparameters; None if their program fails."""
        return self._variants[self._variants.static(hyperparameters)].state_shapes

    def compile(self, hyperparameters: Mapping[str, Any]) -> None:
        """Compiles the program of trials with these hyperparameters in all lanes; raises what it raises."""
        for group in self._groups:
            group.take(self._variants.static(hyperparameters))
        for future in [group.compile() for group in self._groups]:
            future.result()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.close(wait=kind is not KeyboardInterrupt)

    def close(self, *, wait: bool = True) -> None:
        """Ends the device threads after the dispatches under way; ``wait`` says whether to wait for these."""
        for worker in self._workers:
            worker.shutdown(wait=wait, cancel_futures=True)

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
            ask: returns the next trial, or None if there is none now.
            tell: takes the reports of a dispatch, one per trial; returning False ends a trial early. With
                static hyperparameters, a program that fails ends only the trials with its static values.
            stride: steps between two calls of ``tell`` for a trial; ``steps_per_dispatch`` by default
                and at most.
            stop: once it returns True, no new dispatch starts; those under way are still told.
        """
        for group in self._groups:
            group.lanes = [None] * len(group.lanes)
        stride = min(stride or self.steps_per_dispatch, self.steps_per_dispatch)
        under_way: deque[tuple[Group, Future[Result]]] = deque()
        waiting: deque[Assignment] = deque()  # asked for, but the free lanes were other variants'

        def assignment_for(group: Group) -> Assignment | None:
            """The first assignment, waiting or newly asked for, whose variant the group can run."""

            def joins(assignment: Assignment) -> bool:
                return group.idle or self._variants.static(assignment.hyperparameters) == group.static

            for place, assignment in enumerate(waiting):
                if joins(assignment):
                    del waiting[place]
                    return assignment
            while len(waiting) < self.capacity:
                asked = ask()
                if asked is None or joins(asked):
                    return asked
                waiting.append(asked)
            return None

        def fill(groups: Sequence[Group]) -> None:
            # Lane by lane over all groups, so that a few trials spread over the devices.
            for lane, group in itertools.product(range(self.width), groups):
                if group.lanes[lane] is None:
                    assignment = assignment_for(group)
                    if assignment is not None:
                        group.fill(lane, assignment)
            for group in groups:
                steps = group.steps(stride)
                if any(steps):
                    under_way.append((group, group.submit(slots(group.lanes, steps, self._names))))

        fill(self._groups)
        while under_way:
            group, future = under_way.popleft()
            error = future.exception()
            if error is None:
                reports = group.reports(future.result())
            elif self._static and isinstance(error, Exception):
                reports = group.failures(error)
            else:
                raise error
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
            assignments: each with a handle of its own.
            stride: as in ``run``.

        Returns:
            The curve of each by its handle: every metric, and ``seconds``, with one entry per step.

        Raises:
            Exception: whatever a program raises.
        """
        waiting, parts = iter(assignments), defaultdict(list)

        def tell(reports: Sequence[Report]) -> list[bool]:
            for report in reports:
                if report.failed is not None:
                    raise report.failed
                parts[report.trial].append({"seconds": report.seconds, **report.metrics})
            return [True] * len(reports)

        self.run(lambda: next(waiting, None), tell, stride=stride)
        return {trial: joined(curve) for trial, curve in parts.items()}
