"""Records on a disk that is full, read-only or damaged: one sentence, and what was recorded stays."""

import random

import disks
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import synthetic

from induced_metric import records
from induced_metric.errors import DiskError, UserError
from induced_metric.records import RecordStore

TRIALS = 3
GARBAGE = random.Random(0).randbytes(1 << 20)


@pytest.fixture(scope="module")
def disk(tmp_path_factory):
    """A small file system."""
    reason = disks.reason_for_none()
    if reason:
        pytest.skip(reason)
    with disks.tmpfs(tmp_path_factory.mktemp("disk"), 1 << 20) as path:
        yield path


def append(store, *numbers):
    rows, curves = zip(*(synthetic.trial(n, optimizer="adam", epochs=5) for n in numbers), strict=True)
    store.append(rows, curves)


def publish(store, number):
    return store.publish(*synthetic.trial(number, optimizer="adam", epochs=5))


def numbers(store):
    trials, curves = store.read()
    assert curves.groupby("trial").size().to_dict() == dict.fromkeys(trials["trial"], 5)
    return trials["trial"].tolist()


def left(directory):
    return sorted(path.name for path in directory.rglob("*") if path.suffix != ".parquet" and path.is_file())


@pytest.mark.parametrize("write", [append, publish])
def test_a_full_disk_leaves_the_records_and_nothing_half_written(disk, write):
    store = RecordStore(disk / write.__name__)
    write(store, 0)
    filler = disks.fill(disk)
    try:
        with pytest.raises(DiskError) as raised:
            write(store, 1)
        assert left(store.directory) == []
    finally:
        filler.unlink()
    assert "cannot be written (No space left on device): free some space there" in str(raised.value)
    assert "the same command continues" in str(raised.value)
    assert str(store.directory) in str(raised.value)
    assert numbers(store) == [0]
    write(store, 1)
    assert numbers(store) == [0, 1]


def test_a_disk_that_is_full_while_tables_are_made_leaves_what_they_are_made_of(disk):
    store = RecordStore(disk / "compacted")
    for number in range(TRIALS):
        append(store, number)
    filler = disks.fill(disk, but=disks.PAGE)  # the tables have tens of thousands of bytes
    try:
        with pytest.raises(DiskError, match=r"(curves|trials)\.parquet cannot be written"):
            store.compact()
        assert numbers(store) == list(range(TRIALS))
    finally:
        filler.unlink()
    store.compact()
    assert numbers(store) == list(range(TRIALS))
    assert sorted(path.name for path in store.directory.iterdir()) == ["curves.parquet", "trials.parquet"]


@pytest.mark.parametrize("write", [append, publish])
def test_a_disk_that_becomes_read_only_is_one_sentence(disk, write):
    store = RecordStore(disk / f"read-only-{write.__name__}")
    write(store, 0)
    disks.read_only(disk)
    try:
        with pytest.raises(DiskError, match=r"\(Read-only file system\): make it writable; what is recorded"):
            write(store, 1)
        with pytest.raises(DiskError, match="Read-only file system"):
            store.compact()
        with pytest.raises(DiskError, match="Read-only file system"):
            append(RecordStore(disk / "new"), 0)
        assert numbers(store) == [0]
    finally:
        disks.read_only(disk, on=False)
    write(store, 1)
    store.compact()
    assert numbers(store) == [0, 1]


def test_a_file_that_may_not_grow_is_one_sentence(tmp_path):
    store = RecordStore(tmp_path)
    append(store, 0)
    with disks.file_size(1000), pytest.raises(DiskError, match=r"\(File too large\): free some space there"):
        append(store, 1)
    with disks.file_size(1000), pytest.raises(DiskError, match="File too large"):
        store.compact()
    assert left(tmp_path) == []
    assert numbers(store) == [0]


DAMAGES = {
    "empty": lambda content: b"",
    "one byte": lambda content: content[:1],
    "half": lambda content: content[: len(content) // 2],
    "without its end": lambda content: content[:-1],
    "garbage": lambda content: GARBAGE[: len(content)],
    "garbage within": lambda content: content[:4] + GARBAGE[:200] + content[204:],
    "another table": None,
}


def damage(path, how):
    if how is None:
        pq.write_table(pa.table({"x": [1.0]}), path)
    else:
        path.write_bytes(how(path.read_bytes()))


@pytest.mark.parametrize("how", DAMAGES.values(), ids=DAMAGES)
@pytest.mark.parametrize("name", ["trials.parquet", "curves.parquet", "pending/trials-000002.parquet"])
def test_a_damaged_file_is_named_with_what_to_do(tmp_path, name, how):
    store = RecordStore(records.StudyKey("paper", "regression", "tpe", "adam").directory(tmp_path))
    append(store, 0, 1)
    store.compact()
    append(store, 2)
    path = store.directory / name
    damage(path, how)
    which = "it" if "pending" in name else "trials.parquet and curves.parquet"
    for read in (store.read, store.compact, lambda: records.load("regression", results=tmp_path)):
        with pytest.raises(UserError) as raised:
            read()
        assert str(raised.value).startswith(f"{path} is damaged (")
        assert str(raised.value).endswith(
            f"): restore it from a copy, or remove {which} and the study's journal, and the same command "
            "trains its trials again"
        )
        assert "\n" not in str(raised.value)
    assert path.exists()
    # What it says helps.
    for each in [path] if which == "it" else store.directory.glob("*.parquet"):
        each.unlink()
    assert numbers(store) == ([0, 1] if which == "it" else [2])


def test_a_table_without_the_other_is_damaged_and_what_comes_before_it_is_not(tmp_path):
    store = RecordStore(tmp_path)
    append(store, 0)
    store.compact()
    (tmp_path / "curves.parquet").rename(tmp_path / "kept")
    with pytest.raises(UserError, match=r"curves.parquet is missing: restore it from a copy"):
        store.read()
    # A compaction that was killed leaves curves without trials.
    (tmp_path / "kept").rename(tmp_path / "curves.parquet")
    (tmp_path / "trials.parquet").unlink()
    assert store.trials().empty
