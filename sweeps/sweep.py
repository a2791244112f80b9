"""Runs the studies of a task, one an optimizer.

python sweeps/sweep.py task=regression sampler=random trials=100 optimizer=adam,sgd_rms
"""

import functools
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig, OmegaConf

from induced_metric import cli
from induced_metric.errors import UserError
from induced_metric.progress import SweepProgress

if TYPE_CHECKING:
    from induced_metric.plan import StudyPlan

# What may change between two runs of one study: none of it touches its trials.
NOT_OF_THE_STUDY = {
    *(
        "trials",
        "studies",
        "results",
        "lanes",
        "checkpoint_every",
        "checkpoint_seconds",
        "published",
        "budget",
    )
}


def main() -> None:
    """Runs the entry point, with one live view over all studies."""
    with SweepProgress() as progress:
        cli.run(functools.partial(run_pairing, progress), "sweep")


def run_pairing(progress: SweepProgress, cfg: DictConfig) -> None:
    """Runs the studies of one task with one optimizer."""
    flags = cli.start_jax(cfg)  # before anything imports JAX
    from induced_metric.records import RecordStore, study_directory
    from induced_metric.study import StudyFiles, run_studies
    from induced_metric.tracking import provenance

    stop = cli.stop_on_sigterm()
    pair = cli.pairing(cfg)
    results = cli.results(cfg)
    studies = []
    for index in range(cli.integer(cfg, "studies", low=1, high=1000)):
        plan = plan_of(cfg, pair, index)
        names = (plan.protocol, plan.task, plan.sampler, plan.optimizer)
        files = StudyFiles(
            journal=results / "studies" / Path(*names[:-1]) / f"{names[-1]}.journal",
            records=RecordStore(study_directory(results, *names)),
            checkpoints=cli.checkpoints(cfg, *names),
        )
        studies.append((plan, files, progress.study(plan.name, pair.published_best)))
    # No lane is made that would have nothing to do.
    most = sum(
        max(0, min(plan.in_flight or plan.trials, plan.trials - len(files.records.trials())))
        for plan, files, _ in studies
    )
    shares = {"data_parallel": cli.data_parallel(pair.task, cfg.lanes), "micro_batch": pair.task.micro_batch}
    with cli.engine(pair, cfg.lanes, most=max(most, 1)) as lanes:
        facts = provenance(**cli.device_facts(flags), **cli.lane_facts(lanes), **shares)
        run_studies([(replace(plan, provenance=facts), *rest) for plan, *rest in studies], lanes, stop=stop)
    if stop():
        print("stopped after the epochs under way; the same command continues")
        raise SystemExit(0)


def plan_of(cfg: DictConfig, pair: cli.Pairing, index: int) -> "StudyPlan":
    """What study ``index`` of a pairing is to do; each has a seed, and so a name, of its own."""
    import optuna

    from induced_metric.plan import StudyPlan

    seed = cli.seed(cfg) + index
    config = OmegaConf.to_container(cfg, resolve=True)
    searched = pair.search_space
    if not cfg.sampler.get("searches", True):
        if pair.published_best is None:
            raise UserError(
                f"sampler {cfg.sampler.name} takes the published best hyperparameters, and there are "
                f"none of {pair.task.name} with {cfg.optimizer.name} in conf/pairing"
            )
        searched = {}
    sampler = "+".join(filter(None, [cfg.sampler.name, cfg.pruner.name]))
    return StudyPlan(
        protocol=cfg.protocol.name,
        task=pair.task.name,
        sampler=f"{sampler}-seed{seed}" if index else sampler,
        optimizer=cfg.optimizer.name,
        search_space={
            name: optuna.distributions.FloatDistribution(*space) for name, space in searched.items()
        },
        fixed={name: value for name, value in pair.hyperparameters.items() if name not in searched},
        objective=pair.task.objective,
        direction=pair.task.direction,
        worst=pair.task.worst,
        epochs=pair.task.epochs,
        trials=cli.integer(cfg, "trials", low=1, high=10**6),
        seed=seed,
        create_sampler=cli.sampler(cfg.sampler),
        in_flight=in_flight(cfg),
        pruner=cli.pruner(cfg.pruner),
        rungs=list(cfg.pruner.rungs),
        config={key: value for key, value in config.items() if key not in NOT_OF_THE_STUDY} | {"seed": seed},
    )


def in_flight(cfg: DictConfig) -> int | None:
    """How many trials are under way: as the sampler says, or else the pruner; None where neither asks.

    Raises:
        UserError: unless both say an integer >= 1 or null.
    """
    said = []
    for group in ("sampler", "pruner"):
        value = cfg[group].get("in_flight", "nothing")
        if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
            raise UserError(
                f"{group}.in_flight must say how many trials are under way, an integer >= 1, "
                f"or null where no trial depends on others, got {value}"
            )
        said.append(value)
    return next((value for value in said if value is not None), None)


if __name__ == "__main__":
    main()
