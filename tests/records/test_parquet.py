"""The one writer of tables: whole or not at all, with provenance where given."""

import pyarrow as pa
import pytest

from induced_metric.files import durable
from induced_metric.records.parquet import read_provenance, read_table, write_table

TABLE = pa.table({"trial": [0, 1], "value": [0.5, 0.25], "state": ["complete", "pruned"]})


def test_a_table_comes_back_with_its_provenance(tmp_path):
    path = tmp_path / "table.parquet"
    write_table(TABLE, path, compression_level=1, provenance={"commit": "abc", "config": {"seed": 3}})
    assert read_provenance(path) == {"commit": "abc", "config": {"seed": 3}}
    assert read_table(path).equals(TABLE)
    assert [each.name for each in tmp_path.iterdir()] == ["table.parquet"]


def test_a_table_without_provenance_says_so(tmp_path):
    path = tmp_path / "table.parquet"
    write_table(TABLE, path, compression_level=1)
    with pytest.raises(ValueError, match="carries no provenance"):
        read_provenance(path)


def test_what_fails_on_the_way_leaves_the_file_as_it_was(tmp_path):
    path = tmp_path / "table.parquet"
    write_table(TABLE, path, compression_level=1)

    def write():
        with durable(path) as file:
            file.write(b"half")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write()
    assert read_table(path).equals(TABLE)
