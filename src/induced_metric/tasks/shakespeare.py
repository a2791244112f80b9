"""Prediction of Shakespeare's next character with a small GPT (paper, Section 3.4)."""

from typing import Any, Unpack

import jax
import jax.numpy as jnp
import numpy as np

from induced_metric.data import load
from induced_metric.models.dropout import StepKeys
from induced_metric.models.gpt import GPT
from induced_metric.models.losses import cross_entropy
from induced_metric.tasks.base import Batch, ModelState, Params, RunSettings, Task, model_dtype

_CPU_SEQUENCES = 8  # the activations of this many fit a CPU's caches


def windows(tokens: np.ndarray, context: int) -> np.ndarray:
    """Cuts a text into non-overlapping windows of ``context`` tokens, each with the token that follows it.

    Returns:
        An array of shape [windows, context + 1]; a remainder is dropped.
    """
    count = (len(tokens) - 1) // context
    starts = context * np.arange(count)
    return tokens[starts[:, None] + np.arange(context + 1)]


def shakespeare(
    *,
    train_sequences: int | None,
    evaluated_sequences: int | None,
    test_split: bool,
    context: int,
    layers: int,
    heads: int,
    embed_dim: int,
    dropout: float,
    **run: Unpack[RunSettings],
) -> Task:
    """Builds the task: next-character cross-entropy of a GPT (N = 842,817 parameters).

    A perplexity is exp of the mean cross-entropy in nats over all evaluated tokens.

    Args:
        train_sequences: number of training sequences, taken from the beginning; None takes all (3,921
            sequences of 256 characters).
        evaluated_sequences: how many sequences of each split other than ``train`` a trial draws, from its
            seed, to evaluate on; None takes all.
        test_split: False keeps the last tenth of the text for validation, as published; True makes the
            last twentieth a test split, as TFDS does.
        context: characters per sequence.
        layers: layers of the model.
        heads: heads of each attention layer.
        embed_dim: units of the embedding; a multiple of ``heads``.
        dropout: dropout rate.
        run: see ``RunSettings``; the objective is minimised.

    Raises:
        ValueError: for a setting out of range.
        UserError: if the data set is missing or damaged.
    """
    _check(context=context, layers=layers, heads=heads, embed_dim=embed_dim, dropout=dropout)
    texts = {split: arrays["text"] for split, arrays in load("tiny_shakespeare").splits.items()}
    characters, tokens = np.unique(np.concatenate(list(texts.values())), return_inverse=True)
    ends = np.cumsum([len(text) for text in texts.values()])
    parts = dict(zip(texts, np.split(tokens.astype(np.uint8), ends[:-1]), strict=True))
    if not test_split:
        parts["validation"] = np.concatenate([parts["validation"], parts.pop("test")])
    splits = {split: windows(part, context) for split, part in parts.items()}
    if train_sequences is not None:
        if not 1 <= train_sequences <= len(splits["train"]):
            raise ValueError(
                f"train_sequences must be between 1 and {len(splits['train'])}, got {train_sequences}"
            )
        splits["train"] = splits["train"][:train_sequences]
    model = GPT(
        vocab_size=len(characters),
        context=context,
        layers=layers,
        heads=heads,
        embed_dim=embed_dim,
        dropout=dropout,
        dtype=model_dtype(run),
    )

    def mean_loss(params: Params, batch: Batch, keys: StepKeys | None) -> jax.Array:
        sequences = jnp.asarray(batch).astype(jnp.int32)
        return cross_entropy(model.apply({"params": params}, sequences[:, :-1], keys), sequences[:, 1:])

    def loss(params: Params, model_state: ModelState, batch: Batch, keys: StepKeys) -> Any:
        return mean_loss(params, batch, keys if dropout else None), (model_state, {})

    return Task(
        splits=splits,
        init=lambda key: (model.init(key, jnp.zeros((1, context), jnp.int32))["params"], {}),
        loss=loss,
        metrics=lambda params, _, batch: {"loss": mean_loss(params, batch, None)},
        direction="minimize",
        cpu_micro_batch=_CPU_SEQUENCES,
        sampled=evaluated_sequences,
        finish=_with_perplexity,
        **run,
    )


def _with_perplexity(means: dict[str, jax.Array]) -> dict[str, jax.Array]:
    # Limit it to the largest float: a loss above 88 nats is bad, but the trial has not diverged.
    perplexity = jnp.minimum(jnp.exp(means["loss"]), np.finfo(np.float32).max)
    return {**means, "perplexity": perplexity}


def _check(*, context: int, layers: int, heads: int, embed_dim: int, dropout: float) -> None:
    if min(context, layers, heads, embed_dim) < 1:
        raise ValueError(
            "context, layers, heads and embed_dim must be >= 1, "
            f"got {context}, {layers}, {heads} and {embed_dim}"
        )
    if embed_dim % heads:
        raise ValueError(f"embed_dim must be a multiple of the {heads} heads, got {embed_dim}")
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout must be in [0, 1), got {dropout}")
