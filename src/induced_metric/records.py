"""Durable records of finished trials: Parquet files that the analysis reads, and nothing else.

A study's directory ``<results>/records/<protocol>/<task>/<sampler>/<optimizer>/`` holds two tables:

``trials.parquet`` - one row a finished trial

==================  =======  ==========================================================================
column              type     meaning
==================  =======  ==========================================================================
trial               int64    number of the trial in its study, from 0
state               string   ``complete``, ``pruned`` or ``failed``
diverged            bool     a metric was not finite; ``value`` is then the worst finite float32
value               float64  best value of ``objective`` over the epochs run
objective           string   metric that was optimised, such as ``test/loss``
direction           string   ``minimize`` or ``maximize``
best_epoch          int64    epoch of ``value``, from 0; -1 where diverged
epochs              int64    epochs run
seed                int64    seed of initial parameters, shuffling and dropout
seconds             float64  the trial's share of its device over these epochs: evaluation included,
                             compilation not
hyperparameters     float64  one column each, under its own name, in alphabetical order
protocol, task,     string   what the directory says, so that a row stands by itself
sampler, optimizer
finished            string   UTC time, ISO 8601
provenance          string   JSON, keys sorted: git commit and dirtiness, versions, device, flags
config              string   JSON, keys sorted: the full configuration of the study
==================  =======  ==========================================================================

``curves.parquet`` - one row an epoch: ``trial``, ``epoch`` (from 0), ``seconds`` (that epoch's share of the
device) and one float32 column a metric, named after its split: ``train/loss``, ``test/loss``.

``seconds`` divide the device's time among the trials that it served together: those of a dispatch are shared
equally by the epochs it ran, of whichever lanes. Summed over trials they are the time a device computed.
Where lanes are mapped, one after the other, they are also about how long an epoch takes; where they are
vmapped, it takes up to as many times longer as there are lanes. ``lanes`` in the provenance says which it
was: ``layout``, ``width`` (lanes of a dispatch) and ``queue`` (dispatches in flight on a device). Seconds
of different layouts, widths or devices do not compare.

While a study runs, every ``append`` leaves one file in ``pending/``, written before its trials are told
to Optuna: a row a trial, the epochs of its curve as a list in the column ``curve``. ``compact`` folds
these files into the two tables.
"""

import contextlib
import itertools
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from induced_metric._schema import (
    EPOCH_SECONDS,
    NESTED,
    OUTCOME,
    RESERVED,
    Records,
    check_hyperparameter_names,
    curve_table,
    schema,
    tidy,
    trial_table,
)

__all__ = [
    "EPOCH_SECONDS",
    "NESTED",
    "OUTCOME",
    "RESERVED",
    "RecordStore",
    "Records",
    "check_hyperparameter_names",
    "curve_table",
    "durable",
    "load",
    "samplers",
    "studies",
    "study_directory",
    "study_name",
    "tasks",
    "tidy",
    "trial_table",
    "write_table",
]


def study_name(protocol: str, task: str, sampler: str, optimizer: str) -> str:
    """What a study is called where there are no directories: in Optuna's storage, as a group in W&B."""
    return f"{protocol}-{task}-{sampler}-{optimizer}"


def study_directory(results: str | Path, protocol: str, task: str, sampler: str, optimizer: str) -> Path:
    """The directory of one study's records."""
    return Path(results) / "records" / protocol / task / sampler / optimizer


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
        files = [_read(path) for path in sorted(self._pending.glob("*.parquet"))]
        rows, epochs = (_read(self.directory / f"{name}.parquet") for name in ("trials", "curves"))
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
                # By the schema: pandas would make its strings of another type, which nothing appended joins.
                table = pa.Table.from_pandas(frame, schema(frame.columns), preserve_index=False)
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


def _read(path: Path) -> pa.Table | None:
    try:
        with pq.ParquetFile(path) as file:
            return file.read()
    except FileNotFoundError:
        return None


def _frame(tables: list[pa.Table], key: list[str]) -> pd.DataFrame:
    frame: pd.DataFrame = pa.concat_tables(tables, promote_options="permissive").to_pandas()
    return frame.drop_duplicates(key).sort_values(key, ignore_index=True)


def write_table(table: pa.Table, path: Path, *, compression_level: int) -> None:
    """Writes a table durably, in the encoding that suits floating-point columns."""
    floats = [field.name for field in table.schema if pa.types.is_floating(field.type)]
    with durable(path) as file:
        pq.write_table(
            table,
            file,
            compression="zstd",
            compression_level=compression_level,
            use_dictionary=[name for name in table.column_names if name not in floats],
            use_byte_stream_split=floats,
        )


@contextlib.contextmanager
def durable(path: Path) -> Iterator[IO[bytes]]:
    """A file to write, synced and renamed to ``path`` at the end: a reader sees the whole of it or none."""
    temporary = path.with_suffix(".tmp")
    with temporary.open("wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _subdirectories(path: Path) -> list[str]:
    return sorted(child.name for child in path.glob("*") if child.is_dir())


def tasks(*, protocol: str = "paper", results: str | Path = "results") -> list[str]:
    """The tasks that have records, by name."""
    root = Path(results) / "records" / protocol
    return [name for name in _subdirectories(root) if samplers(name, protocol=protocol, results=results)]


def samplers(task: str, *, protocol: str = "paper", results: str | Path = "results") -> list[str]:
    """The samplers that have records of a task, by name."""
    root = Path(results) / "records" / protocol / task
    return [name for name in _subdirectories(root) if _recorded(root / name)]


def studies(
    task: str,
    *,
    protocol: str = "paper",
    sampler: str = "tpe",
    optimizers: Iterable[str] | None = None,
    results: str | Path = "results",
) -> list[str]:
    """The optimizers with records, or those of them that are asked for, in the order asked for.

    Raises:
        FileNotFoundError: if one that is asked for has no record, or none has; the message says which exist.
    """
    root = study_directory(results, protocol, task, sampler, "")
    found = _recorded(root)
    wanted = found if optimizers is None else list(optimizers)
    missing = [name for name in wanted if name not in found]
    if missing or not wanted:
        others = samplers(task, protocol=protocol, results=results)
        raise FileNotFoundError(
            f"no records of {', '.join(missing) or task} under {root};"
            f" there are: {', '.join(found) or 'none'}"
            f" (samplers with records: {', '.join(others) or 'none'})"
        )
    return wanted


def _recorded(root: Path) -> list[str]:
    """The optimizers below a sampler's directory that have at least one record."""
    return [
        name
        for name in _subdirectories(root)
        if (root / name / "trials.parquet").exists() or any((root / name / "pending").glob("*.parquet"))
    ]


def load(
    task: str,
    *,
    protocol: str = "paper",
    sampler: str = "tpe",
    optimizers: Iterable[str] | None = None,
    results: str | Path = "results",
) -> Records:
    """Loads the records of a task.

    Args:
        task: name of the task.
        protocol: name of the protocol.
        sampler: ``tpe``, ``random``, ``tpe+hyperband`` ...
        optimizers: which to load; all that have records by default.
        results: the results directory.

    Returns:
        Trials and curves of all studies, each with a column ``optimizer``.

    Raises:
        FileNotFoundError: if a study asked for has no record; the message says which exist.
    """
    names = studies(task, protocol=protocol, sampler=sampler, optimizers=optimizers, results=results)
    read = [
        (name, RecordStore(study_directory(results, protocol, task, sampler, name)).read()) for name in names
    ]
    return tidy(
        pd.concat([study.trials.assign(optimizer=name) for name, study in read], ignore_index=True),
        pd.concat([study.curves.assign(optimizer=name) for name, study in read], ignore_index=True),
    )
