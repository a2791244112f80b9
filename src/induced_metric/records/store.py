"""The store of one study: finished trials are appended durably, read, and folded into two tables."""

import contextlib
import json
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from induced_metric.errors import UserError, written
from induced_metric.files import synced
from induced_metric.records.parquet import read_table, write_table
from induced_metric.records.pending import flat, linked, nested, publishes
from induced_metric.records.schema import Records, schema, tidy

_JOINTLY = "and the study's journal, and the same command trains its trials again"


class RecordStore:
    """Append-only store of one study's records; any number of processes may read while it grows.

    Either one process appends, or many publish: if several record the same trial, the first record stays.
    """

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory)
        self._pending = self.directory / "pending"
        self._in_tables: tuple[object, frozenset[int]] = (None, frozenset())  # version, trials

    def append(self, trials: Sequence[Mapping[str, Any]], curves: Sequence[Mapping[str, Any]]) -> None:
        """Writes finished trials durably: on return they survive a crash of the machine.

        A crash before that leaves none of them: rows and curves are one file, renamed into place.

        Args:
            trials: one row per trial, by column name.
            curves: the columns of each trial's curve by name, as arrays with one entry per epoch.

        Raises:
            ValueError: if a row lacks a column of the schema, or there is not one curve for each trial.
            DiskError: if the file cannot be written.
        """
        if not trials:
            return
        table = nested(trials, curves)
        self._make_pending()
        write_table(table, self.file_of(trials[0]["trial"]), compression_level=1)

    def publish(self, trial: Mapping[str, Any], curve: Mapping[str, Any]) -> bool:
        """Writes a finished trial as ``append`` does, unless it is recorded; any number of processes may.

        Returns:
            Whether this is now the trial's record. If not, another process was first, and its record stays.

        Raises:
            UserError: if the file system has no hard links, which decide who is first.
            DiskError: if the file cannot be written.
        """
        final = self.file_of(trial["trial"])
        temporary = self._pending / f"{final.stem}-{uuid.uuid4().hex[:12]}.written"
        table = nested([trial], [curve])
        while True:
            self._make_pending()
            try:
                write_table(table, temporary, compression_level=1)
                with written(final):
                    first = linked(temporary, final)
                break
            except FileNotFoundError:
                pass  # a compaction removed the file, or the directory while it was empty
            finally:
                with contextlib.suppress(OSError):  # on a read-only disk the write has failed already
                    temporary.unlink()
        if first and trial["trial"] in self._numbers_in_tables():
            # It was recorded before, and its file has been folded in: the record in the tables stays.
            final.unlink(missing_ok=True)
            first = False
        if first:
            with contextlib.suppress(FileNotFoundError):  # folded in already
                synced(self._pending)
        return first

    def has(self, trial: int) -> bool:
        """Whether a trial is recorded."""
        # Its own file first: a compaction removes that only after it has changed the tables.
        return self.file_of(trial).exists() or trial in self._numbers_in_tables()

    def read_one(self, trial: int) -> Records:
        """The record that ``publish`` wrote of a trial, as long as it is in a file of its own."""
        return self.read([self.file_of(trial)])

    def _numbers_in_tables(self) -> frozenset[int]:
        """The trials in the tables."""
        version = self.version()
        if self._in_tables[0] != version:
            table = read_table(self.directory / "trials.parquet", columns=["trial"])
            self._in_tables = version, frozenset(table["trial"].to_pylist() if table is not None else ())
        return self._in_tables[1]

    def _make_pending(self) -> None:
        with written(self._pending):
            self._pending.mkdir(parents=True, exist_ok=True)

    def file_of(self, trial: Any) -> Path:
        """The file that a trial is published in."""
        return self._pending / f"trials-{int(trial):06d}.parquet"

    def add(self, row: Mapping[str, Any], curve: Mapping[str, Any]) -> int:
        """Appends a trial of no study under the next free number, and returns that; any process may do so."""
        import fcntl  # here, so that records can be read on systems without it

        with written(self.directory):
            self.directory.mkdir(parents=True, exist_ok=True)
            lock = (self.directory / ".lock").open("w")
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # released when the file is closed
            recorded = self.trials()
            number = 0 if recorded.empty else int(recorded["trial"].max()) + 1
            self.append([{**row, "trial": number}], [curve])
            self.compact()
        return number

    def pending(self) -> list[Path]:
        """The files of trials that are not yet in the tables."""
        return sorted(self._pending.glob("*.parquet"))

    def version(self) -> object:
        """A value that changes whenever the tables do; None if there are no tables."""
        try:
            facts = (self.directory / "trials.parquet").stat()
        except FileNotFoundError:
            return None
        return facts.st_ino, facts.st_mtime_ns

    def trials(self) -> pd.DataFrame:
        """One row per finished trial, by number; empty, without columns, if there are none."""
        return self.read().trials

    def provenances(self) -> Iterator[dict[str, Any]]:
        """What the records say of where they came from, the newest trial first."""
        trials = self.trials()
        yield from map(json.loads, reversed(trials["provenance"].tolist() if len(trials) else []))

    def curves(self) -> pd.DataFrame:
        """One row per epoch of each finished trial; empty, without columns, if there are none."""
        return self.read().curves

    def read(self, files: Sequence[Path] | None = None) -> Records:
        """Reads both tables at once, of the same trials.

        Args:
            files: if given, only these pending files are read, not the tables; files that have gone into the
                tables meanwhile are left out.

        Raises:
            UserError: if a file is damaged.
        """
        # Pending files first: what a compaction folds in meanwhile is then found in the tables. Of the tables
        # the rows first, because a compaction writes the curves before the rows.
        pending = _tables(
            self.pending() if files is None else files,
            needs=("trial", "curve"),
            remedy=f"restore it from a copy, or remove it {_JOINTLY}",
        )
        trials, curves = ([], []) if files is not None else self._folded()
        if pending:
            rows, epochs = flat(pending)
            trials.append(rows)
            curves.append(epochs)
        if not trials:
            return Records(pd.DataFrame(), pd.DataFrame())
        # A compaction that was killed half-way leaves a trial in two places.
        trial = _frame(trials, ["trial"])
        epoch = _frame(curves, ["trial", "epoch"])
        return tidy(trial, epoch[epoch["trial"].isin(trial["trial"])].reset_index(drop=True))

    def _folded(self) -> tuple[list[pa.Table], list[pa.Table]]:
        """The two tables, where there are any."""
        names = [f"{table}.parquet" for table in ("trials", "curves")]
        remedy = f"restore it from a copy, or remove {' and '.join(names)} {_JOINTLY}"
        trials, curves = (_tables([self.directory / name], needs=("trial",), remedy=remedy) for name in names)
        if trials and not curves:  # curves are written first
            raise UserError(f"{self.directory / names[1]} is missing: {remedy}")
        if not trials:
            return [], []
        # A removal that was killed half-way leaves the curve of a trial that is pending again.
        of_rows = [epochs.filter(pc.is_in(epochs["trial"], trials[0]["trial"])) for epochs in curves]
        return trials, of_rows

    def compact(self) -> None:
        """Folds the pending files into ``trials.parquet`` and ``curves.parquet``.

        Raises:
            DiskError: if they cannot be written; what was there before stays.
        """
        pending = list(self._pending.glob("*"))
        recorded: set[int] = set()
        if any(path.suffix == ".parquet" for path in pending):
            records = self.read()
            recorded = set(records.trials["trial"])
            # The curves go first: until the rows are in place, their trials are still pending.
            for name, frame in (("curves", records.curves), ("trials", records.trials)):
                self._write(name, frame)
        for path in pending:
            # Keeps what a worker that was given more trials than this one is about to publish.
            if path.suffix == ".parquet" or publishes(path) is None or publishes(path) in recorded:
                with written(path):
                    path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # there is none, or a process has begun to write there
            self._pending.rmdir()

    def remove(self, trials: Collection[int]) -> None:
        """Removes trials from the records; no process may write to the records meanwhile.

        After a crash on the way, either all of these trials are still recorded or none.

        Raises:
            DiskError: if the tables cannot be written.
        """
        self.compact()
        records = self.read()
        kept = [frame[~frame["trial"].isin(list(trials))] for frame in records]
        # The rows go first: a curve without a row belongs to no trial.
        for name, frame in zip(("trials", "curves"), kept, strict=True):
            path = self.directory / f"{name}.parquet"
            if kept[0].empty:
                with written(path):
                    path.unlink(missing_ok=True)
            else:
                self._write(name, frame)

    def _write(self, name: str, frame: pd.DataFrame) -> None:
        columns = {str(column): frame[column].tolist() for column in frame}
        # With the schema's types: pandas would give strings another type, which appended tables cannot join.
        table = pa.Table.from_pandas(frame, schema(columns), preserve_index=False)
        path = self.directory / f"{name}.parquet"
        write_table(table.replace_schema_metadata(None), path, compression_level=9)


def _tables(files: Iterable[Path], *, needs: Sequence[str], remedy: str) -> list[pa.Table]:
    tables = (read_table(path, needs=needs, remedy=remedy) for path in files)
    return [table for table in tables if table is not None]


def _frame(tables: list[pa.Table], key: list[str]) -> pd.DataFrame:
    frame: pd.DataFrame = pa.concat_tables(tables, promote_options="permissive").to_pandas()
    return frame.drop_duplicates(key).sort_values(key, ignore_index=True)
