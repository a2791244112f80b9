"""Handwritten digits by a small MLP (paper, Section 3.3)."""

from collections.abc import Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp

from induced_metric.data import load
from induced_metric.models.mlp import MLP
from induced_metric.tasks.base import Batch, ModelState, Params, Task
from induced_metric.tasks.images import classification_metrics, image_splits, pixels


def mnist(
    *,
    name: str = "mnist",
    epochs: int = 200,
    batch_size: int = 1024,
    micro_batch: int | None = None,
    train_examples: int = 60_000,
    validation_examples: int = 0,
    test_examples: int = 9216,
    widths: Sequence[int] = (64, 64, 10),
    compute_dtype: Literal["bfloat16"] | None = None,
    objective: str = "test/accuracy",
    evaluated: Sequence[str] = ("train", "test"),
    shuffle: Literal["once", "every_epoch"] = "once",
) -> Task:
    """Builds the task: cross-entropy of an MLP 784-64-64-10 (N = 55,050 parameters) on pixels in [0, 1].

    Args:
        name: of the task.
        epochs: of a trial.
        batch_size: 58 batches an epoch of 1024, the rest of the training split dropped.
        micro_batch: see ``Task``.
        train_examples: the first of the training split in TFDS's order.
        validation_examples: the next of the training split, none as published.
        test_examples: the first of the test split in TFDS's order; the published runs evaluate nine whole
            batches of 1024.
        widths: of the layers.
        compute_dtype: bfloat16 for mixed precision: the model computes in it; parameters, their averages and
            the loss stay float32.
        objective: what is maximised.
        evaluated: splits measured after every epoch.
        shuffle: once a trial or every epoch.

    Raises:
        ValueError: for a setting out of range.
        UserError: if the data set is missing or damaged.
    """
    splits = image_splits(
        load("mnist"), train=train_examples, validation=validation_examples, test=test_examples
    )
    model = MLP(tuple(widths), compute_dtype)

    def logits(params: Params, batch: Batch) -> jax.Array:
        images, _ = batch
        return model.apply({"params": params}, pixels(images))

    def init(key: jax.Array) -> tuple[Params, ModelState]:
        features = splits["train"][0][0].size
        return model.init(key, jnp.zeros((1, features)))["params"], {}

    def loss(params: Params, model_state: ModelState, batch: Batch, _: Any) -> Any:
        metrics = classification_metrics(logits(params, batch), batch)
        return metrics.pop("loss"), (model_state, metrics)

    return Task(
        name=name,
        splits={
            split: (images.reshape(len(images), -1), labels) for split, (images, labels) in splits.items()
        },
        init=init,
        loss=loss,
        metrics=lambda params, _, batch: classification_metrics(logits(params, batch), batch),
        evaluated=tuple(evaluated),
        objective=objective,
        direction="maximize",
        epochs=epochs,
        batch_size=batch_size,
        micro_batch=micro_batch,
        shuffle=shuffle,
    )
