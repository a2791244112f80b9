"""What goes into lanes and what comes out of them, and the lanes of one dispatch."""

import contextlib
import functools
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import numpy as np

from induced_metric.lanes.program import Slots, State
from induced_metric.lanes.variants import Place, Static, Variant, Variants


class Assignment(NamedTuple):
    """A trial for a lane."""

    trial: Any  # the caller's handle, returned with its reports
    hyperparameters: Mapping[str, Any]
    seed: int  # 0 <= seed < 2**32
    steps: int  # steps of the whole trial
    done: int = 0  # steps done already, in an earlier run ...
    state: State = None  # ... which ended in this state


class Report(NamedTuple):
    """What a trial did in one dispatch."""

    trial: Any
    done: int  # steps so far
    metrics: Mapping[str, np.ndarray]  # of the new steps; shape=(new steps, ...)
    seconds: np.ndarray  # shape=(new steps,), shares of device time (``records``) without compilation
    halted: bool  # ``halt`` held after the last of these steps
    finished: bool  # all steps done, or halted
    state: Callable[[], State]  # copies the trial's state to the host; valid only while ``tell`` runs
    failed: Exception | None = None  # why its program cannot be made or run; the dispatch has no results


class Carried(NamedTuple):
    """The trial in a lane."""

    assignment: Assignment
    done: int  # steps so far


class Result(NamedTuple):
    """What a dispatch returned."""

    metrics: dict[str, np.ndarray]  # shape=(lanes, steps_per_dispatch, ...)
    ran: np.ndarray  # shape=(lanes,), steps run
    halted: np.ndarray  # shape=(lanes,)
    seconds: float


def slots(lanes: Sequence[Carried | None], steps: Sequence[int], names: Iterable[str]) -> Slots:
    """What a dispatch is to do: ``steps`` of the trials in lanes, with the named hyperparameters."""
    assignments = [carried.assignment if carried else None for carried in lanes]
    return Slots(
        hyperparameters={
            name: np.array([a.hyperparameters[name] if a else 0 for a in assignments], np.float32)
            for name in names
        },
        seed=np.array([a.seed if a else 0 for a in assignments], np.uint32),
        fresh=np.array([carried is not None and carried.done == 0 for carried in lanes]),
        steps=np.array(steps, np.int32),
    )


class Group:
    """The lanes of one dispatch, their state on its device, and the thread that waits for that device.

    Attributes:
        lanes: the trial in each.
        static: static values of the variant that they run; None before the first trial.
    """

    def __init__(self, variants: Variants, width: int, place: Place, worker: ThreadPoolExecutor) -> None:
        self.lanes: list[Carried | None] = [None] * width
        self.static: Static | None = None
        self._variants = variants
        self._place = place
        self._worker = worker
        self._state: State = None  # made when it is first needed
        self._restored: list[tuple[int, State]] = []  # states of resumed trials, to be put into their lanes

    @property
    def idle(self) -> bool:
        """Whether no lane carries a trial."""
        return not any(self.lanes)

    def take(self, static: Static) -> None:
        """Switches idle lanes to a variant."""
        if static != self.static:
            self.static, self._state = static, None

    def fill(self, lane: int, assignment: Assignment) -> None:
        """Puts a trial in a lane; a resumed one brings its state, a new one is initialised on the device."""
        if self.idle:
            self.take(self._variants.static(assignment.hyperparameters))
        self.lanes[lane] = Carried(assignment, assignment.done)
        if assignment.done:
            self._restored.append((lane, assignment.state))

    def steps(self, stride: int) -> list[int]:
        """Steps of each lane's trial until its next report; 0 for a lane without a trial."""
        # To the next multiple of the stride: a resumed trial is reported after the same steps as the others.
        return [min(stride - c.done % stride, c.assignment.steps - c.done) if c else 0 for c in self.lanes]

    def state_of(self, lane: int) -> State:
        """The state of one lane, on the host."""
        return jax.device_get(jax.tree.map(lambda lanes: lanes[lane], self._state))

    def compile(self) -> "Future[None]":
        """Compiles the program of the present variant."""
        return self._worker.submit(self._compile, self._variants[self._static()])

    def submit(self, slots: Slots) -> "Future[Result]":
        """Starts a dispatch."""
        return self._worker.submit(self._run, self._variants[self._static()], slots)

    def reports(self, result: Result) -> dict[int, Report]:
        """Updates the lanes with a dispatch's result; each step run gets an equal share of its seconds."""
        seconds = result.seconds / max(int(result.ran.sum()), 1)
        reports = {}
        for lane, carried in enumerate(self.lanes):
            if carried is None:
                continue
            new, halted = int(result.ran[lane]), bool(result.halted[lane])
            done = carried.done + new
            self.lanes[lane] = carried._replace(done=done)
            reports[lane] = Report(
                trial=carried.assignment.trial,
                done=done,
                metrics={name: values[lane, :new] for name, values in result.metrics.items()},
                seconds=np.full(new, seconds),
                halted=halted,
                finished=halted or done >= carried.assignment.steps,
                state=functools.partial(self.state_of, lane),
            )
        return reports

    def failures(self, error: Exception) -> dict[int, Report]:
        """Ends all trials with a dispatch's error, and drops their state, which may have been donated."""
        reports = {
            lane: Report(
                trial=carried.assignment.trial,
                done=carried.done,
                metrics={},
                seconds=np.zeros(0),
                halted=False,
                finished=True,
                state=functools.partial(self.state_of, lane),
                failed=error,
            )
            for lane, carried in enumerate(self.lanes)
            if carried is not None
        }
        self.static, self._state, self._restored = None, None, []
        return reports

    def _static(self) -> Static:
        assert self.static is not None
        return self.static

    def _context(self) -> Any:
        mesh = getattr(self._place, "mesh", None)
        return jax.set_mesh(mesh) if mesh else contextlib.nullcontext()

    def _compile(self, variant: Variant) -> None:
        with self._context():
            if self._state is None:
                self._state = variant.empty(self._place)
            self._state = variant.compile(self._place, self._state)
            for lane, state in self._restored:
                put = functools.partial(_put, lane)
                self._state = jax.tree.map(put, self._state, state)
            self._restored = []

    def _run(self, variant: Variant, slots: Slots) -> Result:
        self._compile(variant)
        start = time.perf_counter()
        with self._context():
            self._state, outputs = variant.program(self._state, slots, *variant.on(self._place))
        metrics, ran, halted = jax.device_get(jax.block_until_ready(outputs))
        return Result(metrics, ran, halted, time.perf_counter() - start)


def _put(lane: int, lanes: jax.Array, one: Any) -> jax.Array:
    return lanes.at[lane].set(one)
