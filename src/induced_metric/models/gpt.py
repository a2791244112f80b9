"""The character-level transformer of the Shakespeare task: a small pre-LN GPT."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from induced_metric.models.layers import StepKeys, dropout


class GPT(nn.Module):
    """Token and learned position embeddings, pre-LN blocks of causal attention and MLP, an untied head.

    As published: biases everywhere, flax's default initialisers, 3-D attention kernels (which Muon leaves to
    AdamW), dropout after the embeddings, on the attention weights (one mask for all examples and heads of a
    layer, flax's default) and at the end of both branches.

    Attributes:
        vocabulary: number of tokens.
        context: longest sequence.
        layers: number of blocks.
        heads: attention heads of a block.
        width: of the embedding; the MLP's is four times that.
        dropout: share of the units that are dropped.
    """

    vocabulary: int
    context: int = 256
    layers: int = 4
    heads: int = 4
    width: int = 128
    dropout: float = 0.1

    @nn.compact
    def __call__(self, tokens: jax.Array, keys: StepKeys | None = None) -> jax.Array:
        """Maps tokens [examples, length] to logits [examples, length, vocabulary]; no keys, no dropout."""

        def drop(x: jax.Array, place: int) -> jax.Array:
            return x if keys is None else dropout(x, keys.at(place).examples, self.dropout)

        x = nn.Embed(self.vocabulary, self.width)(tokens)
        x = x + nn.Embed(self.context, self.width)(jnp.arange(tokens.shape[1]))
        x = drop(x, 0)
        for layer in range(self.layers):
            place = 3 * layer + 1
            key = None if keys is None else keys.at(place).shared
            y = nn.MultiHeadAttention(
                num_heads=self.heads, attention_fn=_causal_attention(key, self.dropout)
            )(nn.LayerNorm()(x))
            x = x + drop(y, place + 1)
            y = nn.Dense(4 * self.width)(nn.LayerNorm()(x))
            y = nn.Dense(self.width)(nn.gelu(y))
            x = x + drop(y, place + 2)
        return nn.Dense(self.vocabulary)(nn.LayerNorm()(x))


def _causal_attention(key: jax.Array | None, rate: float) -> Any:
    """Softmax attention to the past, for ``flax.linen.MultiHeadAttention``; with a key, with dropout."""

    def attend(query: jax.Array, key_: jax.Array, value: jax.Array, **_: Any) -> jax.Array:
        length, features = query.shape[-3], query.shape[-1]
        scores = jnp.einsum("...qhd,...khd->...hqk", query / jnp.sqrt(features), key_)
        past = jnp.tril(jnp.ones((length, length), bool))
        weights = jax.nn.softmax(jnp.where(past, scores, np.finfo(np.float32).min))
        if key is not None:
            mask = dropout(jnp.ones((1, length, length), weights.dtype), key[None], rate)
            weights = weights * mask[0]
        return jnp.einsum("...hqk,...khd->...qhd", weights, value)

    return attend
