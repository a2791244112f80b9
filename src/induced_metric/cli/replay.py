"""``induced-metric replay``: shows recorded searches under other rules, from their curves alone."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from induced_metric.cli import arguments as common
from induced_metric.errors import UserError

if TYPE_CHECKING:
    from induced_metric.analysis.replays.pruning import Pruner


def arguments(command: argparse.ArgumentParser) -> None:
    """Adds the options of the command."""
    common.study(command)
    common.results(command)
    common.samplers(command, "all that search")
    command.add_argument("--trials", type=int, help="only the first n trials of every optimiser")
    command.add_argument("--epochs", type=int, help="only the first n epochs of every trial")
    command.add_argument(
        "--top", type=int, help="how many of the best trials are averaged (default: as in the tables)"
    )
    command.add_argument(
        "--select", default="best", choices=["best", "last"], help="the epoch whose value a trial gets"
    )
    command.add_argument("--pruner", help="median, successive_halving, wandb_hyperband (default: none)")


def run(
    task: str, protocol: str, results: Path, samplers: list[str] | None, pruner: str | None, **rules: Any
) -> None:
    """Prints how values and ranking change.

    Raises:
        UserError: for rules out of range, or a pruner whose rule cannot be applied to recorded curves.
    """
    from induced_metric.analysis import runs
    from induced_metric.analysis.replays.replay import Rules, replay_table
    from induced_metric.cli import views

    common.check_known(results, task=task, protocol=protocol)
    common.check_directory(results)
    chosen_rules = Rules(**rules, pruner=None if pruner in (None, "none") else pruner_of(str(pruner)))
    table = replay_table(
        task, runs.load_samplers(task, samplers, protocol=protocol, results=results), chosen_rules
    )
    views.say_table(views.console(), table)


def pruner_of(name: str) -> "Pruner":
    """The rule that ``conf/pruner/<name>.yaml`` describes.

    Raises:
        UserError: if there is no such file, or its rule cannot be applied to recorded curves.
    """
    from omegaconf import OmegaConf

    from induced_metric.analysis.replays.pruning import RULES, Pruner
    from induced_metric.cli.values import CONF

    configs: dict[str, Any] = {
        path.stem: OmegaConf.to_container(OmegaConf.load(path)) for path in (CONF / "pruner").glob("*.yaml")
    }
    applicable = sorted(each for each, config in configs.items() if _class(config) in RULES)
    if name not in applicable:
        raise UserError(f"pruner must be none or one of {', '.join(applicable)}, got {name}")
    config = configs[name]
    numbers = {key: value for key, value in config["create"].items() if not key.startswith("_")}
    return Pruner(
        name=name,
        rule=RULES[_class(config)](**numbers),
        rungs=config["rungs"],
        in_flight=config["in_flight"],
        ranks_stopped=config.get("ranks_stopped", False),
    )


def _class(found: dict[str, Any]) -> str:
    return str(found["create"]["_target_"].rpartition(".")[2])
