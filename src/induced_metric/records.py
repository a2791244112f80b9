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
seconds             float64  device seconds of these epochs, evaluation included, compilation not
hyperparameters     float64  one column each, under its own name
protocol, task,     string   what the directory says, so that a row stands by itself
sampler, optimizer
finished            string   UTC time, ISO 8601
provenance          string   JSON: git commit and dirtiness, versions, device, flags
config              string   JSON: the full configuration of the study
==================  =======  ==========================================================================

``curves.parquet`` - one row an epoch: ``trial``, ``epoch`` (from 0), ``seconds`` (device seconds of that
epoch) and one float32 column a metric, named after its split: ``train/loss``, ``test/loss``.

While a study runs, finished trials lie in ``pending/`` in files of their own, written before the trial
is told to Optuna; ``compact`` folds them into the two tables.
"""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

RESERVED = frozenset(
    "trial state diverged value objective direction best_epoch epochs seed seconds protocol task sampler "
    "optimizer finished provenance config".split()
)


class Records(NamedTuple):
    """Two DataFrames: ``trials``, one row a trial, and ``curves``, one row an epoch."""

    trials: pd.DataFrame
    curves: pd.DataFrame


def study_directory(results: str | Path, protocol: str, task: str, sampler: str, optimizer: str) -> Path:
    """The directory of one study's records."""
    return Path(results) / "records" / protocol / task / sampler / optimizer


class RecordStore:
    """Append-only store of one study's records."""

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory)
        self._pending = self.directory / "pending"

    def append(self, trials: Sequence[Mapping[str, Any]], curves: Sequence[Mapping[str, Any]]) -> None:
        """Writes finished trials, durably: on return they survive a crash of the machine.

        Args:
            trials: one row a trial, by column name.
            curves: for each of them, its columns by name, as arrays with one entry an epoch.

        Raises:
            ValueError: if there is not one curve a trial.
        """
        numbers = [int(row["trial"]) for row in trials]
        tables = [
            pa.table({"trial": pa.array([number] * len(curve["epoch"]), pa.int64()), **curve})
            for number, curve in zip(numbers, curves, strict=True)
        ]
        self._pending.mkdir(parents=True, exist_ok=True)
        stem = f"{numbers[0]:06d}"
        # The curve goes first: a trial counts as recorded once its row is there.
        _write(pa.concat_tables(tables), self._pending / f"curves-{stem}.parquet")
        _write(pa.Table.from_pylist([dict(row) for row in trials]), self._pending / f"trials-{stem}.parquet")

    def trials(self) -> pd.DataFrame:
        """One row a finished trial, by number; empty, without columns, where there is none."""
        return self._read("trials", ["trial"])

    def curves(self) -> pd.DataFrame:
        """One row an epoch of each finished trial."""
        curves = self._read("curves", ["trial", "epoch"])
        if curves.empty:
            return curves
        # A curve whose trial row never came belongs to a trial that will be trained again.
        return curves[curves["trial"].isin(self.trials()["trial"])].reset_index(drop=True)

    def compact(self) -> None:
        """Folds the pending files into ``trials.parquet`` and ``curves.parquet``."""
        pending = sorted(self._pending.glob("*.parquet"))
        if not pending:
            return
        tables = {"curves": self.curves(), "trials": self.trials()}
        for kind, frame in tables.items():
            table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
            _write(table, self.directory / f"{kind}.parquet")
        for path in pending:
            path.unlink()
        self._pending.rmdir()

    def _read(self, kind: str, key: list[str]) -> pd.DataFrame:
        paths = [self.directory / f"{kind}.parquet", *sorted(self._pending.glob(f"{kind}-*.parquet"))]
        tables = [pq.read_table(path) for path in paths if path.exists()]
        if not tables:
            return pd.DataFrame()
        frame = pa.concat_tables(tables, promote_options="permissive").to_pandas()
        # A crash between folding and deleting leaves a row in two files.
        return frame.drop_duplicates(key).sort_values(key).reset_index(drop=True)


def _write(table: pa.Table, path: Path) -> None:
    """Writes under another name, syncs and renames: a reader sees the whole file or none."""
    temporary = path.with_suffix(".tmp")
    floats = [field.name for field in table.schema if pa.types.is_floating(field.type)]
    with temporary.open("wb") as file:
        pq.write_table(
            table,
            file,
            compression="zstd",
            compression_level=9,
            use_dictionary=[name for name in table.column_names if name not in floats],
            use_byte_stream_split=floats,
        )
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def samplers(task: str, *, protocol: str = "paper", results: str | Path = "results") -> list[str]:
    """The samplers that have records of a task, by name."""
    return sorted(
        path.name for path in (Path(results) / "records" / protocol / task).glob("*") if path.is_dir()
    )


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
    root = study_directory(results, protocol, task, sampler, "")
    found = sorted(path.name for path in root.glob("*") if path.is_dir())
    wanted = found if optimizers is None else list(optimizers)
    missing = [name for name in wanted if name not in found]
    if missing or not wanted:
        raise FileNotFoundError(
            f"no records of {', '.join(missing) or task} under {root}; there are: {', '.join(found) or 'none'}"
            f" (samplers with records: {', '.join(samplers(task, protocol=protocol, results=results)) or 'none'})"
        )
    trials, curves = [], []
    for name in wanted:
        store = RecordStore(root / name)
        trials.append(store.trials().assign(optimizer=name))
        curves.append(store.curves().assign(optimizer=name))
    return Records(pd.concat(trials, ignore_index=True), pd.concat(curves, ignore_index=True))


def check_hyperparameter_names(names: Iterable[str]) -> None:
    """Raises ValueError for a hyperparameter whose name is a column of its own or not an identifier."""
    for name in names:
        if name in RESERVED or not re.fullmatch(r"[a-z_][a-z0-9_]*", name):
            raise ValueError(
                f"a hyperparameter cannot be called {name!r}: reserved are {', '.join(sorted(RESERVED))}"
            )
