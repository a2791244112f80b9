"""The store of one study: finished trials are appended durably, read, and folded into two tables."""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from induced_metric.records.parquet import read_table, write_table
from induced_metric.records.schema import Records, curve_table, schema, tidy, trial_table


class RecordStore:
    """Append-only store of one study's records: one process writes, any number read meanwhile."""

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory)
        self._pending = self.directory / "pending"

    def append(self, trials: Sequence[Mapping[str, Any]], curves: Sequence[Mapping[str, Any]]) -> None:
        """Writes finished trials, durably: on return they survive a crash of the machine.

        A crash on the way leaves none of them: rows and curves are one file, renamed into place.

        Args:
            trials: one row a trial, by column name.
            curves: for each of them, its columns by name, as arrays with one entry an epoch.

        Raises:
            ValueError: if a row lacks a column of the schema, or there is not one curve a trial.
        """
        rows = trial_table(trials)
        tables = [curve_table(row["trial"], curve) for row, curve in zip(trials, curves, strict=True)]
        if not tables:
            return
        epochs = pa.concat_tables(tables, promote_options="default").drop_columns("trial").combine_chunks()
        ends = itertools.accumulate((table.num_rows for table in tables), initial=0)
        # One struct an epoch, one list of them a trial.
        nested = pa.ListArray.from_arrays(pa.array(ends, pa.int32()), _structs(epochs))
        self._pending.mkdir(parents=True, exist_ok=True)
        path = self._pending / f"trials-{int(trials[0]['trial']):06d}.parquet"
        write_table(rows.append_column("curve", nested), path, compression_level=1)

    def add(self, row: Mapping[str, Any], curve: Mapping[str, Any]) -> int:
        """Appends a trial of no study, under the next free number, which is returned; any process may."""
        import fcntl  # here, so that records can be read where there is none

        self.directory.mkdir(parents=True, exist_ok=True)
        with (self.directory / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # let go of when the file is closed
            known = self.trials()
            number = 0 if known.empty else int(known["trial"].max()) + 1
            self.append([{**row, "trial": number}], [curve])
            self.compact()
        return number

    def trials(self) -> pd.DataFrame:
        """One row a finished trial, by number; empty, without columns, where there is none."""
        return self.read().trials

    def curves(self) -> pd.DataFrame:
        """One row an epoch of each finished trial; empty, without columns, where there is none."""
        return self.read().curves

    def read(self) -> Records:
        """Both tables at once, of the same trials."""
        # Pending files first: what a compaction folds meanwhile is then found in the tables. Of these the
        # rows first, because a compaction writes the curves before them.
        files = [read_table(path) for path in sorted(self._pending.glob("*.parquet"))]
        rows, epochs = (read_table(self.directory / f"{name}.parquet") for name in ("trials", "curves"))
        trials, curves = ([] if table is None else [table] for table in (rows, epochs))
        if pending := [file for file in files if file is not None]:
            table = pa.concat_tables(pending, promote_options="default")
            lists = table["curve"].combine_chunks()
            numbers = table["trial"].combine_chunks().take(pc.list_parent_indices(lists))
            trials.append(table.drop_columns("curve"))
            curves.append(pa.Table.from_struct_array(lists.flatten()).add_column(0, "trial", numbers))
        if not trials:
            return Records(pd.DataFrame(), pd.DataFrame())
        # A compaction that was killed half-way leaves a trial in two places.
        trial = _frame(trials, ["trial"])
        epoch = _frame(curves, ["trial", "epoch"])
        return tidy(trial, epoch[epoch["trial"].isin(trial["trial"])].reset_index(drop=True))

    def compact(self) -> None:
        """Folds the pending files into ``trials.parquet`` and ``curves.parquet``."""
        pending = list(self._pending.glob("*"))
        if any(path.suffix == ".parquet" for path in pending):
            records = self.read()
            # The curves go first: until the rows are in place, their trials are still pending.
            for name, frame in (("curves", records.curves), ("trials", records.trials)):
                columns = {str(column): frame[column].tolist() for column in frame}
                # By the schema: pandas would make its strings of another type, which nothing appended joins.
                table = pa.Table.from_pandas(frame, schema(columns), preserve_index=False)
                write_table(
                    table.replace_schema_metadata(None),
                    self.directory / f"{name}.parquet",
                    compression_level=9,
                )
        for path in pending:
            path.unlink()
        if self._pending.exists():
            self._pending.rmdir()


def _structs(table: pa.Table) -> pa.StructArray:
    return pa.StructArray.from_arrays(
        [column.combine_chunks() for column in table.columns], table.column_names
    )


def _frame(tables: list[pa.Table], key: list[str]) -> pd.DataFrame:
    frame: pd.DataFrame = pa.concat_tables(tables, promote_options="permissive").to_pandas()
    return frame.drop_duplicates(key).sort_values(key, ignore_index=True)
