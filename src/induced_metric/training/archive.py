"""A checkpoint as one file: the state of a lane, the curve so far and their origin, in NumPy's ``.npz``."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from induced_metric.files import durable

_STATE, _CURVE, _ORIGIN, _TYPES = "state", "curve", "origin", "types"


def write(path: Path, state: Any, curve: Mapping[str, np.ndarray], origin: Mapping[str, Any]) -> None:
    """Writes a file whole or not at all; its directory must exist.

    Raises:
        DiskError: if it cannot be written.
        FileNotFoundError: if another process has removed the directory.
        TypeError: for a state with a leaf that is no array of numbers.
    """
    leaves = {name: np.asarray(leaf) for name, leaf in _named(state).items()}
    if wrong := [name for name, leaf in leaves.items() if leaf.dtype.hasobject]:
        raise TypeError(f"a state has arrays of numbers, but {wrong[0]} is {leaves[wrong[0]]!r}")
    arrays: dict[str, Any] = {f"{_STATE}.{name}": leaf for name, leaf in leaves.items()}
    arrays |= {f"{_CURVE}.{name}": values for name, values in curve.items()}
    arrays[_ORIGIN] = _encoded(origin)
    arrays[_TYPES] = _encoded({name: str(leaf.dtype) for name, leaf in leaves.items()})
    with durable(path) as file:
        np.savez(file, **arrays)


def read(path: Path) -> dict[str, np.ndarray]:
    """All arrays of a file, whose checksums are then compared.

    Raises:
        ValueError: if it is damaged.
    """
    try:
        with path.open("rb") as file, np.load(file) as arrays:
            return dict(arrays)
    except Exception as error:  # NumPy and zipfile raise a dozen kinds
        raise ValueError(next(iter(str(error).splitlines()), type(error).__name__)) from error


def origin_of(arrays: Mapping[str, np.ndarray]) -> Any:
    """What wrote the arrays of a file (``origins.origin``)."""
    return _decoded(arrays[_ORIGIN])


def unpacked(arrays: Mapping[str, np.ndarray], like: Any) -> tuple[Any, dict[str, np.ndarray]]:
    """The state and the curve that the arrays of a file are of.

    Args:
        arrays: as ``read`` returns them.
        like: a state of the same structure; arrays or their shapes.

    Raises:
        KeyError: if a leaf is missing.
        ValueError: if one has another shape or type.
    """
    types = _decoded(arrays[_TYPES])
    leaves = [
        _like(arrays[f"{_STATE}.{name}"], types[name], leaf, name) for name, leaf in _named(like).items()
    ]
    curve = {
        name.removeprefix(f"{_CURVE}."): values
        for name, values in arrays.items()
        if name.startswith(f"{_CURVE}.")
    }
    return jax.tree.unflatten(jax.tree.structure(like), leaves), curve


def _like(saved: np.ndarray, kind: str, leaf: Any, name: str) -> np.ndarray:
    """A saved leaf, of which NumPy forgets the type if that is not one of its own, such as bfloat16."""
    if (saved.shape, kind) != (leaf.shape, str(leaf.dtype)):
        raise ValueError(f"{name} is {kind}{saved.shape}, not {leaf.dtype}{leaf.shape}")
    return saved.view(leaf.dtype)


def _encoded(facts: Mapping[str, Any]) -> np.ndarray:
    return np.frombuffer(json.dumps(facts).encode(), np.uint8)


def _decoded(facts: np.ndarray) -> Any:
    return json.loads(facts.tobytes())


def _named(tree: Any) -> dict[str, Any]:
    """The leaves of a tree by path, in the order of the tree."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in leaves}
