"""Writes every table, figure and page whose records exist."""

from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import pandas as pd

from induced_metric.analysis.landscapes import (
    claims,
    comparison,
    concepts,
    figures,
    overview,
    page,
    sections,
    success,
)
from induced_metric.analysis.style import save
from induced_metric.records.published import PAPER

_Tables: TypeAlias = dict[str, pd.DataFrame]
FIGURE_1 = ("beale", "sgd_log_metric")
"""Function and optimiser of Figure 1."""


def write(results: Path) -> Iterator[Path]:
    """Writes them under ``results``; yields their paths."""
    records = results / "landscapes"
    tables = {path.stem: pd.read_parquet(path) for path in records.glob("*.parquet")}
    csv: _Tables = {}
    written: list[str] = []
    if {"grid", "nudged"} <= set(tables):
        csv["best"] = comparison.best_table(tables["grid"])
        csv["counts"] = comparison.counts(tables["grid"])
        # Only the whole grid has a published counterpart; a test records a part of it.
        if len(tables["nudged"]) and _whole(csv["counts"]):
            csv["comparison"] = comparison.compare(tables["grid"], tables["nudged"])
            csv["counts_comparison"] = comparison.compare_counts(tables["grid"], tables["nudged"])
            written.append(sections.grid_section(csv["comparison"], csv["counts_comparison"]))
    if "timing" in tables:
        written.append(sections.timing_section(tables["timing"]))
    if "fair_runs" in tables:
        csv["fair"] = success.summary(tables["fair_runs"])
        csv["fair_budget"] = success.against_budget(tables["fair_settings"])
        written.append(sections.fair_section(csv["fair"]))
    if "comparison" in csv and claims.complete(tables):
        csv["verdicts"] = claims.verdicts(tables, csv["fair"])
        written.append(sections.verdict_section(csv["verdicts"]))
    for name, table in csv.items():
        path = records / f"{name}.csv"
        table.to_csv(path, index=False)
        yield path
    yield from _figures(tables, csv, results / "figures")
    if "page_points" in tables:
        yield page.write(records, records / "landscapes.html", csv.get("fair"))
    if written:
        path = records / "README.md"
        path.write_text("# Functions of two variables\n\n" + "\n".join(written), encoding="utf-8")
        yield path


def _whole(counts: pd.DataFrame) -> bool:
    published = pd.read_csv(PAPER / "landscape_counts.csv")
    whole = int(published.loc[published["by"] == "function", "configurations"].sum())
    return int(counts.loc[counts["tolerance"] == "notebook", "configurations"].sum()) == whole


def _figures(tables: _Tables, csv: _Tables, directory: Path) -> Iterator[Path]:
    yield from save(concepts.smooth_clipping(), directory / "figure_2")
    yield from save(concepts.log_schedule(), directory / "figure_3")
    if {"page_surfaces", "paths"} <= set(tables):
        surface, path = tables["page_surfaces"], tables["paths"]
        surface = surface[surface["function"] == FIGURE_1[0]]
        chosen = (path["function"] == FIGURE_1[0]) & (path["optimizer"] == FIGURE_1[1])
        path = path[chosen & (path["tolerance"] == "notebook")]
        if len(path):
            yield from save(concepts.surface_and_path(surface, path, *FIGURE_1), directory / "figure_1")
    if {"grid", "paths", "timing"} <= set(tables):
        runs, timing = tables["grid"], tables["timing"]
        recorded = set(runs["function"])
        for number, function in figures.NUMBERS.items():
            if function in recorded:
                figure = figures.convergence(function, runs, tables["paths"], timing, number=number)
                yield from save(figure, directory / f"figure_{number}")
        yield from save(overview.grid(runs, timing), directory / "landscapes_summary")
    if "fair" in csv:
        yield from save(overview.fair(csv["fair"], csv["fair_budget"]), directory / "landscapes_fair")
