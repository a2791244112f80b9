"""``induced-metric <command>``: every command with its arguments, and one way in which an error ends."""

import argparse
import functools
import math
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from induced_metric.cli import entry
from induced_metric.errors import UserError, check_platform

if TYPE_CHECKING:
    from induced_metric.analysis.reports import Kind
    from induced_metric.records import RecordFeed, StudyKey
    from induced_metric.tracking import Mode

PROGRAM = "induced-metric"
HYDRA = {
    "train": "train one trial: optimizer=sgd_rms task=regression seed=3",
    "sweep": "run or continue the studies of a task: task=regression optimizer=adam,sgd_rms trials=100",
    "landscapes": "run the functions of two variables: steps=[grid,timing]",
}
"""The commands that Hydra configures: name=value, and --help lists the names."""
_DATA_SETS = {"shakespeare": "tiny_shakespeare"}
"""The data sets of tasks that are not named after theirs."""
_LOG_WIDTH = 160


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Ends with the sentence alone: the usage would bury it."""
        self.exit(2, f"{self.prog}: {message}\n")


def main(argv: Sequence[str] | None = None) -> None:
    """Runs a command; bad input ends in one sentence and exit code 2, a W&B out of reach in 1."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words and words[0] in HYDRA:
        # Hydra reads sys.argv; its first word begins every sentence.
        sys.argv = [f"{PROGRAM} {words[0]}", *words[1:]]
        entry.start(words[0])
        return
    asked = vars(_parser().parse_args(words))
    command, run = asked.pop("command"), asked.pop("run")
    try:
        run(**asked)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"{PROGRAM} {command}: {error}\n")
        raise SystemExit(1 if isinstance(error, ConnectionError) else 2) from error
    except KeyboardInterrupt as error:
        sys.stderr.write(f"{PROGRAM} {command}: interrupted\n")
        raise SystemExit(130) from error


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog=PROGRAM, description="Optimisers from the metric of a loss landscape, compared.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    for name, line in HYDRA.items():
        commands.add_parser(name, help=line, add_help=False)
    study = _Parser(add_help=False)
    study.add_argument("--task", required=True, help="regression, mnist, cifar10, shakespeare ...")
    study.add_argument("--protocol", default="paper", help="rules of the comparison (default: paper)")
    results = _Parser(add_help=False)
    results.add_argument("--results", type=Path, default=Path("results"), help="default: results")
    lines: dict[Kind, str] = {"tables": "write and print the tables", "figures": "draw the figures"}
    for kind, line in lines.items():
        command = commands.add_parser(kind, parents=[study, results], help=f"{line} of a task")
        command.set_defaults(run=functools.partial(_reports, kind))
        _samplers(command, "all that search and have records")
        command.add_argument(
            "--best", type=_count, help="runs summarised (default: 50, at most a quarter of the trials)"
        )
        command.add_argument(
            "--targets",
            nargs="+",
            type=float,
            metavar="VALUE",
            help="of the objective, for the time to them (default: the task's, near the published level)",
        )
    command = commands.add_parser(
        "landscapes-report", parents=[results], help="write the landscapes' tables, figures and page again"
    )
    command.set_defaults(run=_landscapes_report)
    command = commands.add_parser(
        "wandb", parents=[study, results], help="mirror the recorded trials of a task to Weights & Biases"
    )
    command.set_defaults(run=_wandb)
    _samplers(command, "all that have records")
    command.add_argument(
        "--optimizers", nargs="+", metavar="OPTIMIZER", help="default: all that have records"
    )
    command.add_argument("--mode", choices=["offline", "online", "disabled"], default="offline")
    command.add_argument("--project", default="induced-metric", help="default: induced-metric")
    command.add_argument("--entity", help="user or team (default: the account's)")
    command.add_argument("--every", type=_seconds, metavar="SECONDS", help="mirror again and again")
    watched = _Parser(add_help=False)
    watched.add_argument("--task", help="default: all")
    watched.add_argument("--protocol", help="default: all")
    command = commands.add_parser(
        "status", parents=[watched, results], help="say where the studies of a results directory stand"
    )
    command.set_defaults(run=_status)
    command.add_argument("--storage", choices=["journal", "postgresql"], default="journal")
    command.add_argument("--url-file", help="the database's URL (default: in INDUCED_METRIC_STORAGE)")
    command.add_argument("--json", action="store_true", dest="as_json", help="print a JSON object")
    command.add_argument("--every", type=_seconds, metavar="SECONDS", help="ask again and again")
    command = commands.add_parser(
        "dashboard", parents=[watched, results], help="serve Optuna's dashboard on the records"
    )
    command.set_defaults(run=_dashboard)
    command.add_argument("--port", type=int, default=8080, help="of 127.0.0.1; 0: a free one (default: 8080)")
    command = commands.add_parser("data", help="prepare the data set of a task")
    command.set_defaults(run=_data)
    command.add_argument("--task", required=True, help="a task, a preset of one, or a data set")
    command.add_argument("--manual-dir", help="directory with the original files, to do without network")
    command.add_argument(
        "--check",
        action="store_true",
        help="only say by the exit code: 0 if there is nothing to prepare, 1 if there is",
    )
    return parser


def _samplers(command: argparse.ArgumentParser, default: str) -> None:
    command.add_argument("--samplers", nargs="+", metavar="SAMPLER", help=f"default: {default}")


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be an integer of at least 1, got {text}")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number of seconds above 0, got {text}")
    return seconds


def _reports(kind: "Kind", task: str, **options: Any) -> None:
    from rich.console import Console

    from induced_metric.analysis import reports
    from induced_metric.analysis.rendering import Table

    console = Console(highlight=False)
    if not console.is_terminal:  # a log has no edge at which a number would have to end
        console = Console(highlight=False, width=_LOG_WIDTH)
    paths = []
    for stem, made in reports.make(kind, task, **options):
        if isinstance(made, Table):
            console.print(made.title, "", made.terminal(), "", *made.notes, "", sep="\n")
        paths += reports.write(stem, made)
    _wrote(paths)


def _landscapes_report(results: Path) -> None:
    from induced_metric.analysis.landscapes import report

    _wrote(report.write(results))


def _wandb(every: float | None, **chosen: Any) -> None:
    check_platform()
    feeds: dict[StudyKey, RecordFeed] = {}
    _mirror(**chosen, feeds=feeds)
    while every is not None and chosen["mode"] != "disabled":
        try:
            time.sleep(every)
            _mirror(**chosen, feeds=feeds, quiet=True)
        except (OSError, UserError) as error:  # the next time, perhaps
            feeds.clear()
            sys.stderr.write(f"{PROGRAM} wandb: {error}\n")
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


def _status(**chosen: Any) -> None:
    from induced_metric.cli.status import status

    status(**chosen)


def _dashboard(**chosen: Any) -> None:
    from induced_metric.cli.dashboard import dashboard

    dashboard(**chosen)


def _data(task: str, manual_dir: str | None, check: bool) -> None:
    from induced_metric.data.preparing import prepare, to_prepare
    from induced_metric.data.releases import RELEASES

    base = task if task in RELEASES else task.partition("_")[0]
    name = _DATA_SETS.get(base, base)
    if check:
        raise SystemExit(int(name in RELEASES and to_prepare(name, manual_dir=manual_dir or None)))
    if name not in RELEASES:
        raise UserError(f"task {task} has no data set to prepare; there are {', '.join(RELEASES)}")
    sys.stdout.write(f"{prepare(name, manual_dir=manual_dir or None)}\n")


def _wrote(paths: Iterable[Path]) -> None:
    for path in paths:
        sys.stdout.write(f"wrote {path}\n")
