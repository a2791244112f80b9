"""``induced-metric tables`` and ``figures``: what the list of reports makes of a task's records."""

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from induced_metric.cli import arguments as common

if TYPE_CHECKING:
    from induced_metric.analysis.reports import Kind

LOG_WIDTH = 160
"""Columns where the output is no terminal: a log has no edge at which a number would have to end."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Which studies, and what is said of them."""
    common.study(parser)
    common.results(parser)
    common.samplers(parser, "all that search and have records")
    parser.add_argument(
        "--best", type=common.count, help="runs summarised (default: 50, at most a quarter of the trials)"
    )
    parser.add_argument(
        "--targets",
        nargs="+",
        type=float,
        metavar="VALUE",
        help="of the objective, for the time to them (default: the task's, near the published level)",
    )


def run(kind: "Kind", task: str, results: Path, **options: Any) -> None:
    """Prints the tables, and writes what there is of this kind, also where documents beside it quote a table.

    Args:
        kind: ``tables`` or ``figures``.
        task: whose.
        results: the results directory.
        options: as of ``analysis.making.plan``.
    """
    from rich.console import Console

    from induced_metric.analysis import making, quoting
    from induced_metric.analysis.rendering import Table

    common.check_known(results, task=task, protocol=options["protocol"])
    common.check_directory(results)
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=LOG_WIDTH)
    paths = []
    for stem, made in making.make(kind, task, results=results, **options):
        if isinstance(made, Table):
            console.print(made.title, "", made.terminal(), "", *made.notes, "", sep="\n")
        paths += making.write(stem, made)
    say_written([*paths, *quoting.renew(results)])


def say_written(paths: Iterable[Path]) -> None:
    """Says which files there are now."""
    for path in paths:
        sys.stdout.write(f"wrote {path}\n")
