"""The programs of an engine: one for each combination of static values, made when a trial first needs it."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import jax
import numpy as np

from induced_metric.errors import out_of_memory
from induced_metric.lanes.program import Layout, Metrics, Slots, State, program

Place: TypeAlias = jax.Device | jax.NamedSharding  # a device, or the devices that divide a trial's batches
Static: TypeAlias = tuple[Any, ...]  # values of the static hyperparameters, in their order
Shared: TypeAlias = tuple[Any, ...] | Callable[[Mapping[str, Any]], tuple[Any, ...]]


class Variant:
    """The program for one combination of static values.

    Attributes:
        program: compiled for a place when it first runs there.
        state_shapes: shapes of one lane's state; None if there is no program, because these values make it
            fail.
        shared: what all of its trials read.
    """

    def __init__(
        self,
        program: Callable[..., Any],
        state_shapes: State,
        shared: tuple[Any, ...],
        idle: Slots,
        copies: dict[tuple[Place, int], Any],
    ) -> None:
        self.program, self.state_shapes, self.shared, self._idle = program, state_shapes, shared, idle
        self._copies = copies  # of arrays, by place and array; one copy serves all variants that read it
        self.compile_seconds = 0.0
        self._failed: Exception | None = None
        self._ready: set[Place] = set()
        self._on: dict[Place, tuple[Any, ...]] = {}

    @classmethod
    def failing(cls, error: Exception) -> "Variant":
        """A variant for values that no program can be made for: it raises ``error`` wherever it is to run."""
        variant = cls(lambda *_: None, None, (), None, {})  # type: ignore[arg-type]
        variant._failed = error.with_traceback(None)
        return variant

    def empty(self, place: Place) -> State:
        """The state of lanes that carry no trial."""
        self._check()
        width = len(self._idle.seed)
        zeros = jax.tree.map(lambda leaf: np.zeros((width, *leaf.shape), leaf.dtype), self.state_shapes)
        return jax.device_put(zeros, place)

    def compile(self, place: Place, state: State) -> State:
        """Compiles for a place, once, by a dispatch that leaves the state as it is."""
        if place not in self._ready:
            self._check()
            start = time.perf_counter()
            try:
                state, outputs = self.program(state, self._idle, *self.on(place))
                jax.block_until_ready(outputs)
            except Exception as error:
                if not out_of_memory(error):  # otherwise there may be memory another time
                    self._failed = error.with_traceback(None)
                raise
            self.compile_seconds += time.perf_counter() - start
            self._ready.add(place)
        return state

    def lowered(self, platform: str) -> str:
        """What XLA is given to compile, in StableHLO, for a platform such as ``cuda``, present or not."""
        self._check()
        shapes = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct((len(self._idle.seed), *leaf.shape), leaf.dtype),
            self.state_shapes,
        )
        traced = self.program.trace(shapes, self._idle, *self.shared)  # type: ignore[attr-defined]
        return traced.lower(lowering_platforms=(platform,)).as_text()

    def _check(self) -> None:
        """Raises the error of a program that could not be compiled, instead of compiling it again."""
        if self._failed is not None:
            raise self._failed.with_traceback(None)

    def on(self, place: Place) -> tuple[Any, ...]:
        """What its trials read, copied to a place once."""
        if place not in self._on:

            def copied(array: Any) -> Any:
                if (place, id(array)) not in self._copies:
                    self._copies[place, id(array)] = jax.device_put(array, place)
                return self._copies[place, id(array)]

            self._on[place] = jax.tree.map(copied, self.shared)
        return self._on[place]


class Variants:
    """All variants of an engine.

    Args:
        init: as in ``Lanes``.
        advance: as in ``Lanes``.
        halt: as in ``Lanes``.
        steps: greatest number of steps of a dispatch.
        layout: ``map`` or ``vmap``.
        static: names of the hyperparameters whose values are static.
        shared: as in ``Lanes``.
        idle: a dispatch that does nothing.
    """

    def __init__(
        self, init: Callable[..., State], advance: Callable[..., tuple[State, Metrics]], *,
        halt: Callable[[Metrics], jax.Array], steps: int, layout: Layout, static: Sequence[str],
        shared: Shared, idle: Slots,
    ) -> None:  # fmt: skip
        self._init, self._advance, self._halt = init, advance, halt
        self._steps, self._layout = steps, layout
        self._names, self._shared, self._idle = tuple(static), shared, idle
        self._made: dict[Static, Variant] = {}
        self._copies: dict[tuple[Place, int], Any] = {}

    @property
    def compile_seconds(self) -> float:
        """Seconds of compilation, over all variants and places."""
        return sum(variant.compile_seconds for variant in self._made.values())

    def static(self, hyperparameters: Mapping[str, Any]) -> Static:
        """Which variant a trial with these hyperparameters needs."""
        return tuple(hyperparameters[name] for name in self._names)

    def __getitem__(self, static: Static) -> Variant:
        """The variant of these static values."""
        if static not in self._made:
            try:
                self._made[static] = self._make(dict(zip(self._names, static, strict=True)))
            except Exception as error:  # whatever the caller's program raises
                if not self._names:
                    raise
                self._made[static] = Variant.failing(error)
        return self._made[static]

    def _make(self, static: Mapping[str, Any]) -> Variant:
        def init(hyperparameters: Mapping[str, Any], *rest: Any) -> State:
            return self._init({**hyperparameters, **static}, *rest)

        def advance(state: State, hyperparameters: Mapping[str, Any], *rest: Any) -> Any:
            return self._advance(state, {**hyperparameters, **static}, *rest)

        shared = self._shared(static) if callable(self._shared) else self._shared
        dispatch = program(init, advance, self._halt, self._steps, self._layout)
        slot = jax.tree.map(lambda array: array[0], self._idle)
        shapes = jax.eval_shape(init, slot.hyperparameters, slot.seed, *shared)
        return Variant(jax.jit(dispatch, donate_argnums=0), shapes, shared, self._idle, self._copies)
