"""Writes every table and figure whose records exist."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from induced_metric.analysis.landscapes import grid


def write(results: Path, paper: Path) -> Iterator[Path]:
    """Yields the paths written under ``results``."""
    records = results / "landscapes"
    if (records / "grid.parquet").exists():
        yield from _grid(records, paper)


def _grid(records: Path, paper: Path) -> Iterator[Path]:
    runs, nudged = (pd.read_parquet(records / f"{name}.parquet") for name in ("grid", "nudged"))
    for name, table in {
        "best": grid.best_table(runs),
        "counts": grid.counts(runs),
        "comparison": grid.compare(runs, nudged, paper),
    }.items():
        path = records / f"{name}.csv"
        table.to_csv(path, index=False)
        yield path
