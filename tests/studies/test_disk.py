"""A study whose disk fills or becomes read-only in its midst: it ends in one sentence, and continues."""

import shutil
import warnings

import disks
import pandas as pd
import pytest
import toys

from induced_metric.errors import DiskError, UserError

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def disk(tmp_path_factory):
    """A small file system."""
    reason = disks.reason_for_none()
    if reason:
        pytest.skip(reason)
    with disks.tmpfs(tmp_path_factory.mktemp("disk"), 1 << 20) as path:
        yield path


@pytest.fixture(scope="module")
def lanes():
    with toys.lanes() as lanes:
        yield lanes


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, lanes):
    where = toys.files(tmp_path_factory.mktemp("undisturbed"))
    toys.run(where, lanes)
    return toys.outcome(where)


def check(where, undisturbed):
    for found, expected in zip(toys.outcome(where), undisturbed, strict=True):
        pd.testing.assert_frame_equal(found, expected, check_exact=True)


def refuse(disk, how):
    """Makes a disk refuse to write; returns what undoes it."""
    if how == "full":
        return disks.fill(disk).unlink
    disks.read_only(disk)
    return lambda: disks.read_only(disk, on=False)


def when(condition, action):
    """Calls an action once, at the first progress of which a condition holds."""
    left = [action]

    def look(progress):
        if left and condition(progress):
            left.pop()()

    return look


# A disk with a file that is open to be written, as the lock beside the journal, cannot be made read-only.
@pytest.mark.parametrize(
    ("part", "how"), [("records", "full"), ("records", "read-only"), ("journal", "full")]
)
def test_a_disk_that_refuses_in_mid_study_ends_it_and_the_same_command_continues(
    tmp_path, disk, lanes, undisturbed, part, how
):
    where = toys.files(tmp_path, **{part: disk / f"{part}-{how}"})
    undo = []
    look = when(lambda progress: progress.finished >= 5, lambda: undo.append(refuse(disk, how)))
    with pytest.raises(DiskError) as raised:
        toys.run(where, lanes, on_progress=look)
    reason = "No space left on device): free some" if how == "full" else "Read-only file system): make it"
    assert reason in str(raised.value)
    assert str(disk) in str(raised.value)
    kept = len(where.records.trials())
    assert 5 <= kept < 16
    with pytest.raises(DiskError, match="cannot be written"):  # the disk is as it was
        toys.run(where, lanes)
    undo.pop()()
    assert toys.run(where, lanes)[0].finished == kept
    check(where, undisturbed)


@pytest.mark.parametrize("how", ["full", "read-only"])
def test_a_study_goes_on_without_checkpoints_and_says_so_once(tmp_path, disk, lanes, undisturbed, how):
    where = toys.files(tmp_path, checkpoints=disk / how, every=1)
    (disk / how).mkdir()
    undo = refuse(disk, how)
    try:
        with pytest.warns(UserWarning, match="a trial that is stopped now will continue") as warned:
            toys.run(where, lanes)
    finally:
        undo()
    assert len(warned) == 1
    check(where, undisturbed)


def test_a_stop_on_a_full_disk_loses_the_epochs_in_flight_alone(tmp_path, disk, lanes, undisturbed):
    where = toys.files(tmp_path, checkpoints=disk / "stopped")
    filler = disks.fill(disk)
    stops = iter([False] * 7)
    try:
        with pytest.warns(UserWarning, match="a trial that is stopped now will continue"):
            toys.run(where, lanes, stop=lambda: next(stops, True))
    finally:
        filler.unlink()
    assert len(where.records.trials()) < 16
    toys.run(where, lanes)
    check(where, undisturbed)


@pytest.mark.parametrize("how", ["full", "read-only"])
def test_a_study_whose_tables_cannot_be_written_has_ended_all_the_same(
    tmp_path, disk, lanes, undisturbed, how
):
    where = toys.files(tmp_path, records=disk / f"tables-{how}")
    undo = []
    look = when(lambda progress: progress.finished == 16, lambda: undo.append(refuse(disk, how)))
    with pytest.warns(UserWarning, match=r"paper-toy-tpe-sgd stay in one file per trial \(.* cannot be"):
        toys.run(where, lanes, on_progress=look)
    undo.pop()()
    assert where.records.pending()
    check(where, undisturbed)
    toys.run(where, lanes)
    assert not where.records.pending()
    check(where, undisturbed)


def test_files_that_may_not_grow_end_a_study_in_one_sentence(tmp_path, lanes, undisturbed):
    where = toys.files(tmp_path)
    with (
        disks.file_size(9000),
        pytest.raises(DiskError, match=r"toy.journal cannot .*File too large\): free"),
    ):
        toys.run(where, lanes)
    assert 0 < len(where.records.trials()) < 16
    toys.run(where, lanes)
    check(where, undisturbed)


def test_a_study_of_a_directory_that_cannot_be_written_is_one_sentence(disk, lanes):
    disks.read_only(disk)
    try:
        with pytest.raises(DiskError, match=r"toy.lock cannot be written \(Read-only file system\)"):
            toys.run(toys.files(disk / "new"), lanes)
    finally:
        disks.read_only(disk, on=False)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory, lanes):
    """A study that was stopped half-way, with trials under way."""
    directory = tmp_path_factory.mktemp("stopped")
    where = toys.files(directory)
    stops = iter([False] * 12)
    toys.run(where, lanes, stop=lambda: next(stops, True))
    assert 0 < len(where.records.trials()) < 16
    assert where.checkpoints.names()
    return directory


@pytest.fixture
def half(tmp_path, stopped):
    """Another copy of it."""
    shutil.copytree(stopped, tmp_path, dirs_exist_ok=True)
    return toys.files(tmp_path)


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.7, 0.999])
def test_a_truncated_journal_is_made_again(tmp_path, half, lanes, undisturbed, kept):
    journal = tmp_path / "toy.journal"
    content = journal.read_bytes()
    journal.write_bytes(content[: int(kept * len(content))])
    toys.run(half, lanes)
    check(half, undisturbed)
    assert journal.stat().st_size > len(content)


GARBAGE = {
    "no text": b"\xff\xfe\x00\n",
    "no JSON": b"nothing\n",
    "no log": b"[1]\n",
    "no operation": b"{}\n",
    "of another study": b'{"op_code":0,"worker_id":"a","study_name":"b","directions":[1]}\n',
}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE)
def test_a_damaged_journal_is_named_and_what_is_said_helps(tmp_path, half, lanes, undisturbed, garbage):
    journal = tmp_path / "toy.journal"
    journal.write_bytes(garbage)
    with pytest.raises(UserError) as raised:
        toys.run(half, lanes)
    assert str(raised.value).startswith(f"the journal {journal} is damaged (")
    assert str(raised.value).endswith("; remove it: the next run recreates it from the records")
    journal.unlink()
    toys.run(half, lanes)
    check(half, undisturbed)


def test_a_damaged_record_is_named_and_what_is_said_helps(tmp_path, half, lanes, undisturbed):
    toys.run(half, lanes)
    (tmp_path / "records" / "curves.parquet").write_bytes(b"PAR1")
    with pytest.raises(UserError, match=r"curves.parquet is damaged .* and the study's journal"):
        toys.run(half, lanes)
    for path in (*(tmp_path / "records").glob("*.parquet"), tmp_path / "toy.journal"):
        path.unlink()
    toys.run(half, lanes)
    check(half, undisturbed)


def test_trials_whose_checkpoints_are_damaged_begin_anew(tmp_path, half, lanes, undisturbed):
    found = sorted((tmp_path / "checkpoints").glob("*/*.npz"))
    assert found
    for path in found:
        path.write_bytes(b"")
    with pytest.warns(UserWarning, match="is damaged") as warned:
        toys.run(half, lanes)
    assert len(warned) == len(found)
    check(half, undisturbed)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        toys.run(half, lanes)
