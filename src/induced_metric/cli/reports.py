"""``induced-metric tables`` and ``figures``: the tables and figures of a task, made from its records."""

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from induced_metric.cli import arguments as common
from induced_metric.errors import UserError

if TYPE_CHECKING:
    from induced_metric.analysis.reports import Kind


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the studies, and what to report about them."""
    common.study(parser)
    common.results(parser)
    common.samplers(parser, "all that search and have records")
    parser.add_argument(
        "--best",
        type=common.count,
        help="number of runs averaged (default: 50, at most a quarter of the trials)",
    )
    parser.add_argument(
        "--targets",
        nargs="+",
        type=float,
        metavar="VALUE",
        help="of the objective, for the time to target (default: the task's, near the published level)",
    )


def run(kind: "Kind", task: str, results: Path, **options: Any) -> None:
    """Writes all tables or all figures of a task, prints the tables, and updates documents that quote them.

    Args:
        kind: ``tables`` or ``figures``.
        task: the name of the task.
        results: the results directory.
        options: arguments of ``analysis.making.plan``.

    Raises:
        UserError: if none could be made.
    """
    from induced_metric.analysis import making, quoting
    from induced_metric.analysis.rendering import Table
    from induced_metric.cli import views

    common.check_known(results, task=task, protocol=options["protocol"])
    common.check_directory(results)
    console = views.console()
    paths: list[Path] = []
    unmade: dict[Path, str] = {}
    for stem, made in making.make(kind, task, results=results, **options):
        if isinstance(made, str):
            unmade[stem] = made
            continue
        if isinstance(made, Table):
            views.say_table(console, made)
        paths += making.write(stem, made)
    if unmade and not paths:
        raise UserError(f"none of the {kind} could be made: {'; '.join(dict.fromkeys(unmade.values()))}")
    say_written([*paths, *quoting.renew(results)])
    # Last, where the many lines of the others do not hide it.
    for stem, reason in unmade.items():
        sys.stdout.write(f"{stem} was not made: {reason}\n")


def say_written(paths: Iterable[Path]) -> None:
    """Prints the files that were written."""
    for path in paths:
        sys.stdout.write(f"wrote {path}\n")
