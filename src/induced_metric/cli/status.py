"""``induced-metric status``: shows the progress of all studies of a results directory, once or repeatedly."""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from induced_metric.cli import arguments as common

if TYPE_CHECKING:
    from induced_metric.cli.watched import Watched

_WIDTH = 200  # columns if the output is not a terminal


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the studies, where to look for trials under way, and the output format."""
    common.watched(parser)
    common.results(parser)
    parser.add_argument("--storage", choices=["journal", "postgresql"], default="journal")
    parser.add_argument(
        "--url-file", help="file with the database's URL (default: $INDUCED_METRIC_STORAGE has it)"
    )
    parser.add_argument("--json", action="store_true", dest="as_json", help="print a JSON object")
    common.every(parser, "show the progress")


def run(results: Path, *, as_json: bool, every: float | None, **chosen: Any) -> None:
    """Prints the progress of the studies, once or repeatedly until all have their trials.

    Args:
        results: the results directory.
        as_json: print one JSON object per line instead of tables.
        every: seconds between two looks; None looks once.
        chosen: arguments of ``Watched``.
    """
    from induced_metric.cli.watched import Watched, tables

    common.check_known(results, task=chosen["task"], protocol=chosen["protocol"])
    watched = Watched(results, **chosen)
    if as_json:
        _repeat(watched, every, lambda said: print(json.dumps(said), flush=True))
        return
    from rich.console import Group
    from rich.live import Live

    from induced_metric.cli import views

    console = views.console(width=_WIDTH)
    if every is None or not console.is_interactive:
        _repeat(watched, every, lambda said: console.print(*tables(said)))
        return
    with Live(console=console, auto_refresh=False) as live:
        _repeat(watched, every, lambda said: live.update(Group(*tables(said)), refresh=True))


def _repeat(watched: "Watched", every: float | None, show: Callable[[dict[str, Any]], object]) -> None:
    while True:
        progress = watched.look(time.time())
        show(progress)
        studies = progress["studies"]
        if every is None or (studies and all(study["seconds_left"] == 0 for study in studies)):
            return
        time.sleep(every)
