"""``induced-metric claims``: prints and writes the verdicts on the paper's claims."""

import argparse
import sys
from pathlib import Path

from induced_metric.cli.reports import say_written


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the results directory, and the document that shows the short table."""
    parser.add_argument(
        "--results", type=Path, help="default: results if it has records, otherwise results/published"
    )
    parser.add_argument(
        "--readme", type=Path, help="a document; the short table is also written between its markers"
    )


def run(results: Path | None, readme: Path | None) -> None:
    """Prints the table and writes it to ``tables/claims`` in the results directory.

    Args:
        results: the results directory; by default the first of ``analysis.runs.places`` that has records.
        readme: a document with the markers between which the short table is written.
    """
    from induced_metric.analysis import paper_claims, runs

    results = runs.with_records(results) if results else runs.locate_results()
    table = paper_claims.decide_all(results)
    made = paper_claims.claims_table(table)
    sys.stdout.write("\n".join([made.title, "", *paper_claims.lines(table), "", *made.notes, ""]) + "\n")
    paths = made.write(results / "tables" / "claims")
    if readme is not None:
        paper_claims.put_into(readme, paper_claims.first_screen(table, results, readme.parent))
        paths.append(readme)
    say_written(paths)
