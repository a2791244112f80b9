"""MNIST and CIFAR-10: splits, pixels, loss, and settings that are refused."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from induced_metric.errors import UserError
from induced_metric.models.losses import cross_entropy
from induced_metric.tasks.images import pixels


@pytest.mark.parametrize("name", ["mnist", "cifar10"])
def test_splits_are_the_first_examples_in_the_order_of_tfds(build, name):
    everything = build(name, train_examples=100, test_examples=50)
    part = build(name, train_examples=60, validation_examples=20, test_examples=30)
    images, labels = everything.splits["train"]
    for split, there in (("train", slice(60)), ("validation", slice(60, 80))):
        np.testing.assert_array_equal(part.splits[split][0], images[there])
        np.testing.assert_array_equal(part.splits[split][1], labels[there])
    np.testing.assert_array_equal(part.splits["test"][0], everything.splits["test"][0][:30])
    assert "validation" not in everything.splits
    chosen = {"eval_splits": ("validation",), "objective": "validation/accuracy"}
    assert build(name, train_examples=50, validation_examples=20, **chosen).num_examples("validation") == 20


def test_mnist_images_are_vectors_and_cifar10_images_are_images(build):
    assert build("mnist").splits["train"][0].shape == (100, 784)
    assert build("cifar10").splits["train"][0].shape == (50, 32, 32, 3)


def test_pixels_are_divided_by_255_and_nothing_else():
    np.testing.assert_allclose(pixels(np.array([0, 51, 255], np.uint8)), [0, 0.2, 1], rtol=1e-6)


def test_cross_entropy_is_that_of_optax():
    logits = 5 * jax.random.normal(jax.random.key(0), (2, 7, 10))
    labels = jax.random.randint(jax.random.key(1), (2, 7), 0, 10).astype(jnp.uint8)
    expected = optax.softmax_cross_entropy_with_integer_labels(logits, labels.astype(jnp.int32)).mean()
    assert float(cross_entropy(logits, labels)) == pytest.approx(float(expected), rel=1e-6)
    # Far logits neither overflow nor lose the answer.
    assert float(cross_entropy(jnp.array([[1e4, 0.0]]), jnp.array([1]))) == pytest.approx(1e4)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mnist", "cifar10"])
def test_accuracy_is_the_share_of_right_answers(build, name):
    task = build(name)
    params, model_state = task.init(jax.random.key(0))
    split = task.splits["test"]
    metrics = task.metrics(params, model_state, split)
    right = [
        float(task.metrics(params, model_state, jax.tree.map(lambda a, k=k: a[k : k + 1], split))["accuracy"])
        for k in range(len(split[1]))
    ]
    assert set(right) <= {0.0, 1.0}
    assert float(metrics["accuracy"]) == pytest.approx(np.mean(right))


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"train_examples": 101}, r"101 train examples of .* holds 100 .*task.train_examples=100"),
        ({"validation_examples": 51, "train_examples": 50}, "101 train examples"),
        ({"test_examples": 51}, r"51 test examples .*task.test_examples=50"),
        ({"test_examples": 0}, "train_examples and test_examples must be >= 1"),
        ({"validation_examples": -1}, "validation_examples >= 0"),
        ({"objective": "validation/accuracy"}, "objective must be a metric of an evaluated split"),
        ({"batch_size": 101}, "batch_size must be an integer between 1 and the"),
    ],
)
@pytest.mark.parametrize("name", ["mnist", "cifar10"])
def test_settings_out_of_range_are_refused(build, name, settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        build(name, **settings)


def test_a_missing_data_set_is_said_in_one_sentence(build, monkeypatch, tmp_path):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "nowhere"))
    for name, task in (("mnist", "mnist"), ("cifar10", "cifar10"), ("tiny_shakespeare", "shakespeare")):
        with pytest.raises(UserError, match=rf"{name} is missing: .*; run make data TASK={name}, or set"):
            build(task)
