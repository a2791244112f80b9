"""``induced-metric compare``: compares an optimiser tuned here with baselines tuned earlier."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from induced_metric.cli import arguments as common

if TYPE_CHECKING:
    from induced_metric.space import Dimension

PROTOCOL = "fair"
"""The protocol under which winners are confirmed."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the optimisers to compare and the directories of their records."""
    parser.add_argument("optimizers", nargs="+", metavar="OPTIMIZER", help="the candidates")
    parser.add_argument("--task", required=True, help="regression, mnist_small ...")
    parser.add_argument(
        "--against", nargs="+", required=True, metavar="OPTIMIZER", help="the baselines, such as adamw sgd"
    )
    common.results(parser)
    parser.add_argument(
        "--baselines",
        type=Path,
        required=True,
        help="results directory of the baselines, such as results/published",
    )
    parser.add_argument(
        "--check", action="store_true", help="only check, before training, whether they can be compared"
    )
    parser.add_argument("--studies", type=int, help="with --check: the number of studies to be trained")


def run(
    optimizers: list[str],
    task: str,
    against: list[str],
    results: Path,
    baselines: Path,
    *,
    check: bool,
    studies: int | None,
) -> None:
    """Prints and writes the comparison, or checks before training that it will be possible.

    Args:
        optimizers: the candidates.
        task: name of the task.
        against: the baselines.
        results: the results directory of the candidates.
        baselines: the results directory of the baselines.
        check: compare only the configurations, since nothing is trained yet.
        studies: with ``check``, how many studies each candidate is to have.
    """
    from induced_metric.analysis import compare
    from induced_metric.studies.compatibility import differences

    shared: Any = {"protocol": PROTOCOL, "baselines": baselines, "differences": differences}
    if check:
        both = {name: _planned(task, name) for name in optimizers}
        configs, spaces = ({name: pair[part] for name, pair in both.items()} for part in (0, 1))
        found = compare.check_planned(task, configs, spaces, against, studies=studies, **shared)
        for finding in found:
            print(f"fairness: {finding.found} ({finding.numbers})")
        if found:
            print(
                'training goes on; docs/adding.md, "Is it any good?", shows how to give all optimisers the '
                "same ranges"
            )
        return
    from induced_metric.cli import views
    from induced_metric.cli.reports import say_written

    evidence = compare.read(task, optimizers, against, results=results, **shared)
    comparison = compare.make(evidence)
    console = views.console()
    console.print(comparison.answer, "", sep="\n", markup=False)
    for table in comparison.tables.values():
        views.say_table(console, table)
    say_written(comparison.write(results, "-".join([PROTOCOL, task, "compare", *optimizers])))
    others = [name for name in compare.tasks_with_baselines(PROTOCOL, baselines) if name != task]
    if others:
        print(f"one task says little about another: TASK={' or TASK='.join(others)} has baselines, too")


def _planned(task: str, optimizer: str) -> tuple[dict[str, Any], dict[str, "Dimension"]]:
    """The configuration that the search of a candidate will record, and the dimensions it will search.

    Raises:
        UserError: if the optimiser or the task has no configuration, or no study can use the optimiser.
    """
    from induced_metric.cli import build
    from induced_metric.cli.composing import compose
    from induced_metric.cli.values import CONF, plain, suggested
    from induced_metric.errors import UserError
    from induced_metric.studies.compatibility import study_config

    known = sorted(path.stem for path in (CONF / "optimizer").glob("*.yaml"))
    if optimizer not in known:
        raise UserError(
            f"unknown optimizer {optimizer!r}: allowed, separated by spaces, are {', '.join(known)}"
            f"{suggested(optimizer, known)}; docs/adding.md says how to add one"
        )
    composed = compose([f"protocol={PROTOCOL}", f"task={task}", f"optimizer={optimizer}"])
    space = build.check_optimizer(composed)
    if not space:
        raise UserError(
            f"nothing is searched for {optimizer}: give its hyperparameters ranges under search_space, or "
            "call them as others do (learning_rate, weight_decay ...)"
        )
    return study_config(plain(composed)), space
