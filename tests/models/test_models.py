"""The published models: sizes, initialisers, and the mathematics against plain flax."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from induced_metric.models import gpt
from induced_metric.models.dropout import StepKeys, dropout
from induced_metric.models.gpt import GPT
from induced_metric.models.mlp import MLP
from induced_metric.models.resnet import ResNet

pytestmark = pytest.mark.slow

TOKENS = jnp.arange(24).reshape(2, 12) % 11
SMALL = GPT(vocab_size=11, context=12, layers=2, heads=2, embed_dim=8, dropout=0.5)
# As published.
RESNET_18 = ResNet((64, 128, 256, 512), 2)
CHARACTERS = GPT(vocab_size=65, context=256, layers=4, heads=4, embed_dim=128, dropout=0.1)


def size(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def keys(seed, examples=2):
    return StepKeys.of(jax.random.key(seed), examples)


@pytest.mark.parametrize(
    ("model", "inputs", "options", "parameters"),
    [
        (MLP((64, 64, 10)), (1, 784), {}, 55_050),
        (RESNET_18, (1, 32, 32, 3), {"train": False}, 11_178_762),
        (CHARACTERS, (1, 256), {}, 842_817),
    ],
    ids=["mlp", "resnet", "gpt"],
)
def test_parameter_counts_are_the_published_ones(model, inputs, options, parameters):
    dtype = jnp.int32 if isinstance(model, GPT) else jnp.float32
    variables = jax.eval_shape(lambda: model.init(jax.random.key(0), jnp.zeros(inputs, dtype), **options))
    assert size(variables["params"]) == parameters


def test_muon_sees_the_published_shares_of_matrices():
    """FACTS: of ResNet-18 only the 512×10 head is 2-D, of the GPT 68%."""

    def matrices(tree):
        return sum(leaf.size for leaf in jax.tree.leaves(tree) if leaf.ndim == 2)

    images, tokens = jnp.zeros((1, 32, 32, 3)), jnp.zeros((1, 256), jnp.int32)
    resnet = jax.eval_shape(lambda: RESNET_18.init(jax.random.key(0), images, train=False))["params"]
    transformer = jax.eval_shape(lambda: CHARACTERS.init(jax.random.key(0), tokens))["params"]
    assert matrices(resnet) == 5120
    assert matrices(transformer) / size(transformer) == pytest.approx(0.68, abs=0.005)


class PlainBlock(nn.Module):
    """The block of ``SMALL`` from flax's own layers."""

    @nn.compact
    def __call__(self, x):
        mask = nn.make_causal_mask(jnp.ones(x.shape[:2]))
        y = nn.LayerNorm()(x)
        x = x + nn.MultiHeadAttention(num_heads=2)(y, mask=mask)
        y = nn.LayerNorm()(x)
        y = nn.Dense(32)(y)
        return x + nn.Dense(8)(nn.gelu(y))


class PlainGPT(nn.Module):
    @nn.compact
    def __call__(self, tokens):
        x = nn.Embed(11, 8)(tokens) + nn.Embed(12, 8)(jnp.arange(tokens.shape[1]))
        for _ in range(2):
            x = PlainBlock()(x)
        return nn.Dense(11)(nn.LayerNorm()(x))


def regrouped(params):
    """The parameters of ``SMALL`` under the names of ``PlainGPT``."""
    block = {}
    for layer in range(2):
        block[f"PlainBlock_{layer}"] = {
            "MultiHeadAttention_0": params[f"MultiHeadAttention_{layer}"],
            **{f"LayerNorm_{k}": params[f"LayerNorm_{2 * layer + k}"] for k in range(2)},
            **{f"Dense_{k}": params[f"Dense_{2 * layer + k}"] for k in range(2)},
        }
    outer = {name: params[name] for name in ("Embed_0", "Embed_1")}
    return {**outer, **block, "Dense_0": params["Dense_4"], "LayerNorm_0": params["LayerNorm_4"]}


@pytest.mark.parametrize("queries", [64, 5])
def test_gpt_is_plain_flax_with_its_gradients(monkeypatch, queries):
    """Attention in one piece, and in pieces of which the last is smaller."""
    monkeypatch.setattr(gpt, "_QUERIES", queries)
    params = SMALL.init(jax.random.key(1), TOKENS)["params"]

    def loss(apply, params):
        return jnp.sum(jnp.sin(apply({"params": params}, TOKENS)))

    ours, grads = jax.value_and_grad(lambda p: loss(SMALL.apply, p))(params)
    theirs, expected = jax.value_and_grad(lambda p: loss(PlainGPT().apply, p))(regrouped(params))
    assert float(ours) == pytest.approx(float(theirs), rel=1e-5)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5), regrouped(grads), expected
    )


def test_gpt_starts_from_flax_defaults():
    """Same initialisers: spreads of kernels and embeddings as in the plain model, biases zero."""
    wide = CHARACTERS.clone(context=64, layers=1)
    params = wide.init(jax.random.key(0), jnp.zeros((1, 64), jnp.int32))["params"]
    attention = params["MultiHeadAttention_0"]
    for kernel, fan_in in (
        (attention["query"]["kernel"], 128),
        (attention["out"]["kernel"], 128),
        (params["Dense_0"]["kernel"], 128),
        (params["Dense_1"]["kernel"], 512),
        (params["Embed_0"]["embedding"], 128),
    ):
        assert float(jnp.std(kernel)) == pytest.approx(fan_in**-0.5, rel=0.05)
    assert not jnp.any(params["Dense_0"]["bias"])


def test_pieces_of_the_attention_share_one_mask_of_dropout(monkeypatch):
    params = SMALL.init(jax.random.key(1), TOKENS)
    whole = SMALL.apply(params, TOKENS, keys(1))
    monkeypatch.setattr(gpt, "_QUERIES", 5)
    np.testing.assert_allclose(SMALL.apply(params, TOKENS, keys(1)), whole, rtol=1e-4, atol=1e-5)


def test_gpt_does_not_see_the_future():
    params = SMALL.init(jax.random.key(1), TOKENS)
    changed = TOKENS.at[:, 7].set((TOKENS[:, 7] + 1) % 11)
    before, after = SMALL.apply(params, TOKENS), SMALL.apply(params, changed)
    np.testing.assert_array_equal(before[:, :7], after[:, :7])
    assert not np.allclose(before[:, 7:], after[:, 7:])


def test_gpt_drops_at_every_place_and_only_with_keys():
    params = SMALL.init(jax.random.key(1), TOKENS)
    clean = SMALL.apply(params, TOKENS)
    np.testing.assert_array_equal(clean, SMALL.apply(params, TOKENS))
    np.testing.assert_array_equal(SMALL.apply(params, TOKENS, keys(1)), SMALL.apply(params, TOKENS, keys(1)))
    assert not np.allclose(SMALL.apply(params, TOKENS, keys(1)), SMALL.apply(params, TOKENS, keys(2)))
    # An example keeps its masks whatever it is computed with.
    both, second = keys(3), StepKeys(keys(3).shared, keys(3).examples[1:])
    np.testing.assert_allclose(
        SMALL.apply(params, TOKENS, both)[1:], SMALL.apply(params, TOKENS[1:], second), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5])
def test_dropout_drops_its_rate_and_keeps_the_mean(rate):
    x = jnp.ones((4, 101, 99))
    dropped = np.asarray(dropout(x, keys(0, 4).examples, rate))
    share = (dropped == 0).mean()
    assert share == pytest.approx(rate, abs=0.01)
    assert dropped.mean() == pytest.approx(1, abs=0.01)
    kept = np.unique(dropped[dropped != 0])
    assert kept == pytest.approx([1 / (1 - rate)], rel=1e-4)
    if rate:
        assert not np.array_equal(dropped[0], dropped[1])


class PlainResNet(nn.Module):
    """ResNet(widths=(4, 8), blocks=1) written out."""

    @nn.compact
    def __call__(self, x):
        def norm():
            return nn.BatchNorm(use_running_average=False, momentum=0.99, epsilon=1e-5)

        def normed(convolution, x):
            return norm()(convolution(x))

        x = nn.relu(normed(nn.Conv(4, (3, 3)), x))
        y = nn.relu(normed(nn.Conv(4, (3, 3)), x))
        y = normed(nn.Conv(4, (3, 3)), y)
        x = nn.relu(x + y)
        y = nn.relu(normed(nn.Conv(8, (3, 3), strides=2), x))
        y = normed(nn.Conv(8, (3, 3)), y)
        x = nn.relu(normed(nn.Conv(8, (1, 1), strides=2), x) + y)
        return nn.Dense(10)(x.mean((1, 2)))


def test_resnet_is_plain_flax():
    images = jax.random.uniform(jax.random.key(0), (3, 8, 8, 3))
    model = ResNet((4, 8), 1)
    variables = model.init(jax.random.key(1), images, train=False)
    plain = PlainResNet().init(jax.random.key(1), images)
    leaves = jax.tree.leaves(variables["params"])
    assert sorted(leaf.shape for leaf in leaves) == sorted(
        leaf.shape for leaf in jax.tree.leaves(plain["params"])
    )
    logits, changed = model.apply(variables, images, train=True, mutable=["batch_stats"])
    # Both name their layers in order; blocks nest ours one level deeper.
    params, stats = _flatten(variables["params"]), _flatten(variables["batch_stats"])
    expected, expected_stats = PlainResNet().apply(
        {"params": params, "batch_stats": stats}, images, mutable=["batch_stats"]
    )
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6),
        _flatten(changed["batch_stats"]),
        expected_stats["batch_stats"],
    )


def _flatten(tree):
    flat, counts = {}, {}

    def add(kind, leaf):
        flat[f"{kind}_{counts.setdefault(kind, 0)}"] = leaf
        counts[kind] += 1

    for kind in ("Conv", "BatchNorm", "Dense"):
        for scope in (tree, tree.get("BasicBlock_0", {}), tree.get("BasicBlock_1", {})):
            for name in sorted(scope):
                if name.startswith(f"{kind}_"):
                    add(kind, scope[name])
    return flat


def test_resnet_evaluates_with_its_moving_averages():
    images = jax.random.uniform(jax.random.key(0), (6, 8, 8, 3))
    model = ResNet((4, 8), 1)
    variables = model.init(jax.random.key(1), images, train=False)
    one = model.apply(variables, images[:1], train=False)
    np.testing.assert_allclose(model.apply(variables, images, train=False)[:1], one, rtol=1e-4, atol=1e-6)
    _, changed = model.apply(variables, images, train=True, mutable=["batch_stats"])
    before, after = (tree["batch_stats"]["BatchNorm_0"]["mean"] for tree in (variables, changed))
    stem = nn.Conv(4, (3, 3)).apply({"params": variables["params"]["Conv_0"]}, images)
    np.testing.assert_allclose(after, 0.99 * before + 0.01 * stem.mean((0, 1, 2)), rtol=1e-4, atol=1e-7)
