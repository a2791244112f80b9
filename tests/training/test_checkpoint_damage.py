"""Checkpoints on a disk that is full, read-only or damaged: a trial does without, and says so once."""

import random
import shutil
import time
import warnings

import disks
import numpy as np
import pytest

from induced_metric.errors import DiskError
from induced_metric.training.checkpoints import Checkpoints


@pytest.fixture(scope="module")
def disk(tmp_path_factory):
    """A small file system."""
    reason = disks.reason_for_none()
    if reason:
        pytest.skip(reason)
    with disks.tmpfs(tmp_path_factory.mktemp("disk"), 1 << 20) as path:
        yield path


def state(scale=1.0):
    weights = np.random.default_rng(0).normal(size=(40, 50)).astype(np.float32)
    return {"params": weights * np.float32(scale), "seed": np.uint32(3)}


def curve(steps):
    return {"seconds": np.linspace(0, 1, steps), "test/loss": np.arange(steps, dtype=np.float32)}


def save(checkpoints, trial, steps):
    checkpoints.save(trial, state(steps), curve(steps))


def loaded(checkpoints, trial):
    found = checkpoints.load(trial, state())
    if found is None:
        return None
    np.testing.assert_array_equal(found.state["params"], state(found.done)["params"])
    np.testing.assert_array_equal(found.curve["test/loss"], curve(found.done)["test/loss"])
    return found.done


@pytest.fixture(params=["full", "read-only", "no larger file"])
def refused(request, disk):
    """A directory that checkpoints are in, and what makes its disk refuse more."""
    directory = disk / request.param

    def refuse():
        if request.param == "full":
            filler = disks.fill(disk, but=2 * disks.PAGE)
            return filler.unlink
        if request.param == "read-only":
            disks.read_only(disk)
            return lambda: disks.read_only(disk, on=False)
        limited = disks.file_size(4000)
        limited.__enter__()
        return lambda: limited.__exit__(None, None, None)

    yield directory, refuse
    shutil.rmtree(directory)


def test_a_trial_keeps_its_older_checkpoint_where_the_disk_refuses_a_newer_one(refused, capfd):
    directory, refuse = refused
    checkpoints = Checkpoints(directory, every=1)
    save(checkpoints, "a", 3)
    undo = refuse()
    try:
        with pytest.warns(UserWarning, match="cannot be written") as warned:
            save(checkpoints, "a", 6)
        save(checkpoints, "a", 9)  # said once
        save(checkpoints, "b", 9)
        assert loaded(checkpoints, "a") == 3
        assert loaded(checkpoints, "b") is None
    finally:
        undo()
    (warning,) = warned
    assert str(warning.message).startswith(f"{directory} cannot be written (")
    assert str(warning.message).endswith(
        "): a trial that is stopped now will continue from its last checkpoint, or start again"
    )
    assert capfd.readouterr().err == ""  # orbax's traces
    assert [path.name for path in (directory / "a").iterdir()] == ["3"]  # nothing half written takes room
    save(checkpoints, "a", 12)
    assert loaded(checkpoints, "a") == 12


def test_a_mistake_is_not_taken_for_a_full_disk(tmp_path):
    with pytest.raises(ValueError, match="Unsupported type"):
        Checkpoints(tmp_path).save("a", {"params": object()}, curve(3))


def test_a_trial_that_cannot_be_held_is_one_sentence(disk):
    checkpoints = Checkpoints(disk / "held")
    disks.read_only(disk)
    try:
        with pytest.raises(DiskError, match=r"a\.lock cannot be written \(Read-only file system\)"):
            checkpoints.exclusive("a").__enter__()
    finally:
        disks.read_only(disk, on=False)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Checkpoints after 3 and 6 steps."""
    directory = tmp_path_factory.mktemp("whole")
    for steps in (3, 6):
        save(Checkpoints(directory / str(steps)), "a", steps)
    return [directory / str(steps) / "a" / str(steps) for steps in (3, 6)]


DAMAGES = {
    "missing": None,
    "empty": lambda content: b"",
    "half": lambda content: content[: len(content) // 2],
    "garbage": lambda content: random.Random(0).randbytes(len(content)),
    "one bit": lambda content: content[:-9] + bytes([content[-9] ^ 1]) + content[-8:],
}


def damaged(path, how):
    if how is None:
        path.unlink()
    else:
        path.write_bytes(how(path.read_bytes()))


@pytest.mark.parametrize("how", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_checkpoint_is_passed_over_for_an_older_one(tmp_path, whole, how, capfd):
    checkpoints = Checkpoints(tmp_path)
    newest = whole[1]
    names = [path.relative_to(newest) for path in newest.rglob("*") if path.is_file()]
    assert len(names) > 5
    for name in names:
        shutil.rmtree(tmp_path / "a", ignore_errors=True)
        for path in whole:
            shutil.copytree(path, tmp_path / "a" / path.name)
        damaged(tmp_path / "a" / "6" / name, how)
        if name.name == "digests.json" and how is not DAMAGES["one bit"]:
            assert loaded(checkpoints, "a") == 6  # all that it is about is there
            continue
        with pytest.warns(UserWarning, match=r"a/6 is damaged \(.*\): the trial continues from an older one"):
            assert loaded(checkpoints, "a") == 3
    assert capfd.readouterr().err == ""


# Orbax closes its event loop on the threads that still read.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("name", ["manifest.ocdbt", "_METADATA", "d"])
def test_a_damaged_checkpoint_of_an_earlier_version_is_passed_over(tmp_path, whole, name):
    shutil.copytree(whole[1], tmp_path / "a" / "6")
    (tmp_path / "a" / "6" / "digests.json").unlink()
    assert loaded(Checkpoints(tmp_path), "a") == 6
    path = tmp_path / "a" / "6" / name
    shutil.rmtree(path) if path.is_dir() else path.write_bytes(path.read_bytes()[:20])
    with pytest.warns(UserWarning, match="a/6 is damaged"):
        assert loaded(Checkpoints(tmp_path), "a") is None
    time.sleep(0.1)  # what they say is of this test


def test_an_empty_directory_or_a_file_in_the_place_of_a_checkpoint_is_passed_over(tmp_path):
    (tmp_path / "a" / "3").mkdir(parents=True)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "3").write_bytes(b"")
    checkpoints = Checkpoints(tmp_path)
    for trial in ("a", "b"):
        with pytest.warns(UserWarning, match=f"{trial}/3 is damaged"):
            assert loaded(checkpoints, trial) is None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            save(checkpoints, trial, 3)
        assert loaded(checkpoints, trial) == 3
