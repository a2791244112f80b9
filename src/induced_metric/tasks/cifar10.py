"""Classification of small colour images with ResNet-18 (paper, Section 3.3)."""

from collections.abc import Sequence
from typing import Any, Unpack

import jax
import jax.numpy as jnp

from induced_metric.data import load
from induced_metric.models.resnet import ResNet
from induced_metric.tasks.base import Batch, ModelState, Params, RunSettings, Task, model_dtype
from induced_metric.tasks.images import classification_metrics, image_splits, pixels


def cifar10(
    *,
    train_examples: int,
    validation_examples: int,
    test_examples: int,
    widths: Sequence[int],
    blocks: int,
    **run: Unpack[RunSettings],
) -> Task:
    """Builds the task: cross-entropy of ResNet-18 (N = 11,178,762 parameters) on pixels in [0, 1].

    BatchNorm trains on the statistics of each batch, keeps moving averages as the model state and evaluates
    with them. A batch can therefore not be divided: a ``micro_batch`` is refused.

    Args:
        train_examples: training examples, the first of the training split in TFDS's order.
        validation_examples: validation examples, the next of the training split; the published runs use none.
        test_examples: test examples, the first of the test split in TFDS's order; the published runs evaluate
            nine whole batches of 1024.
        widths: channels of each stage.
        blocks: residual blocks in each stage.
        run: see ``RunSettings``; the objective is maximised.

    Raises:
        ValueError: for a setting out of range.
        UserError: if the data set is missing, damaged, or too small a subset.
    """
    splits = image_splits(
        load("cifar10"), train=train_examples, validation=validation_examples, test=test_examples
    )
    model = ResNet(tuple(widths), blocks, dtype=model_dtype(run))

    def init(key: jax.Array) -> tuple[Params, ModelState]:
        shape = splits["train"][0].shape[1:]
        variables = model.init(key, jnp.zeros((1, *shape)), train=False)
        return variables["params"], variables["batch_stats"]

    def loss(params: Params, model_state: ModelState, batch: Batch, _: Any) -> Any:
        logits, changed = model.apply(
            {"params": params, "batch_stats": model_state},
            pixels(batch[0]),
            train=True,
            mutable=["batch_stats"],
        )
        metrics = classification_metrics(logits, batch)
        return metrics.pop("loss"), (changed["batch_stats"], metrics)

    def metrics(params: Params, model_state: ModelState, batch: Batch) -> dict[str, jax.Array]:
        variables = {"params": params, "batch_stats": model_state}
        return classification_metrics(model.apply(variables, pixels(batch[0]), train=False), batch)

    return Task(
        splits=splits,
        init=init,
        loss=loss,
        metrics=metrics,
        direction="maximize",
        couples_examples=True,
        **run,
    )
