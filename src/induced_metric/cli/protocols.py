"""What a protocol allows, and the studies that confirm the winners of a search under it."""

import functools
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from induced_metric.cli import build, values
from induced_metric.errors import UserError
from induced_metric.space import Choice

if TYPE_CHECKING:
    from induced_metric.records import StudyKey
    from induced_metric.studies.plan import StudyPlan


def check(cfg: DictConfig) -> None:
    """Raises UserError if a configuration asks for something that its protocol or sampler does not allow."""
    name = cfg.protocol.name
    if cfg.pruner.name is not None and not cfg.protocol.get("prunes", True):
        raise UserError(
            f"protocol {name} gives every trial all its epochs: pruner must be none, got {cfg.pruner.name}"
        )
    if confirms(cfg) and "confirmation" not in cfg.protocol:
        raise UserError(
            f"sampler {cfg.sampler.name} measures winners on a split on which nothing was chosen, and "
            f"protocol {name} names none as protocol.confirmation: use protocol=fair"
        )
    searches = cfg.sampler.get("searches", True) or confirms(cfg)
    if not searches and (studies := values.integer(cfg, "studies", low=1, high=1000)) > 1:
        raise UserError(
            f"sampler {cfg.sampler.name} searches nothing, so all its trials are one study: give it more "
            f"trials instead of studies={studies}"
        )


def confirms(cfg: DictConfig) -> bool:
    """Whether the sampler trains the winners of another sampler's studies."""
    return "of" in cfg.sampler


def search_name(cfg: DictConfig) -> str:
    """The name of a search in records: its sampler's, with its pruner's if it has one."""
    return "+".join(filter(None, [cfg.sampler.name, cfg.pruner.name]))


def study_name(sampler: str, seed: int, index: int) -> str:
    """The name of independent study ``index`` of a sampler; the first has the sampler's name alone."""
    return f"{sampler}-seed{seed}" if index else sampler


def confirmed_name(cfg: DictConfig, sampler: str) -> str:
    """The name of the study that confirms the study ``sampler``, possibly without one hyperparameter."""
    from induced_metric.records import CONFIRMED, WITHOUT

    without = cfg.sampler.get("without")
    return sampler + CONFIRMED + ("" if without is None else f"{WITHOUT}{without}")


def study_keys(cfg: DictConfig) -> "list[StudyKey]":
    """The names of the studies that a configuration runs."""
    from induced_metric.records import StudyKey

    sampler = str(cfg.sampler.of) if confirms(cfg) else search_name(cfg)
    names = [study_name(sampler, cfg.seed + index, index) for index in range(cfg.studies)]
    if confirms(cfg):
        names = [confirmed_name(cfg, name) for name in names]
    return [StudyKey(cfg.protocol.name, cfg.task.name, name, build.optimizer_name(cfg)) for name in names]


def confirmation(cfg: DictConfig, pair: build.Pairing, plan: "StudyPlan", index: int) -> "StudyPlan":
    """The study that retrains the winner of study ``index`` of the sampler ``sampler.of``.

    Every study of every optimiser has the same seeds, trial by trial. The value of a trial is the metric on
    the split of ``protocol.confirmation`` at the epoch that ``protocol.selection`` chose: stopping there is
    part of what was tuned, and after it the constant learning rate leaves noise. ``sampler.without`` names a
    hyperparameter that is set to 0 instead, whatever the range of the search; the seeds are the same.

    Args:
        cfg: the configuration.
        pair: the task with the optimiser.
        plan: the plan of a study of the same pairing.
        index: the number of the study, from 0.

    Raises:
        UserError: if the search is not finished, had another configuration, or trained with these seeds, or
            if ``sampler.without`` is not a hyperparameter of the optimiser or cannot be 0.
    """
    from induced_metric.records import RecordStore
    from induced_metric.studies import winners

    without = cfg.sampler.get("without")
    if without is not None:
        _check_removable(without, pair)
    search = _search_key(cfg, plan.seed, index)
    winner = winners.winner(
        RecordStore(search.directory(cfg.results)),
        search,
        trials=values.integer(cfg, "sampler.searched", low=1, high=10**6),
        hyperparameters=list(pair.hyperparameters),
        space=pair.search_space,
        config=plan.config,
    )
    seed = values.integer(cfg, "sampler.seed", low=0, high=2**32 - 1)
    winner.check_fresh(seed, plan.trials)
    _, metric = plan.goal.objective.split("/")
    # The winner is confirmed, so the number of trials of its search is not part of the configuration.
    sampler = {
        name: value for name, value in plan.config["sampler"].items() if name not in ("searched", "trials")
    }
    return replace(
        plan,
        key=plan.key._replace(sampler=confirmed_name(cfg, search.sampler)),
        search_space={},
        fixed=winner.hyperparameters if without is None else _without(without, winner.hyperparameters, pair),
        goal=plan.goal._replace(reported=f"{cfg.protocol.confirmation}/{metric}"),
        seed=seed,
        config={**plan.config, "sampler": sampler, "seed": seed, "source": winner.facts()},
    )


def check_searched(cfg: DictConfig, pair: build.Pairing, provenance: Mapping[str, Any]) -> None:
    """Checks that winners are trained again by the program that their searches trained, but for evaluation.

    Args:
        cfg: the configuration of a confirmation.
        pair: the task with the optimiser.
        provenance: that of the trials to come.

    Raises:
        UserError: if the optimiser, the task or the training loop computes something else now.
    """
    from induced_metric.records import RecordStore
    from induced_metric.studies.compatibility import check_program
    from induced_metric.training.origins import PROGRAM

    @functools.cache
    def digest(evaluated: tuple[str, ...]) -> str:
        return pair.evaluating(evaluated).program.digest

    for index in range(cfg.studies):
        search = _search_key(cfg, cfg.seed + index, index)
        trials = RecordStore(search.directory(cfg.results)).trials()
        recorded = [json.loads(text) for text in reversed(trials["provenance"].tolist())]
        if any(PROGRAM in facts for facts in recorded):  # earlier versions did not record it
            evaluated = tuple(json.loads(trials["config"].iloc[-1])["task"]["eval_splits"])
            check_program(
                search.name,
                recorded,
                {**provenance, PROGRAM: digest(evaluated)},
                remedy="go back to that code, or search again under another name",
            )


def _search_key(cfg: DictConfig, seed: int, index: int) -> "StudyKey":
    """The search whose winner study ``index`` of a confirmation trains again."""
    from induced_metric.records import StudyKey

    sampler = study_name(str(cfg.sampler.of), seed, index)
    return StudyKey(cfg.protocol.name, cfg.task.name, sampler, build.optimizer_name(cfg))


def _check_removable(name: Any, pair: build.Pairing) -> None:
    """Raises UserError if the optimiser lacks a hyperparameter, or takes it from a list of choices."""
    removable = _own(pair.hyperparameters)
    if name not in removable:
        raise UserError(
            f"sampler.without={name} is not a hyperparameter of {pair.name}, which has {', '.join(removable)}"
        )
    if isinstance(pair.search_space.get(name), Choice):
        raise UserError(
            f"sampler.without={name} cannot be 0 with {pair.name}: it was chosen from a list, not a range"
        )


def _without(name: str, found: Mapping[str, Any], pair: build.Pairing) -> dict[str, Any]:
    """The hyperparameters that were found, with one of them set to 0 of its own type.

    Raises:
        UserError: if the optimiser refuses that.
    """
    changed = {**found, name: type(found[name])(0)}
    try:
        pair.optimizer(**_own(changed))
    except (TypeError, ValueError) as error:
        raise UserError(f"sampler.without={name} cannot be 0 with {pair.name}: {error}") from error
    return changed


def _own(hyperparameters: Mapping[str, Any]) -> dict[str, Any]:
    """The hyperparameters of the optimiser itself, without those of its schedule or of the task."""
    return {
        name: value for name, value in hyperparameters.items() if not name.startswith(("schedule.", "task."))
    }
