"""Subsets of the parameters, each with its own metric: one label for each leaf, one value for each label."""

from typing import Any

import jax
import jax.numpy as jnp

from induced_metric.optimizers._arguments import Params, Subsets


def each_leaf(params: Params) -> Params:
    """Labels that give every leaf of the parameters its own metric: ``subsets=each_leaf``."""
    return jax.tree.map_with_path(lambda path, _: jax.tree_util.keystr(path), params)


_READY_MADE: dict[str, Subsets] = {"all": None, "leaf": each_leaf}


def named_subsets(of: str) -> Subsets:
    """Returns predefined subsets by name, for configurations, whose ``_target_`` must be callable.

    Args:
        of: ``all``, one metric for all parameters; or ``leaf``, one for each leaf.

    Raises:
        ValueError: for any other name.

    Example:
        >>> from induced_metric.optimizers import each_leaf, named_subsets
        >>> named_subsets("leaf") is each_leaf
        True
    """
    if of not in _READY_MADE:
        raise ValueError(f"of must be one of {', '.join(_READY_MADE)}, got {of!r}")
    return _READY_MADE[of]


def check_subsets(subsets: Subsets) -> None:
    """Raises TypeError for the name of predefined subsets, which would act as the label of a single array."""
    if isinstance(subsets, str) and subsets in _READY_MADE:
        raise TypeError(
            "subsets must be None, labels in the shape of the parameters, or a function that makes them, "
            f"such as each_leaf, got {subsets!r}"
        )


def labels_of(subsets: Subsets, tree: Params) -> list[Any] | None:
    """The label of each leaf, or None if all leaves share one metric.

    Raises:
        ValueError: unless there is one label for each leaf.
    """
    if subsets is None:
        return None
    labels = jax.tree.leaves(subsets(tree) if callable(subsets) else subsets)
    if len(labels) != len(jax.tree.leaves(tree)):
        raise ValueError(
            f"subsets must hold one label for each of the {len(jax.tree.leaves(tree))} leaves of the "
            f"parameters, got {len(labels)}"
        )
    return labels


def sums(labels: list[Any] | None, values: list[jax.Array], dtype: Any) -> jax.Array:
    """Sums one value per leaf over all leaves, or over the leaves of each label, with labels sorted."""
    if labels is None:
        return sum(values, start=jnp.zeros([])).astype(dtype)
    return jnp.stack(
        [
            sum(value for value, leaf_label in zip(values, labels, strict=True) if leaf_label == label)
            for label in sorted(set(labels))
        ]
    ).astype(dtype)


def leaf_scales(labels: list[Any] | None, scale: jax.Array, tree: Params) -> Params:
    """Gives every leaf of a tree the scale of its subset."""
    leaves, treedef = jax.tree.flatten(tree)
    if labels is None:
        return jax.tree.unflatten(treedef, [scale] * len(leaves))
    order = sorted(set(labels))
    return jax.tree.unflatten(treedef, [scale[order.index(label)] for label in labels])
