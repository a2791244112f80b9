"""Classification of handwritten digits with a small MLP (paper, Section 3.3)."""

from collections.abc import Sequence
from typing import Any, Unpack

import jax
import jax.numpy as jnp

from induced_metric.data import load
from induced_metric.models.mlp import MLP
from induced_metric.tasks.base import Batch, ModelState, Params, RunSettings, Task, model_dtype
from induced_metric.tasks.images import classification_metrics, image_splits, pixels


def mnist(
    *,
    train_examples: int,
    validation_examples: int,
    test_examples: int,
    widths: Sequence[int],
    **run: Unpack[RunSettings],
) -> Task:
    """Builds the task: cross-entropy of an MLP 784-64-64-10 (N = 55,050 parameters) on pixels in [0, 1].

    Args:
        train_examples: training examples, the first of the training split in TFDS's order.
        validation_examples: validation examples, the next of the training split; the published runs use none.
        test_examples: test examples, the first of the test split in TFDS's order; the published runs evaluate
            nine whole batches of 1024.
        widths: widths of the layers.
        run: see ``RunSettings``; the objective is maximised.

    Raises:
        ValueError: for a setting out of range.
        UserError: if the data set is missing or damaged.
    """
    splits = image_splits(
        load("mnist"), train=train_examples, validation=validation_examples, test=test_examples
    )
    model = MLP(tuple(widths), model_dtype(run))

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
        splits={
            split: (images.reshape(len(images), -1), labels) for split, (images, labels) in splits.items()
        },
        init=init,
        loss=loss,
        metrics=lambda params, _, batch: classification_metrics(logits(params, batch), batch),
        direction="maximize",
        **run,
    )
