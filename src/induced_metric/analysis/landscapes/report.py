"""Writes every table, figure and page whose records exist; ``python -m`` this module does only that."""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from induced_metric.analysis.landscapes import (
    claims,
    concept_figures,
    fair,
    fair_figures,
    grid,
    grid_figures,
    page,
    readme,
)
from induced_metric.analysis.style import save

FIGURE_1 = ("beale", "sgd_log_metric")
"""Function and optimizer of Figure 1."""


def write(results: Path, paper: Path) -> Iterator[Path]:
    """Yields the paths written under ``results``."""
    records, figures = results / "landscapes", results / "figures"
    tables = {path.stem: pd.read_parquet(path) for path in records.glob("*.parquet")}
    csv: dict[str, pd.DataFrame] = {}
    sections: list[str] = []
    if {"grid", "nudged"} <= set(tables):
        csv["best"] = grid.best_table(tables["grid"])
        csv["counts"] = grid.counts(tables["grid"])
        # A part of the grid, as in a test, has no published counterpart.
        if len(tables["nudged"]) and _whole(csv["counts"], paper):
            csv["comparison"] = grid.compare(tables["grid"], tables["nudged"], paper)
            csv["counts_comparison"] = grid.compare_counts(tables["grid"], tables["nudged"], paper)
            sections.append(readme.grid_section(csv["comparison"], csv["counts_comparison"]))
    if "timing" in tables:
        sections.append(readme.timing_section(tables["timing"]))
    if "fair_runs" in tables:
        csv["fair"] = fair.summary(tables["fair_runs"])
        csv["fair_budget"] = fair.against_budget(tables["fair_settings"])
        sections.append(readme.fair_section(csv["fair"]))
    if {"grid", "timing", "fair_runs"} <= set(tables) and "comparison" in csv:
        csv["verdicts"] = verdicts(tables, csv["fair"])
        sections.append(readme.verdict_section(csv["verdicts"]))
    for name, table in csv.items():
        path = records / f"{name}.csv"
        table.to_csv(path, index=False)
        yield path
    yield from _figures(tables, csv, figures)
    if "page_points" in tables:
        yield page.write(records, records / "landscapes.html")
    if sections:
        path = records / "README.md"
        path.write_text("# Functions of two variables\n\n" + "\n".join(sections), encoding="utf-8")
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


def _whole(counts: pd.DataFrame, paper: Path) -> bool:
    published = pd.read_csv(paper / "landscape_counts.csv")
    whole = int(published.loc[published["by"] == "function", "configurations"].sum())
    return int(counts.loc[counts["tolerance"] == "notebook", "configurations"].sum()) == whole


def _figures(tables: dict[str, pd.DataFrame], csv: dict[str, pd.DataFrame], figures: Path) -> Iterator[Path]:
    yield from save(concept_figures.smooth_clipping(), figures / "figure_2")
    yield from save(concept_figures.log_schedule(), figures / "figure_3")
    if {"page_surfaces", "paths"} <= set(tables):
        surface, path = tables["page_surfaces"], tables["paths"]
        surface = surface[surface["function"] == FIGURE_1[0]]
        chosen = (path["function"] == FIGURE_1[0]) & (path["optimizer"] == FIGURE_1[1])
        path = path[chosen & (path["tolerance"] == "notebook")]
        if len(path):
            yield from save(concept_figures.surface_and_path(surface, path, *FIGURE_1), figures / "figure_1")
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
    parser.add_argument("--paper", type=Path, default=Path("results/paper"))
    arguments = parser.parse_args(argv)
    for path in write(arguments.results, arguments.paper):
        print(f"wrote {path}")


if __name__ == "__main__":
    main()
