"""``python -m induced_metric.analysis tables|figures --task regression``: what ``make`` calls."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from induced_metric import records
from induced_metric.analysis import draws, runs
from induced_metric.analysis.rendering import Table
from induced_metric.records import Records

_LOG_WIDTH = 160


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Ends with the sentence alone: the usage would bury it."""
        self.exit(2, f"{self.prog}: {message}\n")


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = _Parser(
        prog="python -m induced_metric.analysis", description="Tables and figures of the studies."
    )
    parser.add_argument("what", choices=["tables", "figures"])
    parser.add_argument("--task", required=True, help="regression, mnist, cifar10, shakespeare ...")
    parser.add_argument("--protocol", default="paper", help="rules of the comparison (default: paper)")
    parser.add_argument(
        "--samplers", nargs="+", metavar="SAMPLER", help="in this order (default: all that have records)"
    )
    parser.add_argument(
        "--best", type=int, help="runs summarised (default: 50, at most a quarter of the trials)"
    )
    parser.add_argument(
        "--targets",
        nargs="+",
        type=float,
        metavar="VALUE",
        help="of the objective, for the time to them (default: the task's, near the published level)",
    )
    parser.add_argument("--results", type=Path, default=Path("results"), help="default: results")
    arguments = parser.parse_args(argv)
    if arguments.best is not None and arguments.best < 1:
        parser.error(f"--best must be at least 1, got {arguments.best}")
    return arguments


def _recorded(arguments: argparse.Namespace) -> list[str]:
    return records.samplers(arguments.task, protocol=arguments.protocol, results=arguments.results)


def _searches(arguments: argparse.Namespace) -> dict[str, Records]:
    """The studies that search; none, where all that is recorded are the repeats of one setting."""
    if arguments.what == "tables" and not arguments.samplers and _recorded(arguments) == [draws.FIXED]:
        return {}
    return runs.load_samplers(
        arguments.task, arguments.samplers, protocol=arguments.protocol, results=arguments.results
    )


def _tables(arguments: argparse.Namespace, ours: dict[str, Records]) -> list[Path]:
    from rich.console import Console

    from induced_metric.analysis import agreement, differences, seeds, tables, targets

    console = Console(highlight=False)
    if not console.is_terminal:  # a log has no edge at which a number would have to end
        console = Console(highlight=False, width=_LOG_WIDTH)
    stem = arguments.results / "tables" / f"{arguments.protocol}-{arguments.task}"
    where = {"n": arguments.best}
    shown: dict[str, Table | None] = {}
    if ours:
        shown[""] = tables.best_runs(arguments.task, ours, **where)
        shown[agreement.SUFFIX] = agreement.best_runs(arguments.task, ours, **where)
        shown["-differences"] = differences.best_runs(arguments.task, ours, **where)
        shown["-time_to_target"] = targets.best_runs(arguments.task, ours, targets=arguments.targets, **where)
    if draws.FIXED in _recorded(arguments):
        repeats = runs.load(
            arguments.task,
            protocol=arguments.protocol,
            sampler=draws.FIXED,
            results=arguments.results,
        )
        shown["-seeds"] = seeds.best_runs(arguments.task, repeats)
    written = []
    for name, table in shown.items():
        if table is not None:
            console.print(table.title, "", table.terminal(), "", *table.notes, "", sep="\n")
            written += table.write(stem.with_name(stem.name + name))
    return written


def _figures(arguments: argparse.Namespace, ours: dict[str, Records]) -> list[Path]:
    from induced_metric.analysis import figures, response, scatter, style

    paths = []
    for sampler, found in ours.items():
        stem = arguments.results / "figures" / f"{arguments.protocol}-{arguments.task}-{sampler}"
        best = runs.top(found.trials, arguments.best)
        paths += style.save(figures.best_curves(found), f"{stem}-best_curves")
        paths += style.save(figures.best_histograms(best), f"{stem}-best_histograms")
        paths += style.save(response.learning_rate(found.trials), f"{stem}-learning_rate")
    scattered = scatter.best_runs(arguments.task, ours, n=arguments.best)
    stem = arguments.results / "figures" / f"{arguments.protocol}-{arguments.task}-best_scatter"
    return [*paths, *style.save(scattered, stem)]


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point; bad input ends in one sentence and exit code 2."""
    arguments = _arguments(argv)
    try:
        ours = _searches(arguments)
        arguments.best = arguments.best or (runs.best_count(ours) if ours else 1)
        make = {"tables": _tables, "figures": _figures}[arguments.what]
        paths = make(arguments, ours)
    except (FileNotFoundError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(2) from error
    sys.stdout.write("".join(f"wrote {path}\n" for path in paths))


if __name__ == "__main__":
    main()
