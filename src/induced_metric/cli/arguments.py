"""Arguments that several commands take, and the types of numbers on the command line."""

import argparse
import math
from pathlib import Path


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
