"""Parquet files, written whole and synced, with floating-point columns in the encoding that suits them."""

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from induced_metric.errors import UserError
from induced_metric.files import durable

_PROVENANCE = b"provenance"


def write_table(
    table: pa.Table, path: Path, *, compression_level: int, provenance: Mapping[str, Any] | None = None
) -> None:
    """Writes a table durably; its provenance, if given, goes into the metadata of the schema."""
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


def read_table(
    path: Path,
    columns: Sequence[str] | None = None,
    *,
    needs: Sequence[str] = (),
    remedy: str = "restore it from a copy",
) -> pa.Table | None:
    """Reads the table of a file; None if there is no such file.

    Args:
        path: of the file.
        columns: columns to read; all by default.
        needs: columns that the table must have.
        remedy: what to do about a file that is damaged.

    Raises:
        UserError: if the file is damaged.
    """
    try:
        with _whole(path, remedy), pq.ParquetFile(path) as file:
            table = file.read(columns)
            table.validate(full=True)
            if missing := [name for name in needs if name not in table.column_names]:
                raise pa.ArrowInvalid(f"it has no column {missing[0]}")
            return table
    except FileNotFoundError:
        return None


def read_provenance(path: Path) -> dict[str, Any]:
    """The provenance that a table was written with.

    Raises:
        UserError: if the file is damaged.
        ValueError: if it was written without any.
    """
    with _whole(path, "restore it from a copy"):
        metadata = pq.read_schema(path).metadata or {}
    if _PROVENANCE not in metadata:
        raise ValueError(f"{path} carries no provenance")
    return dict(json.loads(metadata[_PROVENANCE]))


@contextlib.contextmanager
def _whole(path: Path, remedy: str) -> Iterator[None]:
    """Raises UserError, which says that the file is damaged, if Arrow cannot read it in the block."""
    try:
        yield
    except (pa.ArrowException, UnicodeDecodeError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # Arrow's own errors have no number
            raise
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise UserError(f"{path} is damaged ({reason.rstrip('. ')}): {remedy}") from error
