"""Arguments that several commands share, and their checks."""

import argparse
import math
from pathlib import Path

from induced_metric.errors import UserError


def study(parser: argparse.ArgumentParser) -> None:
    """Adds the task and the protocol that a command works on."""
    parser.add_argument("--task", required=True, help="regression, mnist, cifar10, shakespeare ...")
    parser.add_argument("--protocol", default="paper", help="rules of the comparison (default: paper)")


def watched(parser: argparse.ArgumentParser) -> None:
    """Adds the task and the protocol that a command works on; by default it takes all of them."""
    parser.add_argument("--task", help="default: all")
    parser.add_argument("--protocol", help="default: all")


def results(parser: argparse.ArgumentParser) -> None:
    """Adds the results directory."""
    parser.add_argument("--results", type=Path, default=Path("results"), help="default: results")


def samplers(parser: argparse.ArgumentParser, default: str) -> None:
    """Adds the samplers whose studies a command works on; ``default`` describes the default in words."""
    parser.add_argument("--samplers", nargs="+", metavar="SAMPLER", help=f"default: {default}")


def every(parser: argparse.ArgumentParser, doing: str) -> None:
    """Adds the interval, in seconds, at which ``doing`` is repeated."""
    parser.add_argument(
        "--every", type=seconds, metavar="SECONDS", help=f"{doing} repeatedly, at this interval"
    )


def check_known(results: Path, *, task: str | None, protocol: str | None) -> None:
    """Checks the names on a command line, so that a typo is not taken for a task without records.

    Args:
        results: the results directory.
        task: the task that was asked for, if any.
        protocol: the protocol that was asked for, if any.

    Raises:
        UserError: for a name that has neither a file in ``conf`` nor a study under ``results``.
    """
    from induced_metric import records
    from induced_metric.cli.values import CONF, suggested

    begun = records.begun(results=results)
    for group, name in (("task", task), ("protocol", protocol)):
        known = {path.stem for path in (CONF / group).glob("*.yaml")} | {getattr(key, group) for key in begun}
        if name is not None and name not in known:
            allowed = sorted(known)
            raise UserError(
                f"unknown {group} {name!r}: allowed are {', '.join(allowed)}{suggested(name, allowed)}"
            )


def check_directory(results: Path) -> None:
    """Raises UserError unless the results directory exists."""
    if not results.is_dir():
        raise UserError(f"there is no directory {results}; 'make sweep' or 'make fair' makes records")


def count(text: str) -> int:
    """Parses an integer of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be an integer of at least 1, got {text}")
    return int(text)


def seconds(text: str) -> float:
    """Parses a finite number above 0."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number of seconds above 0, got {text}")
    return number
