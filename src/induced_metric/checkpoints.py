"""Checkpoints of trials under way, by orbax: the state of a lane and the curve so far.

A checkpoint is a directory ``<directory>/<trial>/<steps done>`` that orbax renames into place when it is
whole, so a kill leaves the one before it. Arrays are saved bit for bit: a trial that goes on from a
checkpoint has the curve of one that was never interrupted.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

_STATE, _CURVE = "state", "curve"


class Checkpoint(NamedTuple):
    """A trial under way."""

    done: int  # steps
    state: Any  # of its lane
    curve: dict[str, np.ndarray]  # columns, one entry a step


class Checkpoints:
    """The newest checkpoint of each trial of a study.

    Args:
        directory: where they lie.
        every: steps between two checkpoints of a trial; 0 for none but those of an orderly stop.

    Raises:
        ValueError: for a negative ``every``.
    """

    def __init__(self, directory: str | Path, *, every: int = 0) -> None:
        if every < 0:
            raise ValueError(f"checkpoint_every must be >= 0, got {every}")
        self.every = every
        self._directory = Path(directory).absolute()

    def due(self, done: int, new: int) -> bool:
        """Whether a multiple of ``every`` lies in the last ``new`` of ``done`` steps."""
        return self.every > 0 and done // self.every > (done - new) // self.every

    def save(self, trial: str | int, state: Any, curve: Mapping[str, np.ndarray]) -> None:
        """Saves a trial after as many steps as its curve has entries; replaces its earlier checkpoint."""
        import orbax.checkpoint as ocp  # a second to import, and most runs never save

        done = len(next(iter(curve.values())))
        # Orbax does not save empty arrays, and a column's "/" would be a directory of its own.
        arrays = {f"{_STATE}.{name}": leaf for name, leaf in _named(state).items() if np.size(leaf)} | {
            f"{_CURVE}.{name.replace('/', ':')}": values for name, values in curve.items()
        }
        directory = self._directory / str(trial)
        older = _steps(directory)
        with ocp.StandardCheckpointer() as checkpointer:
            checkpointer.save(directory / str(done), arrays, force=True)
        for step in older:
            if step != done:
                shutil.rmtree(directory / str(step))

    def load(self, trial: str | int, like: Any) -> Checkpoint | None:
        """The newest checkpoint of a trial, None where it has none.

        Args:
            trial: as in ``save``.
            like: a state of the same structure; arrays or their shapes.
        """
        import orbax.checkpoint as ocp

        directory = self._directory / str(trial)
        steps = _steps(directory)
        if not steps:
            return None
        with ocp.StandardCheckpointer() as checkpointer:
            arrays = checkpointer.restore(directory / str(max(steps)))
        leaves = [
            arrays[f"{_STATE}.{name}"] if np.prod(leaf.shape, dtype=int) else np.zeros(leaf.shape, leaf.dtype)
            for name, leaf in _named(like).items()
        ]
        curve = {
            name.removeprefix(f"{_CURVE}.").replace(":", "/"): np.asarray(values)
            for name, values in arrays.items()
            if name.startswith(f"{_CURVE}.")
        }
        return Checkpoint(max(steps), jax.tree.unflatten(jax.tree.structure(like), leaves), curve)

    def remove(self, trial: str | int) -> None:
        """Removes the checkpoint of a trial that has ended."""
        directory = self._directory / str(trial)
        if directory.exists():
            shutil.rmtree(directory)


def _named(tree: Any) -> dict[str, Any]:
    """The leaves of a tree by their path, in the order of the tree."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in leaves}


def _steps(directory: Path) -> list[int]:
    return [int(path.name) for path in directory.glob("*") if path.name.isdigit()]
