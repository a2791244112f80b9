"""``precision=``: how products are computed, the same for a model, its gradients and the optimizer's own."""

import configured
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import induced_metric
from induced_metric.training.epoch import init_trial, train_epoch

MUON = {
    "learning_rate": 0.01, "beta": 0.9, "adam_b1": 0.9, "adam_b2": 0.99, "weight_decay": 1e-4, "eps": 1e-8,
}  # fmt: skip
SMALL = {"epochs": 2, "batch_size": 16, "train_examples": 70, "test_examples": 40, "widths": (4, 4, 1)}


def small(precision):
    return configured.task("regression", precision=precision, **SMALL)


def equations(jaxpr):
    """Those of a program and of all programs inside of it."""
    for equation in jaxpr.eqns:
        yield equation
        for inner in jax.tree.leaves(
            list(equation.params.values()), is_leaf=lambda leaf: hasattr(leaf, "eqns")
        ):
            if hasattr(inner, "eqns"):
                yield from equations(getattr(inner, "jaxpr", inner))


def products(task):
    """Operand types and precision of every product of an epoch."""

    def epoch(seed, data):
        state = init_trial(task, induced_metric.muon, MUON, seed)
        return train_epoch(task, induced_metric.muon, state, MUON, data)

    program = jax.make_jaxpr(epoch)(jnp.uint32(0), task.splits)
    return {
        (str(equation.invars[0].aval.dtype), equation.params["precision"])
        for equation in equations(program.jaxpr)
        if equation.primitive.name == "dot_general"
    }


@pytest.mark.parametrize(
    ("precision", "expected"),
    [
        ("float32", {("float32", jax.lax.Precision.HIGHEST)}),
        ("tf32", {("float32", jax.lax.Precision.HIGH)}),
        # Muon's products of float32 matrices are beside those of the model.
        ("bfloat16", {("bfloat16", jax.lax.Precision.HIGH), ("float32", jax.lax.Precision.HIGH)}),
    ],
)
def test_every_product_of_a_trial_has_the_precision_of_its_task(precision, expected):
    both = {(dtype, (each, each)) for dtype, each in expected}
    assert products(small(precision)) == both
    with jax.default_matmul_precision("bfloat16"):  # whatever JAX's default is
        assert products(small(precision)) == both


def losses(task):
    hyperparameters = {"learning_rate": 0.1, "momentum": 0.9}
    state = init_trial(task, induced_metric.sgd, hyperparameters, 0)
    epoch = jax.jit(lambda state: train_epoch(task, induced_metric.sgd, state, hyperparameters, task.splits))
    found = []
    for _ in range(4):
        state, metrics = epoch(state)
        found.append(float(metrics["test/loss"]))
    assert {leaf.dtype for leaf in jax.tree.leaves(state.params)} == {jnp.dtype("float32")}
    return np.array(found)


@pytest.mark.slow
def test_a_cpu_multiplies_in_float32_whatever_less_is_allowed():
    exact, tf32, bfloat16 = (losses(small(precision)) for precision in ("float32", "tf32", "bfloat16"))
    np.testing.assert_array_equal(tf32, exact)
    assert (bfloat16 != exact).all()
    np.testing.assert_allclose(bfloat16, exact, rtol=0.1)


def test_a_precision_that_there_is_not_is_refused():
    with pytest.raises(ValueError, match="precision must be one of float32, tf32, bfloat16, got 'fp8'"):
        small("fp8")
