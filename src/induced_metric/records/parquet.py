"""Parquet files, written whole and synced, with floating-point columns in the encoding that suits them."""

import contextlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

_PROVENANCE = b"provenance"


def write_table(
    table: pa.Table, path: Path, *, compression_level: int, provenance: Mapping[str, Any] | None = None
) -> None:
    """Writes a table durably, with its provenance, where given, in the metadata of its schema."""
    if provenance is not None:
        table = table.replace_schema_metadata({_PROVENANCE: json.dumps(dict(provenance))})
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


def read_table(path: Path, columns: Sequence[str] | None = None) -> pa.Table | None:
    """The table of a file, or some of its columns; None where there is no such file."""
    try:
        with pq.ParquetFile(path) as file:
            return file.read(columns)
    except FileNotFoundError:
        return None


def read_provenance(path: Path) -> dict[str, Any]:
    """The provenance that a table was written with.

    Raises:
        ValueError: if it was written without any.
    """
    metadata = pq.read_schema(path).metadata or {}
    if _PROVENANCE not in metadata:
        raise ValueError(f"{path} carries no provenance")
    return dict(json.loads(metadata[_PROVENANCE]))


@contextlib.contextmanager
def durable(path: Path) -> Iterator[IO[bytes]]:
    """A file to write, synced and renamed to ``path`` at the end: a reader sees the whole of it or none."""
    temporary = path.with_suffix(".tmp")
    with temporary.open("wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    synced(path.parent)


def synced(directory: Path) -> None:
    """Makes the names in a directory survive a crash of the machine."""
    opened = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
