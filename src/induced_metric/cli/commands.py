"""``induced-metric <command>``: the list of all commands, and one way of reporting their errors."""

import argparse
import importlib
import sys
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple, NoReturn

from induced_metric.cli import entry
from induced_metric.errors import memory_sentence, out_of_memory

PROGRAM = "induced-metric"
_FREE = "end other programs that use it"
HYDRA = {
    "train": "train one trial: optimizer=sgd_rms task=regression seed=3",
    "sweep": "run or continue the studies of a task: task=regression optimizer=adam,sgd_rms trials=100",
    "landscapes": "run the functions of two variables: steps=[grid,timing]",
}
"""The commands that Hydra configures: they take name=value, and --help lists the names."""


class Command(NamedTuple):
    """A module in this folder with ``arguments(parser)``, and ``run``, which takes them as keywords."""

    module: str
    line: str  # the line in --help
    fixed: Mapping[str, Any] = MappingProxyType({})  # further arguments of run


COMMANDS = {
    "tables": Command("reports", "write and print the tables of a task", {"kind": "tables"}),
    "figures": Command("reports", "draw the figures of a task", {"kind": "figures"}),
    "report": Command("report", "write one interactive page from all records of a results directory"),
    "compare": Command("compare", "compare an optimiser tuned here with baselines tuned before"),
    "claims": Command("claims", "decide the paper's claims from all records"),
    "landscapes-report": Command("landscapes_report", "write the landscapes' tables, figures and page again"),
    "wandb": Command("mirroring", "mirror the recorded trials of a task to Weights & Biases"),
    "status": Command("status", "show the progress of the studies of a results directory"),
    "dashboard": Command("dashboard", "serve Optuna's dashboard on the records"),
    "costs": Command("costs", "measure the device seconds per epoch of each optimiser"),
    "trial": Command("trial", "train one recorded trial again, and compare"),
    "verify": Command("verify", "train a random share of all recorded trials again, and compare"),
    "replay": Command("replay", "show recorded searches under other rules, without training"),
    "reproduce": Command("reproduce", "run a published study again by its name, and compare"),
    "data": Command("data", "prepare the data set of a task"),
}
"""All other commands. A module is imported only when its command runs, so it needs only its own libraries."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Prints only the message, without the usage, which would bury it."""
        self.exit(2, f"{self.prog}: {message}\n")


def main(argv: Sequence[str] | None = None) -> None:
    """Runs a command. Bad input ends in one sentence and exit code 2, an unreachable W&B in exit code 1."""
    words = list(sys.argv[1:] if argv is None else argv)
    name = words[0] if words else ""
    if name in HYDRA:
        # Hydra reads sys.argv; its first word is the prefix of every message.
        sys.argv = [f"{PROGRAM} {name}", *words[1:]]
        entry.start(name)
        return
    parser = _Parser(
        prog=PROGRAM, description="Optimisers built on the metric of a loss landscape, and their comparison."
    )
    parsers = parser.add_subparsers(dest="command", required=True, metavar="command")
    lines = HYDRA | {other: command.line for other, command in COMMANDS.items()}
    named = {other: parsers.add_parser(other, help=line) for other, line in lines.items()}
    if name not in COMMANDS:
        parser.parse_args(words)  # shows the help or the error
        return
    command = COMMANDS[name]
    entry.import_from_here()
    module = importlib.import_module(f"induced_metric.cli.{command.module}")
    module.arguments(named[name])
    options = vars(parser.parse_args(words))
    del options["command"]
    try:
        module.run(**command.fixed, **options)
    except (OSError, ValueError, MemoryError, RuntimeError) as error:
        no_memory = out_of_memory(error)
        if not no_memory and not isinstance(error, OSError | ValueError):
            raise
        sys.stderr.write(f"{PROGRAM} {name}: {memory_sentence(error, _FREE) if no_memory else error}\n")
        raise SystemExit(1 if isinstance(error, ConnectionError) else 2) from error
    except KeyboardInterrupt:
        sys.stderr.write(f"{PROGRAM} {name}: interrupted\n")
        entry.leave(entry.INTERRUPTED)
