"""Writes every table and figure whose records exist."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from induced_metric.analysis.landscapes import grid, grid_figures
from induced_metric.analysis.landscapes.style import save


def write(results: Path, paper: Path) -> Iterator[Path]:
    """Yields the paths written under ``results``."""
    records = results / "landscapes"
    if (records / "grid.parquet").exists():
        yield from _grid(records, paper)
        if (records / "timing.parquet").exists():
            yield from _grid_figures(records, results / "figures")


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


def _grid_figures(records: Path, figures: Path) -> Iterator[Path]:
    runs, paths, timing = (
        pd.read_parquet(records / f"{name}.parquet") for name in ("grid", "paths", "timing")
    )
    recorded = set(runs["function"])
    for number, function in grid_figures.NUMBERS.items():
        if function in recorded:
            figure = grid_figures.convergence(function, runs, paths, timing, number=number)
            yield from save(figure, figures / f"figure_{number}")
    yield from save(grid_figures.summary(runs, timing), figures / "landscapes_summary")
