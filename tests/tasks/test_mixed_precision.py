"""bfloat16 in the models, and what stays float32."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from induced_metric.models.dropout import StepKeys
from induced_metric.models.gpt import GPT
from induced_metric.models.mlp import MLP
from induced_metric.models.resnet import ResNet

pytestmark = pytest.mark.slow

MODELS = {
    "mlp": (lambda dtype: MLP((8, 3), dtype), jnp.ones((4, 6)), {}),
    "resnet": (lambda dtype: ResNet((4, 8), 1, 3, dtype), jnp.ones((4, 8, 8, 3)), {"train": False}),
    "gpt": (
        lambda dtype: GPT(
            vocab_size=11, context=12, layers=1, heads=2, embed_dim=8, dropout=0.1, dtype=dtype
        ),
        jnp.arange(24).reshape(2, 12) % 11,
        {},
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_bfloat16_computes_in_16_bits_with_parameters_in_32(name):
    make, inputs, options = MODELS[name]
    plain, mixed = make(None), make("bfloat16")
    variables = plain.init(jax.random.key(0), inputs, **options)
    of_mixed = jax.eval_shape(lambda key: mixed.init(key, inputs, **options), jax.random.key(0))
    assert jax.tree.map(jnp.shape, variables) == jax.tree.map(jnp.shape, of_mixed)
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
    expected, logits = (
        jax.jit(model.apply, static_argnames=[*options])(variables, inputs, **options)
        for model in (plain, mixed)
    )
    assert logits.dtype == jnp.bfloat16
    np.testing.assert_allclose(logits.astype(jnp.float32), expected, rtol=0.1, atol=0.1)
    gradients = jax.eval_shape(
        jax.grad(lambda v: mixed.apply(v, inputs, **options).astype(jnp.float32).sum()), variables
    )
    assert {leaf.dtype for leaf in jax.tree.leaves(gradients)} == {jnp.dtype("float32")}


def test_dropout_keeps_16_bits():
    make, inputs, _ = MODELS["gpt"]
    model = make("bfloat16")
    key = jax.random.key(1)
    params = model.init(key, inputs)
    assert model.apply(params, inputs, StepKeys.of(key, 2)).dtype == jnp.bfloat16


@pytest.mark.parametrize(
    "name",
    ["mnist", *(pytest.param(name, marks=pytest.mark.exhaustive) for name in ("cifar10", "shakespeare"))],
)
def test_a_task_learns_in_bfloat16(build, start, name):
    task = build(name, precision="bfloat16")
    trial = start(task, learning_rate=0.05)
    losses = [trial.epoch()["train/minibatch_loss"] for _ in range(4)]
    assert losses[-1] < losses[0]
    assert {leaf.dtype for leaf in jax.tree.leaves(trial.state.params)} == {jnp.dtype("float32")}
