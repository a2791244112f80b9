"""``induced-metric wandb``: mirrors the recorded trials of a task to Weights & Biases, once or repeatedly."""

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from induced_metric.cli import arguments as common
from induced_metric.errors import UserError, check_platform

if TYPE_CHECKING:
    from induced_metric.records import RecordFeed, StudyKey
    from induced_metric.tracking import Mode


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the trials to mirror, and where they go."""
    common.study(parser)
    common.results(parser)
    common.samplers(parser, "all that have records")
    parser.add_argument("--optimizers", nargs="+", metavar="OPTIMIZER", help="default: all that have records")
    parser.add_argument("--mode", choices=["offline", "online", "disabled"], default="offline")
    parser.add_argument("--project", default="induced-metric", help="default: induced-metric")
    parser.add_argument("--entity", help="user or team (default: that of the account)")
    common.every(parser, "mirror new trials")


def run(every: float | None, **chosen: Any) -> None:
    """Mirrors the recorded trials. With ``every``, later rounds report a failure and try again next time.

    Args:
        every: seconds between two rounds; None mirrors once.
        chosen: arguments of ``tracking.export``.
    """
    check_platform()
    common.check_known(chosen["results"], task=chosen["task"], protocol=chosen["protocol"])
    common.check_directory(chosen["results"])
    feeds: dict[StudyKey, RecordFeed] = {}
    _mirror(**chosen, feeds=feeds)
    while every is not None and chosen["mode"] != "disabled":
        try:
            time.sleep(every)
            _mirror(**chosen, feeds=feeds, quiet=True)
        except (OSError, UserError) as error:  # the next round may succeed
            feeds.clear()
            sys.stderr.write(f"induced-metric wandb: {error}\n")
        except KeyboardInterrupt:
            return


def _mirror(mode: "Mode", project: str, results: Path, *, quiet: bool = False, **options: Any) -> None:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from induced_metric.tracking import export

    columns = (TextColumn("W&B runs"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, disable=quiet) as bar:
        line = bar.add_task("export", total=None)
        count = export(
            **options, mode=mode, project=project, results=results,
            progress=lambda done, total: bar.update(line, completed=done, total=total),
        )  # fmt: skip
    where = results / "wandb" if mode == "offline" else project
    if count or not quiet:
        sys.stdout.write(f"exported {count} trials to {where} (mode {mode})\n")
        sys.stdout.flush()
