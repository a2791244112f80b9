"""The character-level transformer of the Shakespeare task: a small pre-LN GPT."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax.typing import Dtype

from induced_metric.models.dropout import StepKeys, dropout
from induced_metric.models.gathers import Embed

_QUERIES = 64  # queries whose attention is computed at once; the fastest at length 256 on a CPU


class GPT(nn.Module):
    """Token and learned position embeddings, pre-LN blocks of causal attention and MLP, an untied head.

    As published: biases everywhere, flax's default initialisers, 3-D attention kernels (which Muon leaves to
    AdamW), dropout after the embeddings, on the attention weights (one mask for all examples and heads of a
    layer, flax's default) and at the end of both branches.

    Attributes:
        vocab_size: number of tokens.
        context: length of the longest sequence.
        layers: number of blocks.
        heads: attention heads per block.
        embed_dim: units of the embedding; the MLP has four times as many.
        dropout: fraction of the units that are dropped.
        dtype: dtype of the computation, None for the parameters' dtype; parameters and softmax stay float32.
    """

    vocab_size: int
    context: int
    layers: int
    heads: int
    embed_dim: int
    dropout: float
    dtype: Dtype | None = None

    @nn.compact
    def __call__(self, tokens: jax.Array, keys: StepKeys | None = None) -> jax.Array:
        """Maps tokens [examples, length] to logits [examples, length, vocab_size]; dropout needs keys."""

        def drop(x: jax.Array, place: int) -> jax.Array:
            return x if keys is None else dropout(x, keys.at(place).examples, self.dropout)

        dense = functools.partial(nn.Dense, dtype=self.dtype)
        norm = functools.partial(nn.LayerNorm, dtype=self.dtype)
        x = Embed(self.vocab_size, self.embed_dim, dtype=self.dtype)(tokens)
        x = x + Embed(self.context, self.embed_dim, dtype=self.dtype)(jnp.arange(tokens.shape[1]))
        x = drop(x, 0)
        for layer in range(self.layers):
            place = 3 * layer + 1
            key = None if keys is None else keys.at(place).shared
            y = nn.MultiHeadAttention(
                num_heads=self.heads,
                attention_fn=_causal_attention(key, self.dropout),
                dtype=self.dtype,
            )(norm()(x))
            x = x + drop(y, place + 1)
            y = dense(4 * self.embed_dim)(norm()(x))
            y = dense(self.embed_dim)(nn.gelu(y))
            x = x + drop(y, place + 2)
        return dense(self.vocab_size)(norm()(x))


def _causal_attention(key: jax.Array | None, rate: float) -> Any:
    """Causal softmax attention for ``flax.linen.MultiHeadAttention``; given a key, it applies dropout.

    A block of queries at a time is computed with the keys up to its last query, so that little is computed
    for the future, which has no weight.
    """

    def attend(query: jax.Array, key_: jax.Array, value: jax.Array, **_: Any) -> jax.Array:
        length, features = query.shape[-3], query.shape[-1]
        query = query / features**0.5
        mask = None
        if key is not None:
            mask = dropout(jnp.ones((1, length, length), value.dtype), key[None], rate)[0]
        outs = []
        for start in range(0, length, _QUERIES):
            end = min(start + _QUERIES, length)
            scores = jnp.einsum(
                "...qhd,...khd->...hqk",
                query[..., start:end, :, :],
                key_[..., :end, :, :],
                preferred_element_type=jnp.promote_types(query.dtype, jnp.float32),
            )
            past = jnp.tril(jnp.ones((end - start, end), bool), start)
            weights = jax.nn.softmax(jnp.where(past, scores, np.finfo(np.float32).min)).astype(value.dtype)
            if mask is not None:
                weights = weights * mask[start:end, :end]
            outs.append(jnp.einsum("...hqk,...khd->...qhd", weights, value[..., :end, :, :]))
        return jnp.concatenate(outs, axis=-3)

    return attend
