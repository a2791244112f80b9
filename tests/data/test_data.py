"""Data sets: read as written, kept once, verified; damage ends in one sentence with file and remedy."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import tfds_files

from induced_metric import data
from induced_metric.data import cache, load, reading, releases
from induced_metric.data.preparing import prepare
from induced_metric.data.releases import RELEASES
from induced_metric.errors import UserError

MNIST = RELEASES["mnist"]
SPLITS = {"train": tfds_files.images(40, (28, 28, 1)), "test": tfds_files.images(20, (28, 28, 1), seed=1)}


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A data directory with a small ``mnist``, which is the whole release for this test."""
    small = MNIST._replace(
        examples={"train": 40, "test": 20},
        labels={"train": (4,) * 10, "test": (2,) * 10},
        digests={split: data.digest(arrays) for split, arrays in SPLITS.items()},
    )
    monkeypatch.setitem(RELEASES, "mnist", small)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    tfds_files.write(tmp_path / "tfds", "mnist", MNIST.version, SPLITS)
    return tmp_path / "tfds"


def directory(root):
    return root / "mnist" / MNIST.version


def test_arrays_are_what_was_prepared(root):
    splits = load("mnist", data_dir=root).splits
    for split, arrays in SPLITS.items():
        assert sorted(splits[split]) == ["image", "label"]
        for feature, array in arrays.items():
            assert splits[split][feature].dtype == np.uint8
            np.testing.assert_array_equal(splits[split][feature], array)


def test_data_dir_is_the_one_of_tfds(root, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(root))
    assert load("mnist").directory == directory(root)
    monkeypatch.delenv("TFDS_DATA_DIR")
    monkeypatch.setenv("HOME", str(root))
    assert data.default_data_dir() == root / "tensorflow_datasets"


def test_a_file_in_place_of_the_data_dir_is_named(tmp_path, monkeypatch):
    file = tmp_path / "file"
    file.touch()
    monkeypatch.setenv("TFDS_DATA_DIR", str(file))
    for function in (load, lambda _: prepare("mnist")):
        with pytest.raises(UserError, match=rf"\(TFDS_DATA_DIR\) must be a directory, and {file} is a file"):
            function("mnist")


def test_a_second_load_decodes_nothing_and_maps_the_kept_files(root, monkeypatch):
    first = load("mnist", data_dir=root).splits
    monkeypatch.setattr(reading, "decode", None)
    second = load("mnist", data_dir=root).splits
    np.testing.assert_array_equal(first["train"]["image"], second["train"]["image"])
    assert isinstance(second["train"]["image"].base, np.memmap)
    assert not second["train"]["image"].flags.writeable


def test_reading_needs_neither_tensorflow_nor_jax(root):
    code = (
        "import sys; from induced_metric.data import releases, reading; from pathlib import Path; "
        "reading.decode(releases.RELEASES['mnist'], Path(sys.argv[1])); "
        "print(sorted({'tensorflow', 'jax'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code, str(directory(root))]
    assert subprocess.check_output(command, text=True).strip() == "[]"


def test_a_damaged_copy_is_made_again(root):
    load("mnist", data_dir=root)
    for damage in (b"", b"not an array", None):
        kept = root / "induced-metric" / "mnist" / MNIST.version / "train-image.npy"
        content = bytearray(kept.read_bytes())
        content[-1] ^= 1
        kept.write_bytes(content if damage is None else damage)
        np.testing.assert_array_equal(
            load("mnist", data_dir=root).splits["train"]["image"], SPLITS["train"]["image"]
        )


def test_arrays_follow_a_change_of_the_prepared_files(root, monkeypatch):
    load("mnist", data_dir=root)
    other = {**SPLITS, "test": tfds_files.images(20, (28, 28, 1), seed=2)}
    monkeypatch.setitem(RELEASES, "mnist", RELEASES["mnist"]._replace(digests={}))
    for file in directory(root).iterdir():
        file.unlink()
    directory(root).rmdir()
    tfds_files.write(root, "mnist", MNIST.version, other)
    np.testing.assert_array_equal(
        load("mnist", data_dir=root).splits["test"]["image"], other["test"]["image"]
    )


def test_a_read_only_directory_stays_as_it_is(root, tmp_path):
    root.chmod(0o555)
    try:
        load("mnist", data_dir=root)
        assert sorted(path.name for path in root.iterdir()) == ["mnist"]
        assert list((tmp_path / "cache" / "induced-metric" / "data").rglob("train-image.npy"))
    finally:
        root.chmod(0o755)


def test_a_place_that_cannot_be_written_is_named(root, tmp_path):
    (root / "induced-metric").write_text("in the way")
    with pytest.raises(
        UserError, match=r"cannot write the decoded arrays to .*induced-metric.* or choose another directory"
    ):
        load("mnist", data_dir=root)


def test_nothing_half_written_is_left(root, monkeypatch):
    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(UserError, match=r"cannot write .*No space left on device"):
        load("mnist", data_dir=root)
    assert not [path for path in (root / "induced-metric").rglob("*") if path.is_file()]


def truncated(file):
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def flipped(file):
    content = bytearray(file.read_bytes())
    for place in range(100, len(content), 997):
        content[place] ^= 0xFF
    file.write_bytes(content)


@pytest.mark.parametrize("damage", [truncated, flipped, lambda file: file.write_bytes(b""), os.remove])
@pytest.mark.parametrize(
    "name", ["mnist-test.array_record-00000-of-00001", "dataset_info.json", "features.json"]
)
def test_a_damaged_file_is_named_with_the_remedy(root, name, damage):
    damage(directory(root) / name)
    with pytest.raises(UserError) as error:
        load("mnist", data_dir=root)
    sentence = str(error.value)
    assert str(directory(root) / name.removesuffix("-00000-of-00001")) in sentence
    assert sentence.endswith(f"remove {directory(root)} and run make data TASK=mnist")
    assert "\n" not in sentence


def test_without_the_repository_the_remedy_is_the_console_script(tmp_path, monkeypatch):
    monkeypatch.setattr(releases, "_MAKEFILE", tmp_path / "Makefile")
    release = releases.RELEASES["mnist"]
    assert release.remedy == "induced-metric data --task mnist"
    assert release.offline.endswith("and run induced-metric data --task mnist --manual-dir <directory>")


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("version", "3.0.0", "describes mnist 3.0.0 array_record and not mnist 3.0.1 array_record"),
        ("fileFormat", "tfrecord", "describes mnist 3.0.1 tfrecord and not"),
        ("name", "kmnist", "describes kmnist 3.0.1"),
        ("splits", [], "mnist-train.array_record.* is missing, truncated or corrupt .no split train."),
        ("splits", 3, r"\*.json is missing, truncated or corrupt"),
    ],
)
def test_another_data_set_in_its_place_is_refused(root, key, value, sentence):
    file = directory(root) / "dataset_info.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), key: value}))
    with pytest.raises(UserError, match=sentence):
        load("mnist", data_dir=root)


def test_missing_and_other_versions_say_what_to_run(root):
    directory(root).rename(directory(root).with_name("3.0.0"))
    with pytest.raises(UserError, match=r"version 3\.0\.0 but 3\.0\.1 is needed; run make data TASK=mnist$"):
        load("mnist", data_dir=root)
    with pytest.raises(UserError, match=r"cifar10 is missing: .* does not exist; run make data TASK=cifar10"):
        load("cifar10", data_dir=root)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"examples": {"train": 40, "test": 21}}, "20 examples instead of 21"),
        ({"examples": {"train": 40, "test": 19}}, "20 examples instead of 19"),
        (
            {"labels": {"train": (4,) * 10, "test": (1, 3, *(2,) * 8)}},
            r"label counts \[2, 2, .* instead of \[1, 3",
        ),
        ({"digests": {"test": "0" * 64}}, "contents other than the release's"),
        ({"shapes": {"image": (28, 28, 3), "label": ()}}, "image of shape"),
        ({"shapes": {"image": (28, 28, 1), "id": ()}}, "truncated or corrupt"),
    ],
)  # fmt: skip
def test_what_is_not_the_release_is_refused(root, monkeypatch, change, sentence):
    monkeypatch.setitem(RELEASES, "mnist", RELEASES["mnist"]._replace(**change))
    for _ in range(2):  # also from the kept arrays
        with pytest.raises(UserError, match=sentence):
            load("mnist", data_dir=root)


def test_a_subset_of_an_unknown_release_is_accepted_and_says_what_it_lacks(tmp_path):
    splits = {"train": tfds_files.images(30, (32, 32, 3)), "test": tfds_files.images(10, (32, 32, 3))}
    tfds_files.write(tmp_path, "cifar10", "3.0.2", splits)
    dataset = load("cifar10", data_dir=tmp_path)
    np.testing.assert_array_equal(dataset.part("train", 5, 3)["image"], splits["train"]["image"][5:8])
    with pytest.raises(
        UserError, match=r"31 train examples .* holds 30 of the release's 50,000.*examples=30"
    ):
        dataset.part("train", 0, 31)


def test_prepare_verifies_what_is_there_and_explains_what_cannot_be(root, tmp_path):
    assert prepare("mnist", data_dir=root).directory == directory(root)
    with pytest.raises(UserError, match="no data set regression; there are mnist, cifar10, tiny_shakespeare"):
        prepare("regression", data_dir=root)
    with pytest.raises(UserError, match="does not exist: nowhere"):
        prepare("mnist", data_dir=root, manual_dir="nowhere")


def test_prepare_on_the_command_line(root, tmp_path):
    def run(*arguments):
        command = [sys.executable, "-m", "induced_metric", "data", *arguments]
        environment = {**os.environ, "TFDS_DATA_DIR": str(root)}
        return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)

    splits = {"train": tfds_files.images(30, (32, 32, 3)), "test": tfds_files.images(10, (32, 32, 3))}
    tfds_files.write(root, "cifar10", "3.0.2", splits)
    done = run("--task", "cifar10_small")
    assert done.stdout.strip() == (
        f"cifar10 3.0.2 in {root}/cifar10/3.0.2: train 30 of 50,000 examples, test 10 of 10,000 examples"
    )
    failed = run("--task", "mnist")  # 40 examples are not the release
    assert failed.returncode == 2
    (line,) = failed.stderr.strip().splitlines()
    assert line.startswith("induced-metric data: ")
    none = run("--task", "regression")
    assert none.stderr == (
        "induced-metric data: task regression has no data set to prepare; "
        "tasks that have one are cifar10, cifar10_small, mnist, mnist_small, mnist_small_128, shakespeare, "
        "shakespeare_small\n"
    )
    for name in ("foo", "mnist_smal"):
        assert run("--task", name).stderr.startswith(
            f"induced-metric data: unknown task '{name}'; tasks that have one are cifar10, "
        )
    assert [run("--check", "--task", task).returncode for task in ("regression", "cifar10")] == [0, 0]


def test_digest_tells_names_types_shapes_and_contents_apart():
    array = np.arange(6, dtype=np.uint8)
    base = cache.digest({"a": array})
    for other in (
        {"b": array},
        {"a": array.astype(np.int8)},
        {"a": array.reshape(2, 3)},
        {"a": array[::-1]},
    ):
        assert cache.digest(other) != base
    assert cache.digest({"a": array[::2]}) == cache.digest({"a": array[::2].copy()})
