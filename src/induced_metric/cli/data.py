"""``induced-metric data``: prepares the data set of a task on this machine."""

import argparse
import sys

from induced_metric.errors import UserError

_DATA_SETS = {"shakespeare": "tiny_shakespeare"}
"""The data sets of those tasks that are not named after their data set."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the data set, and what to do with it."""
    parser.add_argument("--task", required=True, help="a task, a preset of one, or a data set")
    parser.add_argument("--manual-dir", help="directory with the original files, if there is no network")
    parser.add_argument(
        "--check",
        action="store_true",
        help="only set the exit code: 0 if there is nothing to prepare, 1 if there is",
    )


def run(task: str, manual_dir: str | None, check: bool) -> None:
    """Prepares a data set and prints what is in it, or only checks whether there is anything to prepare.

    Args:
        task: a task, a preset of one, or a data set.
        manual_dir: directory with the original files; None downloads them.
        check: only exit, with code 1 if there is something to prepare and 0 if not.
    """
    from induced_metric.cli.values import CONF
    from induced_metric.data.preparing import prepare, to_prepare
    from induced_metric.data.releases import RELEASES

    name = _data_set(task)
    if check:
        raise SystemExit(int(name in RELEASES and to_prepare(name, manual_dir=manual_dir or None)))
    tasks = sorted(path.stem for path in (CONF / "task").glob("*.yaml"))
    if name not in RELEASES or task not in {*tasks, *RELEASES}:
        message = f"task {task} has no data set to prepare" if task in tasks else f"unknown task {task!r}"
        available = ", ".join(each for each in tasks if _data_set(each) in RELEASES)
        raise UserError(f"{message}; tasks that have one are {available}")
    sys.stdout.write(f"{prepare(name, manual_dir=manual_dir or None)}\n")


def _data_set(task: str) -> str:
    """The name of the data set of a task, of a preset of a task, or of a data set itself."""
    from induced_metric.data.releases import RELEASES

    base = task if task in RELEASES else task.partition("_")[0]
    return _DATA_SETS.get(base, base)
