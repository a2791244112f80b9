"""``induced-metric report``: writes one page to explore, from all records of a results directory."""

import argparse
from functools import partial
from pathlib import Path

from induced_metric.cli.reports import say_written


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the option of the command."""
    parser.add_argument(
        "--results", type=Path, help="default: results if it has records, otherwise results/published"
    )


def run(results: Path | None) -> None:
    """Writes ``report.html`` into the results directory."""
    from induced_metric.analysis import report, runs

    say_written([report.write(results or runs.locate_results(), say=partial(print, flush=True))])
