"""Pending files: rows with their curves until they go into the tables, and which process was first."""

import errno
import itertools
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from induced_metric.errors import UserError
from induced_metric.records.schema import curve_table, trial_table

_WITHOUT_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS)


def nested(trials: Sequence[Mapping[str, Any]], curves: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Rows of trials, each with its curve as a list of structs, one struct per epoch."""
    rows = trial_table(trials)
    tables = [curve_table(row["trial"], curve) for row, curve in zip(trials, curves, strict=True)]
    epochs = pa.concat_tables(tables, promote_options="default").drop_columns("trial").combine_chunks()
    ends = itertools.accumulate((table.num_rows for table in tables), initial=0)
    lists = pa.ListArray.from_arrays(pa.array(ends, pa.int32()), _structs(epochs))
    return rows.append_column("curve", lists)


def _structs(table: pa.Table) -> pa.StructArray:
    return pa.StructArray.from_arrays(
        [column.combine_chunks() for column in table.columns], table.column_names
    )


def flat(files: Sequence[pa.Table]) -> tuple[pa.Table, pa.Table]:
    """Turns tables made by ``nested`` into two: the rows of the trials, and their curves."""
    # Permissive: of a choice between 0 and 0.1, some files have integers and some real numbers.
    table = pa.concat_tables(files, promote_options="permissive")
    lists = table["curve"].combine_chunks()
    numbers = table["trial"].combine_chunks().take(pc.list_parent_indices(lists))
    return table.drop_columns("curve"), pa.Table.from_struct_array(lists.flatten()).add_column(
        0, "trial", numbers
    )


def publishes(path: Path) -> int | None:
    """The trial that ``publish`` is writing to this file, or was when it was killed; None for other files."""
    name, *rest = path.stem.split("-")
    return int(rest[0]) if name == "trials" and len(rest) > 1 else None


def linked(mine: Path, final: Path) -> bool:
    """Gives a file its final name; returns whether it was the first to get that name."""
    try:
        os.link(mine, final)
    except FileExistsError:
        # Over NFS the first reply may be lost although the link was made.
        return mine.stat().st_nlink > 1
    except OSError as error:
        if error.errno not in _WITHOUT_LINKS:
            raise
        raise UserError(
            f"{final.parent.parent} must lie on a file system with hard links, by which workers agree on who "
            f"was first ({error.strerror})"
        ) from error
    return True
