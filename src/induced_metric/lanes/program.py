"""The compiled program of the lane engine: one dispatch, pure and without the host."""

import functools
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp

State: TypeAlias = Any  # pytree of arrays of numbers
Metrics: TypeAlias = dict[str, Any]
Layout: TypeAlias = Literal["auto", "map", "vmap"]


class Slots(NamedTuple):
    """What one dispatch is to do; every array has an axis of lanes."""

    hyperparameters: dict[str, Any]  # float32
    seed: Any  # uint32
    fresh: Any  # bool, initialise the lane first
    steps: Any  # int32, steps to run; 0 leaves the lane alone


def not_finite(metrics: Metrics) -> jax.Array:
    """Whether any metric is not finite: the default reason to halt a lane."""
    finite = [jnp.all(jnp.isfinite(value)) for value in jax.tree.leaves(metrics)]
    return ~jnp.all(jnp.stack(finite))


def program(
    init: Callable[..., State],
    advance: Callable[..., tuple[State, Metrics]],
    halt: Callable[[Metrics], jax.Array],
    most: int,
    layout: Layout,
) -> Callable[..., Any]:
    """One dispatch: (state, slots, *shared) -> (state, (metrics, steps run, halted)), by lane."""
    write = _set if layout == "map" else _select

    def dispatch(state: State, slots: Slots, *shared: Any) -> Any:
        def start(state: State, slot: Slots) -> State:
            return jax.lax.cond(
                slot.fresh,
                lambda: init(slot.hyperparameters, slot.seed, *shared),
                lambda: state,
            )

        def proceed(state: State, slot: Slots) -> Any:
            _, shapes = jax.eval_shape(advance, state, slot.hyperparameters, *shared)
            metrics = jax.tree.map(lambda leaf: jnp.zeros((most, *leaf.shape), leaf.dtype), shapes)

            def goes_on(carry: Any) -> jax.Array:
                step, halted, *_ = carry
                return (step < slot.steps) & ~halted

            def run(carry: Any) -> Any:
                step, _, state, metrics = carry
                state, new = advance(state, slot.hyperparameters, *shared)
                metrics = jax.tree.map(functools.partial(write, step), metrics, new)
                return step + 1, halt(new), state, metrics

            step, halted, state, metrics = jax.lax.while_loop(
                goes_on, run, (jnp.int32(0), jnp.array(False), state, metrics)
            )
            return state, (metrics, step, halted)

        if layout == "map":
            return jax.lax.map(lambda lane: proceed(start(*lane), lane[1]), (state, slots))
        # vmap computes both branches of the cond in ``start``; the cond around it is a real branch, so that
        # only a dispatch in which some trial starts pays for init.
        state = jax.lax.cond(jnp.any(slots.fresh), jax.vmap(start), lambda state, _: state, state, slots)
        return jax.vmap(proceed)(state, slots)

    return dispatch


def _set(step: jax.Array, column: jax.Array, value: jax.Array) -> jax.Array:
    return column.at[step].set(value)


def _select(step: jax.Array, column: jax.Array, value: jax.Array) -> jax.Array:
    """Like ``_set``, but not a scatter under vmap, where each lane is at a step of its own."""
    mask = jnp.arange(len(column)).reshape(-1, *[1] * value.ndim) == step
    return jnp.where(mask, value, column)
