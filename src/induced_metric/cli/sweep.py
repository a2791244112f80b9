"""Runs the studies of a task, one per optimiser.

python sweeps/sweep.py task=regression sampler=random trials=100 optimizer=adam,sgd_rms
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from induced_metric import xla
from induced_metric.cli import app, build, launch, protocols, recorded, searching, values
from induced_metric.cli.storages import Database, retries, storages, turned
from induced_metric.cli.views import SweepTable
from induced_metric.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

    from induced_metric.records import StudyKey
    from induced_metric.studies.plan import StudyPlan
    from induced_metric.studies.running import Studies
    from induced_metric.studies.storage import Storage


def main() -> None:
    """Runs the entry point, with one live view over all studies."""
    with SweepTable() as table:
        sweep = Sweep(table)
        app.run(launch.placed(sweep.job), "sweep", afterwards=sweep.work)


class Sweep:
    """The studies of a task; each optimiser's are one Hydra job.

    With a journal, a job runs its studies to their end. With a database, the jobs are collected first: each
    worker starts with a different study and then alternates between those that are not finished.

    Args:
        table: the live view.
    """

    def __init__(self, table: SweepTable) -> None:
        self._table = table
        self._collected: list[DictConfig] = []

    def job(self, cfg: DictConfig) -> None:
        """Runs the studies of one optimiser or, with a database, collects them for ``work``."""
        app.start_jax(cfg)  # before anything imports JAX
        storage = storages(cfg)
        if isinstance(storage, Database):
            self._collected.append(cfg)
            return
        from induced_metric.studies.running import run_opened

        stop = app.stop_in_order()
        results, retry = app.results(cfg), retries(cfg)
        with self._opened(cfg, lambda key: storage.of(key, results, retry=retry)) as studies:
            run_opened([studies], stop=stop)
        _say(stop())

    def work(self) -> None:
        """Runs the collected studies as one worker of many."""
        if not self._collected:
            return
        from induced_metric.studies.running import run_opened
        from induced_metric.studies.storage import StoppedError

        stop = app.stop_in_order()
        first = self._collected[0]
        results, retry = app.results(first), retries(first)
        storage = storages(first)
        assert isinstance(storage, Database)

        def of(key: "StudyKey") -> "Storage":
            return storage.of(server, key, results, retry=retry)

        with contextlib.suppress(StoppedError), contextlib.ExitStack() as held:
            server = held.enter_context(contextlib.closing(storage.connect(first.worker, stop)))
            self._table.print(f"worker: {server.worker}")
            begun = []
            for cfg in turned(server.worker, self._collected):
                if not stop():
                    begun.append(held.enter_context(self._opened(cfg, of, server.worker)))
                    run_opened(begun[-1:], stop=stop, wait=False)
            if not stop():
                run_opened(begun, stop=stop)
        _say(stop())

    @contextlib.contextmanager
    def _opened(
        self, cfg: DictConfig, storage: "Callable[[StudyKey], Storage]", worker: str | None = None
    ) -> "Iterator[Studies]":
        """Opens the studies of one task with one optimiser, with the lanes that train them."""
        from induced_metric.records import RecordStore
        from induced_metric.studies.running import open_studies
        from induced_metric.studies.storage import StudyFiles

        table = self._table
        table.print(app.device())
        protocols.check(cfg)
        pair = build.pairing(cfg)
        _say_programs(cfg, pair, table)
        results = app.results(cfg)
        studies = []
        for index in range(values.integer(cfg, "studies", low=1, high=1000)):
            plan = plan_of(cfg, pair, index)
            files = StudyFiles(
                storage=storage(plan.key),
                records=RecordStore(plan.key.directory(results)),
                checkpoints=build.checkpoints(cfg, *plan.key),
            )
            studies.append((plan, files, table.study(plan.name, app.comparable(pair.published_best))))
        # The largest number of trials to train at once: more lanes would have nothing to do.
        most = sum(_at_once(plan, files.records.trials(), again=retries(cfg)) for plan, files, _ in studies)
        flags = app.start_jax(cfg)
        exact = xla.is_deterministic(flags) and most > 0
        placement = build.placement(cfg.lanes).for_trials(max(most, 1), exact=exact)
        placement = placement.after(
            recorded.last([files.records for _, files, _ in studies], deterministic=exact)
        )
        if worker is not None:
            recorded.check_agreed(placement)
        with pair.lanes(placement) as lanes:
            table.begin(lanes.capacity // (lanes.width * lanes.queue))
            facts = pair.provenance(lanes, placement, flags)
            if protocols.confirms(cfg):
                protocols.check_searched(cfg, pair, facts)
            if worker is not None:
                facts["worker"] = worker
            planned = [(replace(plan, provenance=facts), files, show) for plan, files, show in studies]
            with open_studies(planned, lanes) as opened:
                yield opened


def _at_once(plan: "StudyPlan", recorded: "pd.DataFrame", *, again: bool) -> int:
    """How many trials of a study can be trained at once; with ``again``, failed ones are not yet trained."""
    done = recorded[recorded["trial"] < plan.trials] if len(recorded) else recorded
    done = done[done["state"] != "failed"] if again and len(done) else done
    return max(0, min(plan.in_flight or plan.trials, plan.trials - len(done)))


def _say(stopped: bool) -> None:
    if stopped:
        app.stopped("stopped after the epochs under way; the same command continues")


def _say_programs(cfg: DictConfig, pair: build.Pairing, table: SweepTable) -> None:
    """Prints how many programs a search over static values may compile; refuses too many."""
    static, number = build.static_programs(cfg, pair.search_space)
    if static:
        table.print(f"up to {number} programs are compiled, one for each combination of {', '.join(static)}")


def plan_of(cfg: DictConfig, pair: build.Pairing, index: int) -> "StudyPlan":
    """The plan of study ``index`` of a pairing; each study has its own seed, and so its own name.

    Raises:
        UserError: for a setting out of range, or a pruner that would never judge a trial.
    """
    from induced_metric.records import StudyKey
    from induced_metric.studies.compatibility import study_config
    from induced_metric.studies.plan import StudyPlan
    from induced_metric.training.trial import Goal

    seed = values.seed(cfg) + index
    config = values.plain(cfg)
    searched = pair.search_space
    confirms = protocols.confirms(cfg)
    if not cfg.sampler.get("searches", True) and not confirms:
        if pair.published_best is None:
            raise UserError(
                f"sampler {cfg.sampler.name} takes the published best hyperparameters, and conf/pairing has "
                f"none for {pair.task.name} with {cfg.optimizer.name}"
            )
        searched = {}
    plan = StudyPlan(
        key=StudyKey(
            protocol=cfg.protocol.name,
            task=pair.task.name,
            sampler=protocols.study_name(protocols.search_name(cfg), seed, index),
            optimizer=pair.name,
        ),
        search_space=searched,
        fixed={name: value for name, value in pair.hyperparameters.items() if name not in searched},
        goal=Goal.of(pair.task),
        trials=values.integer(cfg, "trials", low=1, high=10**6),
        seed=seed,
        create_sampler=searching.sampler(cfg.sampler),
        in_flight=in_flight(cfg),
        pruner=searching.pruner(cfg.pruner),
        rungs=searching.rungs(cfg.pruner),
        config=study_config(config) | {"seed": seed},
    )
    # A study that an earlier version began so goes on.
    if cfg.pruner.rungs and not plan.rungs and not plan.key.directory(cfg.results).exists():
        raise UserError(
            f"pruner {cfg.pruner.name} first judges a trial after {min(cfg.pruner.rungs)} epochs, but those "
            f"of {pair.task.name} end after {pair.task.epochs}: use pruner=none, or train for longer"
        )
    return protocols.confirmation(cfg, pair, plan, index) if confirms else plan


def in_flight(cfg: DictConfig) -> int | None:
    """How many trials are in flight: set by the sampler or else by the pruner; None if by neither.

    Raises:
        UserError: unless both settings are an integer >= 1 or null.
    """
    numbers = []
    for group in ("sampler", "pruner"):
        value = cfg[group].get("in_flight", "nothing")
        if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
            raise UserError(
                f"{group}.in_flight must say how many trials are under way, an integer >= 1, "
                f"or null if no trial depends on others, got {value}"
            )
        numbers.append(value)
    return next((value for value in numbers if value is not None), None)
