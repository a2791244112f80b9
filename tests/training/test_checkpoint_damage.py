"""Checkpoints on a disk that is full, read-only or damaged: a trial does without, and says so once."""

import io
import random
import shutil
import warnings
from pathlib import Path

import disks
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

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
    for kept, saved in ((found.state, state(found.done)), (found.curve, curve(found.done))):
        assert kept.keys() == saved.keys()
        for name, values in saved.items():
            np.testing.assert_array_equal(kept[name], values)
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


def test_a_trial_keeps_its_older_checkpoint_where_the_disk_refuses_a_newer_one(refused):
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
    assert [path.name for path in (directory / "a").iterdir()] == ["3.npz"]  # nothing half written takes room
    save(checkpoints, "a", 12)
    assert loaded(checkpoints, "a") == 12


def test_a_mistake_is_not_taken_for_a_full_disk(tmp_path):
    with pytest.raises(TypeError, match="a state has arrays of numbers, but params is"):
        Checkpoints(tmp_path).save("a", {"params": object()}, curve(3))


def test_what_a_kill_left_of_a_save_is_removed_by_the_next(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    save(checkpoints, "a", 3)
    (tmp_path / "a" / "4.tmp").write_bytes(b"half")
    save(checkpoints, "a", 6)
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["6.npz"]


def test_a_checkpoint_in_an_earlier_format_is_not_passed_over_in_silence(tmp_path):
    (tmp_path / "a" / "by-w0" / "20").mkdir(parents=True)
    with pytest.warns(UserWarning, match="/a has a checkpoint in the format of an earlier version"):
        assert loaded(Checkpoints(tmp_path), "a") is None


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
    return [directory / str(steps) / "a" / f"{steps}.npz" for steps in (3, 6)]


DAMAGES = {
    "empty": lambda content: b"",
    "half": lambda content: content[: len(content) // 2],
    "no end": lambda content: content[:-1],
    "garbage": lambda content: random.Random(0).randbytes(len(content)),
    "another file": lambda content: b"PAR1" * 100,
    "other arrays": lambda content: archive(other=np.arange(3)),
    "one bit of an array": lambda content: flipped(content, content.index(state(6)["params"].tobytes())),
}


def archive(**arrays):
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def flipped(content, byte, bit=0):
    return content[:byte] + bytes([content[byte] ^ 1 << bit]) + content[byte + 1 :]


@pytest.mark.parametrize("how", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_checkpoint_is_passed_over_for_an_older_one(tmp_path, whole, how, capfd):
    older, newest = (tmp_path / "a" / path.name for path in whole)
    older.parent.mkdir()
    older.write_bytes(whole[0].read_bytes())
    newest.write_bytes(how(whole[1].read_bytes()))
    with pytest.warns(
        UserWarning, match=r"a/6\.npz is damaged \(.+\): the trial continues from an older one"
    ):
        assert loaded(Checkpoints(tmp_path), "a") == 3
    newest.write_bytes(whole[1].read_bytes())
    assert loaded(Checkpoints(tmp_path), "a") == 6
    assert capfd.readouterr().err == ""


@given(data=st.data())
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bit_that_has_changed_is_noticed_or_means_nothing(tmp_path, whole, data):
    content = whole[1].read_bytes()
    # Most bytes are of the weights; those of the names and sizes lie in the last quarter, and around it.
    byte = data.draw(st.integers(0, len(content) - 1) | st.integers(len(content) * 3 // 4, len(content) - 1))
    path = tmp_path / "a" / whole[1].name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(flipped(content, byte, data.draw(st.integers(0, 7))))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = loaded(Checkpoints(tmp_path), "a")  # compares what it finds
    assert (found, len(caught)) in [(6, 0), (None, 1)]


def test_a_state_of_another_shape_or_type_is_passed_over(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    save(checkpoints, "a", 3)
    half = jnp.zeros((40, 50), jnp.bfloat16)
    checkpoints.save("half", {**state(), "params": half}, curve(3))
    for trial, kind, other in (
        ("a", "float32", np.zeros((50, 40), np.float32)),
        ("a", "float32", np.zeros((40, 50), np.int32)),
        ("half", "bfloat16", np.zeros((40, 50), np.float16)),
    ):
        with pytest.warns(UserWarning, match=rf"damaged \(params is {kind}\(40, 50\), not {other.dtype}\("):
            assert checkpoints.load(trial, {**state(), "params": other}) is None


def test_a_trial_that_another_process_has_ended_needs_no_checkpoint(tmp_path, monkeypatch):
    checkpoints = Checkpoints(tmp_path)
    mkdir = Path.mkdir

    def removed_meanwhile(path, **options):
        mkdir(path, **options)
        path.rmdir()

    monkeypatch.setattr(Path, "mkdir", removed_meanwhile)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        save(checkpoints, "a", 3)
    assert loaded(checkpoints, "a") is None
