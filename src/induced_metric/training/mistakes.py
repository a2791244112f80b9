"""Mistakes in an optimiser, schedule or task, found while traced: each becomes a sentence with its place."""

import contextlib
import sysconfig
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import optax

from induced_metric.errors import UserError
from induced_metric.tasks.base import Params

_LIBRARIES_AND_OURS = (
    str(Path(__file__).parent),
    str(Path(__file__).parents[1] / "cli"),
    *(sysconfig.get_paths()[kind] for kind in ("stdlib", "purelib", "platlib")),
)


def of_the_optimizer() -> contextlib.AbstractContextManager[None]:
    """Within this context, which calls the optimiser, any error becomes a UserError.

    It names the innermost line that is not a library's or ours, and how an optimiser is called.
    """
    called = "update is called with grads, state, params and, where it takes extra arguments, value=loss"
    return _explained("optimizer", called)


def of_the_schedule() -> contextlib.AbstractContextManager[None]:
    """Within this context, which calls the schedule, any error becomes a UserError, as for an optimiser."""
    called = (
        "it is called with learning_rate, steps and its own numbers, what it returns with a step's number"
    )
    return _explained("schedule", called)


def of_the_task() -> contextlib.AbstractContextManager[None]:
    """Within this context, which trains, an error in the task becomes a UserError that names its line.

    An error in no line of a task is raised as it is.
    """
    called = (
        "init is called with a key, loss with params, state, batch and keys, "
        "metrics with params, state and batch"
    )
    return _explained("task", called, only_own=True)


@contextlib.contextmanager
def _explained(whose: str, called: str, *, only_own: bool = False) -> Iterator[None]:
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # of somebody else's code, so of any kind
        if only_own and not _own_frames(error):
            raise
        raise UserError(f"{whose}: {described(error)} ({called}; docs/adding.md)") from error


def described(error: BaseException) -> str:
    """The innermost line that is not a library's or ours, if there is one, and what was wrong there."""
    own = _own_frames(error)
    place = f"{Path(own[-1].filename).name}, line {own[-1].lineno}: " if own else ""
    first_line = str(error).partition("\n")[0]
    return f"{place}{type(error).__name__}: {first_line}"


def _own_frames(error: BaseException) -> list[traceback.FrameSummary]:
    frames = traceback.extract_tb(error.__traceback__)
    return [frame for frame in frames if not frame.filename.startswith(_LIBRARIES_AND_OURS)]


def check_update(params: Params, updates: Params, state: optax.OptState, new_state: optax.OptState) -> None:
    """Checks an optimiser while it is traced: NumPy's rules would broadcast an update of another shape.

    Raises:
        UserError: if the updates are not shaped as the parameters are, or the new state as the old one.
    """

    def check(what: str, old: Any, new: Any, describe: Callable[[Any], str]) -> None:
        expected, got = (str(jax.tree.structure(tree)) for tree in (old, new))
        if expected != got:
            raise UserError(f"the optimiser's {what}: expected the structure {expected}, got {got}")
        for (path, before), after in zip(jax.tree.leaves_with_path(old), jax.tree.leaves(new), strict=True):
            if describe(before) != describe(after):
                name = jax.tree_util.keystr(path, simple=True, separator="/")
                place = f" for {name}" if path else ""
                raise UserError(
                    f"the optimiser's {what}: expected {describe(before)}{place}, got {describe(after)}"
                )

    check("updates must have the shapes of the parameters", params, updates, lambda x: str(jnp.shape(x)))
    check(
        "state must keep its shapes and types",
        state,
        new_state,
        lambda x: f"{jnp.result_type(x)}{list(jnp.shape(x))}",
    )
