"""What the image classification tasks share: splits in TFDS's order, pixels and accuracy."""

import jax
import jax.numpy as jnp
import numpy as np

from induced_metric.data import Dataset
from induced_metric.models.losses import cross_entropy
from induced_metric.tasks.base import Batch


def image_splits(
    dataset: Dataset, *, train: int, validation: int, test: int
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Images and labels, uint8, by split.

    Args:
        dataset: the data set.
        train: number of training examples, the first of its training split.
        validation: number of validation examples, the next of its training split; 0 leaves the split out.
        test: number of test examples, the first of its test split.

    Raises:
        ValueError: if a number is out of range, or the data set has fewer examples.
    """
    if min(train, test) < 1 or validation < 0:
        raise ValueError(
            "train_examples and test_examples must be >= 1 and validation_examples >= 0, "
            f"got {train}, {test} and {validation}"
        )
    parts = {
        "train": dataset.part("train", 0, train),
        "validation": dataset.part("train", train, validation),
        "test": dataset.part("test", 0, test),
    }
    return {
        split: (arrays["image"], arrays["label"]) for split, arrays in parts.items() if len(arrays["label"])
    }


def pixels(images: jax.Array) -> jax.Array:
    """Pixels as float32 in [0, 1]; images stay uint8 until a step needs them."""
    return jnp.asarray(images).astype(jnp.float32) / 255


def classification_metrics(logits: jax.Array, batch: Batch) -> dict[str, jax.Array]:
    """Mean cross-entropy and accuracy on a batch of (images, labels)."""
    _, labels = batch
    return {
        "loss": cross_entropy(logits, labels),
        "accuracy": jnp.mean(jnp.argmax(logits, axis=-1) == labels),
    }
