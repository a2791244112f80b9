"""Runs the studies of a task, one an optimizer.

python sweeps/sweep.py task=regression sampler=random trials=100 optimizer=adam,sgd_rms
"""

import functools
from pathlib import Path

import hydra
from omegaconf import DictConfig, OmegaConf

from induced_metric import cli
from induced_metric.progress import SweepProgress

# What may change between two runs of one study: none of it touches its trials.
NOT_OF_THE_STUDY = {"trials", "results", "lanes", "checkpoint_every", "published", "budget"}


def main() -> None:
    """Runs the entry point, with one live view over all studies."""
    with SweepProgress() as progress:
        cli.run(functools.partial(run_pairing, progress), "sweep")


def run_pairing(progress: SweepProgress, cfg: DictConfig) -> None:
    """Runs the study of one task with one optimizer."""
    flags = cli.start_jax(cfg)  # before anything imports JAX
    import optuna

    from induced_metric.plan import StudyPlan
    from induced_metric.records import RecordStore, study_directory
    from induced_metric.study import run_study
    from induced_metric.tracking import provenance

    stop = cli.stop_on_sigterm()
    pair = cli.pairing(cfg)
    sampler = "+".join(filter(None, [cfg.sampler.name, cfg.pruner.name]))
    names = (cfg.protocol.name, pair.task.name, sampler, cfg.optimizer.name)
    config = OmegaConf.to_container(cfg, resolve=True)
    plan = StudyPlan(
        protocol=cfg.protocol.name,
        task=pair.task.name,
        sampler=sampler,
        optimizer=cfg.optimizer.name,
        search_space={
            name: optuna.distributions.FloatDistribution(*space) for name, space in pair.search_space.items()
        },
        fixed={name: value for name, value in pair.hyperparameters.items() if name not in pair.search_space},
        objective=pair.task.objective,
        direction=pair.task.direction,
        worst=pair.task.worst,
        epochs=pair.task.epochs,
        trials=cli.integer(cfg, "trials", low=1, high=10**6),
        seed=cli.seed(cfg),
        create_sampler=hydra.utils.instantiate(cfg.sampler.create),
        pruner=hydra.utils.instantiate(cfg.pruner.create)(),
        rungs=list(cfg.pruner.rungs),
        config={key: value for key, value in config.items() if key not in NOT_OF_THE_STUDY},
        provenance=provenance(
            **cli.device_facts(flags), data_parallel=cli.data_parallel(pair.task, cfg.lanes)
        ),
    )
    update = progress.study(plan.name, pair.published_best)
    results = Path(cfg.results)
    with cli.engine(pair, cfg.lanes) as lanes:
        run_study(
            plan,
            lanes,
            journal=results / "studies" / Path(*names[:-1]) / f"{names[-1]}.journal",
            records=RecordStore(study_directory(results, *names)),
            checkpoints=cli.checkpoints(cfg, *names),
            on_progress=update,
            stop=stop,
        )
    if stop():
        print("stopped after the epochs under way; the same command continues")
        raise SystemExit(0)


if __name__ == "__main__":
    main()
