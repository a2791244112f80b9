"""What a protocol allows, and the studies that confirm what a search under it chose."""

from dataclasses import replace
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from induced_metric.cli import build, values
from induced_metric.errors import UserError

if TYPE_CHECKING:
    from induced_metric.records import StudyKey
    from induced_metric.studies.plan import StudyPlan


def check(cfg: DictConfig) -> None:
    """Raises UserError for what the protocol of a configuration does not allow."""
    name = cfg.protocol.name
    if cfg.pruner.name is not None and not cfg.protocol.get("prunes", True):
        raise UserError(
            f"protocol {name} gives every trial all its epochs: pruner must be none, got {cfg.pruner.name}"
        )
    if confirms(cfg) and "confirmation" not in cfg.protocol:
        raise UserError(
            f"sampler {cfg.sampler.name} reads winners on a split that chose nothing, and protocol {name} "
            "names none as protocol.confirmation: use protocol=fair"
        )


def confirms(cfg: DictConfig) -> bool:
    """Whether the sampler takes the winners of another one's studies."""
    return "of" in cfg.sampler


def study_name(sampler: str, seed: int, index: int) -> str:
    """What independent study ``index`` of a sampler is called: the first bears its name alone."""
    return f"{sampler}-seed{seed}" if index else sampler


def study_keys(cfg: DictConfig) -> "list[StudyKey]":
    """The names of the studies that a configuration runs."""
    from induced_metric.records import CONFIRMED, StudyKey

    optimizer = "+".join(
        [cfg.optimizer.name, *([cfg.schedule.name] if cfg.schedule.get("_target_") is not None else [])]
    )
    searched = "+".join(filter(None, [cfg.sampler.name, cfg.pruner.name]))
    sampler, end = (str(cfg.sampler.of), CONFIRMED) if confirms(cfg) else (searched, "")
    return [
        StudyKey(
            cfg.protocol.name, cfg.task.name, study_name(sampler, cfg.seed + index, index) + end, optimizer
        )
        for index in range(cfg.studies)
    ]


def confirmation(cfg: DictConfig, pair: build.Pairing, plan: "StudyPlan", index: int) -> "StudyPlan":
    """The study that trains again what study ``index`` of the sampler ``sampler.of`` chose.

    Every study of every optimizer has the same seeds, trial by trial. The value of a trial is the metric on
    the split of ``protocol.confirmation`` at the epoch that ``protocol.selection`` chose: stopping there is
    part of what was tuned, and after it the constant learning rate leaves noise.

    Args:
        cfg: the configuration.
        pair: the task with the optimizer.
        plan: of a study of the same pairing.
        index: of the study, from 0.

    Raises:
        UserError: if the search is not finished, had another configuration, or trained with these seeds.
    """
    from induced_metric.records import CONFIRMED, RecordStore
    from induced_metric.studies import winners

    of = study_name(str(cfg.sampler.of), plan.seed, index)
    search = plan.key._replace(sampler=of)
    found = winners.winner(
        RecordStore(search.directory(cfg.results)),
        search,
        trials=values.integer(cfg, "sampler.searched", low=1, high=10**6),
        hyperparameters=list(pair.hyperparameters),
        space=pair.search_space,
        config=plan.config,
    )
    seed = values.integer(cfg, "sampler.seed", low=0, high=2**32 - 1)
    found.check_fresh(seed, plan.trials)
    _, metric = plan.goal.objective.split("/")
    # How many trials the search had is no part of what is confirmed: its winner is.
    sampler = {
        name: value for name, value in plan.config["sampler"].items() if name not in ("searched", "trials")
    }
    return replace(
        plan,
        key=plan.key._replace(sampler=of + CONFIRMED),
        search_space={},
        fixed=found.hyperparameters,
        goal=plan.goal._replace(reported=f"{cfg.protocol.confirmation}/{metric}"),
        seed=seed,
        config={**plan.config, "sampler": sampler, "seed": seed, "source": found.facts()},
    )
