"""Parquet tables that carry their provenance in the schema's metadata."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq


def write(frame: pd.DataFrame, path: Path, provenance: Mapping[str, Any]) -> None:
    """Writes a table whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pandas(frame, preserve_index=False)
    table = table.replace_schema_metadata({"provenance": json.dumps(dict(provenance))})
    temporary = path.with_suffix(".tmp")
    floats = [field.name for field in table.schema if pa.types.is_floating(field.type)]
    pq.write_table(
        table,
        temporary,
        compression="zstd",
        compression_level=9,
        use_dictionary=[name for name in table.column_names if name not in floats],
        use_byte_stream_split=floats,
    )
    temporary.replace(path)


def provenance(path: Path) -> dict[str, Any]:
    """What ``write`` was given for this file."""
    return dict(json.loads(pq.read_schema(path).metadata[b"provenance"]))
