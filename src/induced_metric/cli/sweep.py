"""Runs the studies of a task, one an optimizer.

python sweeps/sweep.py task=regression sampler=random trials=100 optimizer=adam,sgd_rms
"""

import functools
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from induced_metric.cli import app, build, values
from induced_metric.cli.views import SweepTable
from induced_metric.errors import UserError
from induced_metric.space import programs

if TYPE_CHECKING:
    from induced_metric.studies.plan import StudyPlan


def main() -> None:
    """Runs the entry point, with one live view over all studies."""
    with SweepTable() as table:
        app.run(functools.partial(run_pairing, table), "sweep")


def run_pairing(table: SweepTable, cfg: DictConfig) -> None:
    """Runs the studies of one task with one optimizer."""
    flags = app.start_jax(cfg)  # before anything imports JAX
    from induced_metric.records import RecordStore
    from induced_metric.studies.journal import JournalStorage
    from induced_metric.studies.running import run_studies
    from induced_metric.studies.storage import StudyFiles

    table.print(app.device())
    stop = app.stop_on_sigterm()
    pair = build.pairing(cfg)
    placement = build.placement(cfg.lanes)
    _say_programs(cfg, pair, table)
    results = app.results(cfg)
    studies = []
    for index in range(values.integer(cfg, "studies", low=1, high=1000)):
        plan = plan_of(cfg, pair, index)
        files = StudyFiles(
            storage=JournalStorage(
                plan.key.directory(results, "studies").with_name(f"{plan.key.optimizer}.journal")
            ),
            records=RecordStore(plan.key.directory(results)),
            checkpoints=build.checkpoints(cfg, *plan.key),
        )
        studies.append((plan, files, table.study(plan.name, pair.published_best)))
    # No lane is made that would have nothing to do.
    most = sum(
        max(0, min(plan.in_flight or plan.trials, plan.trials - len(files.records.trials())))
        for plan, files, _ in studies
    )
    placement = placement.for_trials(max(most, 1))
    with pair.lanes(placement) as lanes:
        table.begin(lanes.capacity // (lanes.width * lanes.queue))
        facts = pair.provenance(lanes, placement, flags)
        known = [(replace(plan, provenance=facts), files, show) for plan, files, show in studies]
        run_studies(known, lanes, stop=stop)
    if stop():
        print("stopped after the epochs under way; the same command continues")
        raise SystemExit(0)


def _say_programs(cfg: DictConfig, pair: build.Pairing, table: SweepTable) -> None:
    """Says how many programs a search of static values may compile, before any; refuses too many."""
    static = [name for name, dimension in pair.search_space.items() if dimension.static]
    if not static:
        return
    number, most = programs(pair.search_space), values.integer(cfg, "lanes.programs", low=1, high=10**6)
    if number > most:
        raise UserError(
            f"{', '.join(static)} make {number} programs, more than lanes.programs={most}: give them fewer "
            "values, or raise it"
        )
    table.print(f"up to {number} programs are compiled, one for each combination of {', '.join(static)}")


def plan_of(cfg: DictConfig, pair: build.Pairing, index: int) -> "StudyPlan":
    """What study ``index`` of a pairing is to do; each has a seed, and so a name, of its own."""
    from induced_metric.records import StudyKey
    from induced_metric.studies.compatibility import study_config
    from induced_metric.studies.plan import StudyPlan
    from induced_metric.training.trial import Goal

    seed = values.seed(cfg) + index
    config: Any = OmegaConf.to_container(cfg, resolve=True)
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
        key=StudyKey(
            protocol=cfg.protocol.name,
            task=pair.task.name,
            sampler=f"{sampler}-seed{seed}" if index else sampler,
            optimizer=pair.name,
        ),
        search_space=searched,
        fixed={name: value for name, value in pair.hyperparameters.items() if name not in searched},
        goal=Goal.of(pair.task),
        trials=values.integer(cfg, "trials", low=1, high=10**6),
        seed=seed,
        create_sampler=build.sampler(cfg.sampler),
        in_flight=in_flight(cfg),
        pruner=build.pruner(cfg.pruner),
        rungs=list(cfg.pruner.rungs),
        config=study_config(config) | {"seed": seed},
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
