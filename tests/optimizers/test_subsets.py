"""The metric pulled back to subsets of the parameters."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from families import OPTIMIZERS, OURS, parameters

import induced_metric
from induced_metric.optimizers import each_leaf, euclidean, log, scale_by_induced_metric

GRADS = {"a": jnp.array([1.0, -2.0]), "b": {"c": jnp.array([0.5]), "d": jnp.array([3.0, 0.1, -1.0])}}
LABELS = {"a": "left", "b": {"c": "right", "d": "left"}}


def flat(tree):
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)]).astype(np.float64)


def block_diagonal_update(labels, xi, slope):
    """f' l under the inverse of γ + ξ f'² l lᵀ with the products of different subsets struck out."""
    gradient = flat(GRADS)
    owner = np.repeat(
        [str(label) for label in jax.tree.leaves(labels)], [leaf.size for leaf in jax.tree.leaves(GRADS)]
    )
    outer = np.outer(gradient, gradient) * (owner[:, None] == owner)
    return np.linalg.inv(np.eye(gradient.size) + xi * slope**2 * outer) @ (slope * gradient)


@pytest.mark.parametrize(
    ("subsets", "labels"),
    [
        (None, {"a": 0, "b": {"c": 0, "d": 0}}),
        (LABELS, LABELS),
        (lambda params: LABELS, LABELS),
        (each_leaf, {"a": 0, "b": {"c": 1, "d": 2}}),
    ],
    ids=["global", "labels", "function", "each-leaf"],
)
def test_update_is_the_gradient_under_the_block_diagonal_inverse(subsets, labels):
    transformation = scale_by_induced_metric(euclidean(), 0.7, 0.8, log, subsets=subsets)
    updates, state = transformation.update(GRADS, transformation.init(GRADS), value=0.4)
    np.testing.assert_allclose(flat(updates), block_diagonal_update(labels, 0.7, 1 / 0.4), rtol=1e-5)
    groups = len(set(jax.tree.leaves(labels)))
    assert state.metric.shape == (() if subsets is None else (groups,))


@pytest.mark.parametrize("name", OURS)
def test_subsets_are_optax_partition_with_one_optimizer_a_label(name):
    labels = {"kernel": "k", "bias": "b"}
    together = OPTIMIZERS[name](subsets=labels)
    apart = optax.partition({"k": OPTIMIZERS[name](), "b": OPTIMIZERS[name]()}, labels)
    params = other = parameters()
    state, other_state = together.init(params), apart.init(other)
    for seed in range(3):
        grads = optax.tree.random_like(jax.random.key(seed), params)
        updates, state = together.update(grads, state, params, value=1.5)
        other_updates, other_state = apart.update(grads, other_state, other, value=1.5)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), updates, other_updates)


def test_one_subset_is_the_global_metric():
    one = induced_metric.sgd_rms(subsets=jax.tree.map(lambda _: "all", GRADS))
    none = induced_metric.sgd_rms()
    updates, _ = one.update(GRADS, one.init(GRADS))
    expected, _ = none.update(GRADS, none.init(GRADS))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), updates, expected)


def test_subsets_work_on_a_wrapped_optimizer_under_jit():
    optimizer = induced_metric.adamw_metric(0.1, subsets=each_leaf, weight_decay=0.0)
    state = optimizer.init(GRADS)
    updates, after = jax.jit(optimizer.update)(GRADS, state)
    assert jax.tree.structure(updates) == jax.tree.structure(GRADS)
    assert jax.tree.structure(after) == jax.tree.structure(state)


@pytest.mark.parametrize("name", ["all", "leaf"])
def test_a_name_is_no_subsets(name):
    with pytest.raises(TypeError, match=f"subsets must be None, labels .*, got '{name}'"):
        induced_metric.sgd_metric(subsets=name)
    # As is a word that labels a parameter.
    label = induced_metric.sgd_metric(subsets="kernel")
    assert label.init(jnp.ones(2))[0].metric.shape == (1,)


def test_a_wrong_number_of_labels_is_refused():
    with pytest.raises(ValueError, match="one label for each of the 3 leaves"):
        induced_metric.sgd_metric(subsets={"a": 0, "b": 1}).init(GRADS)
