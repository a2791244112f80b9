"""Writes every table, figure and page whose records exist; ``python -m`` this module does only that."""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from induced_metric.analysis.landscapes import (
    claims,
    comparison,
    concepts,
    fair_figures,
    grid_figures,
    page,
    sections,
    success,
)
from induced_metric.analysis.style import save
from induced_metric.records.published import PAPER

FIGURE_1 = ("beale", "sgd_log_metric")
"""Function and optimizer of Figure 1."""


def write(results: Path) -> Iterator[Path]:
    """Yields the paths written under ``results``."""
    records, figures = results / "landscapes", results / "figures"
    tables = {path.stem: pd.read_parquet(path) for path in records.glob("*.parquet")}
    csv: dict[str, pd.DataFrame] = {}
    written: list[str] = []
    if {"grid", "nudged"} <= set(tables):
        csv["best"] = comparison.best_table(tables["grid"])
        csv["counts"] = comparison.counts(tables["grid"])
        # A part of the grid, as in a test, has no published counterpart.
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
    if {"grid", "timing", "fair_runs"} <= set(tables) and "comparison" in csv:
        csv["verdicts"] = verdicts(tables, csv["fair"])
        written.append(sections.verdict_section(csv["verdicts"]))
    for name, table in csv.items():
        path = records / f"{name}.csv"
        table.to_csv(path, index=False)
        yield path
    yield from _figures(tables, csv, figures)
    if "page_points" in tables:
        yield page.write(records, records / "landscapes.html")
    if written:
        path = records / "README.md"
        path.write_text("# Functions of two variables\n\n" + "\n".join(written), encoding="utf-8")
        yield path


def verdicts(tables: dict[str, pd.DataFrame], summary: pd.DataFrame) -> pd.DataFrame:
    """Claims 1-7 by the published grid and by the two arms of the fair study, for each tolerance."""
    timing = tables["timing"]
    return pd.concat(
        [
            claims.verdicts(
                {
                    f"published start{suffix}": claims.grid_evidence(
                        tables["grid"], tables["nudged"], timing, tolerance
                    ),
                    f"tuned{suffix}": claims.fair_evidence(summary, timing, "tuned", tolerance),
                    f"shared{suffix}": claims.fair_evidence(summary, timing, "shared", tolerance),
                }
            )
            for tolerance, suffix in (("notebook", ""), ("paper_text", ", 1e-10"))
        ]
    )


def _whole(counts: pd.DataFrame) -> bool:
    published = pd.read_csv(PAPER / "landscape_counts.csv")
    whole = int(published.loc[published["by"] == "function", "configurations"].sum())
    return int(counts.loc[counts["tolerance"] == "notebook", "configurations"].sum()) == whole


def _figures(tables: dict[str, pd.DataFrame], csv: dict[str, pd.DataFrame], figures: Path) -> Iterator[Path]:
    yield from save(concepts.smooth_clipping(), figures / "figure_2")
    yield from save(concepts.log_schedule(), figures / "figure_3")
    if {"page_surfaces", "paths"} <= set(tables):
        surface, path = tables["page_surfaces"], tables["paths"]
        surface = surface[surface["function"] == FIGURE_1[0]]
        chosen = (path["function"] == FIGURE_1[0]) & (path["optimizer"] == FIGURE_1[1])
        path = path[chosen & (path["tolerance"] == "notebook")]
        if len(path):
            yield from save(concepts.surface_and_path(surface, path, *FIGURE_1), figures / "figure_1")
    if {"grid", "paths", "timing"} <= set(tables):
        runs, timing = tables["grid"], tables["timing"]
        recorded = set(runs["function"])
        for number, function in grid_figures.NUMBERS.items():
            if function in recorded:
                figure = grid_figures.convergence(function, runs, tables["paths"], timing, number=number)
                yield from save(figure, figures / f"figure_{number}")
        yield from save(grid_figures.summary(runs, timing), figures / "landscapes_summary")
    if "fair" in csv:
        yield from save(fair_figures.success(csv["fair"], csv["fair_budget"]), figures / "landscapes_fair")


def main(argv: Sequence[str] | None = None) -> None:
    """Writes everything again from the records alone."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=Path("results"))
    arguments = parser.parse_args(argv)
    for path in write(arguments.results):
        print(f"wrote {path}")


if __name__ == "__main__":
    main()
