"""The released data sets, where TFDS_DATA_DIR holds them: contents, and the numbers of the paper."""

import configured
import numpy as np
import pytest
from real_data import there

from induced_metric import data
from induced_metric.errors import UserError

pytestmark = pytest.mark.data


@there("mnist")
def test_mnist_has_58_batches_and_9216_test_images():
    task = configured.task("mnist")
    assert task.num_examples("train") // task.batch_size == 58
    assert task.num_examples("test") == 9216
    # TFDS's order, not that of the original files, whose first ten test labels are 7 2 1 0 4 1 4 9 5 9.
    assert task.splits["test"][1][:10].tolist() == [2, 0, 4, 8, 7, 6, 0, 6, 3, 1]
    images, labels = task.splits["train"]
    assert images[labels == 1].mean() == pytest.approx(19.4, abs=0.1)  # ones are thin
    assert images[labels == 0].mean() == pytest.approx(44.2, abs=0.1)


@there("tiny_shakespeare")
def test_shakespeare_has_15_batches_and_435_validation_sequences():
    task = configured.task("shakespeare")
    assert task.num_examples("train") == 3921
    assert task.num_examples("train") // task.batch_size == 15
    assert task.num_examples("validation") == 435
    assert task.num_sampled("validation") == 256
    assert len(np.unique(task.splits["train"])) == 65
    text = data.load("tiny_shakespeare").splits["train"]["text"].tobytes().decode()
    assert text.startswith("First Citizen:\nBefore we proceed any further")


@there("cifar10")
def test_cifar10_is_whole_or_says_what_is_missing():
    dataset = data.load("cifar10")
    held = len(dataset.splits["train"]["label"])
    counts = np.bincount(dataset.splits["train"]["label"])
    assert (counts == held // 10).all()
    if held == 50_000:
        assert configured.task("cifar10").num_examples("train") // 1024 == 48
    else:
        with pytest.raises(UserError, match=r"50,000 train examples .* holds [\d,]+ of the release's 50,000"):
            configured.task("cifar10")
        assert (
            configured.task("cifar10", train_examples=held, test_examples=1000).num_examples("train") == held
        )
