"""Arguments that several commands take, and what is checked of them."""

import argparse
import difflib
import math
from pathlib import Path

from induced_metric.errors import UserError


def study(parser: argparse.ArgumentParser) -> None:
    """The task and the protocol that a command is about."""
    parser.add_argument("--task", required=True, help="regression, mnist, cifar10, shakespeare ...")
    parser.add_argument("--protocol", default="paper", help="rules of the comparison (default: paper)")


def watched(parser: argparse.ArgumentParser) -> None:
    """The task and the protocol that a command is about, by default all."""
    parser.add_argument("--task", help="default: all")
    parser.add_argument("--protocol", help="default: all")


def results(parser: argparse.ArgumentParser) -> None:
    """The results directory."""
    parser.add_argument("--results", type=Path, default=Path("results"), help="default: results")


def samplers(parser: argparse.ArgumentParser, default: str) -> None:
    """Whose studies a command is about; ``default`` says in words what it takes without them."""
    parser.add_argument("--samplers", nargs="+", metavar="SAMPLER", help=f"default: {default}")


def every(parser: argparse.ArgumentParser, doing: str) -> None:
    """Seconds between two times of ``doing``."""
    parser.add_argument("--every", type=seconds, metavar="SECONDS", help=f"{doing} again and again")


def check_known(results: Path, *, task: str | None, protocol: str | None) -> None:
    """Checks the names of a command line: a typing error is no task without records.

    Args:
        results: the results directory.
        task: that was asked for, if any.
        protocol: likewise.

    Raises:
        UserError: for a name without a file in ``conf`` and without a study under ``results``.
    """
    from induced_metric import records
    from induced_metric.cli.values import CONF

    begun = records.begun(results=results)
    for group, name in (("task", task), ("protocol", protocol)):
        known = {path.stem for path in (CONF / group).glob("*.yaml")} | {getattr(key, group) for key in begun}
        if name is not None and name not in known:
            close = difflib.get_close_matches(name, sorted(known), n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise UserError(f"unknown {group} {name!r}: there are {', '.join(sorted(known))}{hint}")


def check_directory(results: Path) -> None:
    """Raises UserError unless there is such a results directory."""
    if not results.is_dir():
        raise UserError(f"there is no directory {results}; 'make sweep' or 'make fair' makes records")


def count(text: str) -> int:
    """An integer of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be an integer of at least 1, got {text}")
    return int(text)


def seconds(text: str) -> float:
    """A finite number above 0."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number of seconds above 0, got {text}")
    return number
