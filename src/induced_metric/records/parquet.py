"""Parquet files, written whole and synced, with floating-point columns in the encoding that suits them."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq


def write_table(table: pa.Table, path: Path, *, compression_level: int) -> None:
    """Writes a table durably."""
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


def read_table(path: Path) -> pa.Table | None:
    """The table of a file; None where there is no such file."""
    try:
        with pq.ParquetFile(path) as file:
            return file.read()
    except FileNotFoundError:
        return None


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
