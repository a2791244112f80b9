"""``python -m induced_metric.tracking --task regression``: what ``make wandb`` calls."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from induced_metric.errors import check_platform
from induced_metric.tracking import MODES, PROJECT, export


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Ends with the sentence alone: the usage would bury it."""
        self.exit(2, f"{self.prog}: {message}\n")


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point; bad input ends in one sentence and exit code 2."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    parser = _Parser(
        prog="python -m induced_metric.tracking", description="Mirrors the recorded trials in W&B."
    )
    parser.add_argument("--task", required=True, help="regression, mnist, cifar10, shakespeare ...")
    parser.add_argument("--protocol", default="paper", help="rules of the comparison (default: paper)")
    for name in ("optimizers", "samplers"):
        parser.add_argument(
            f"--{name}", nargs="+", metavar=name[:-1].upper(), help="default: all that have records"
        )
    parser.add_argument("--mode", choices=MODES, default="offline", help="default: offline")
    parser.add_argument("--project", default=PROJECT, help=f"default: {PROJECT}")
    parser.add_argument("--entity", help="user or team (default: the account's)")
    parser.add_argument("--results", type=Path, default=Path("results"), help="default: results")
    arguments = vars(parser.parse_args(argv))
    columns = (TextColumn("W&B runs"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) as bar:
        line = bar.add_task("export", total=None)
        try:
            check_platform()
            count = export(
                **arguments, progress=lambda done, total: bar.update(line, completed=done, total=total)
            )
        except (ConnectionError, FileNotFoundError, RuntimeError, ValueError) as error:
            bar.stop()
            sys.stderr.write(f"{error}\n")
            raise SystemExit(1 if isinstance(error, ConnectionError) else 2) from error
    where = arguments["results"] / "wandb" if arguments["mode"] == "offline" else arguments["project"]
    sys.stdout.write(f"exported {count} trials to {where} (mode {arguments['mode']})\n")


if __name__ == "__main__":
    main()
