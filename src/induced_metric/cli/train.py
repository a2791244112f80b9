"""Trains one trial.

python train.py optimizer=sgd_rms task=regression optimizer.xi=0.01 task.epochs=50 seed=3
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from induced_metric import xla
from induced_metric.cli import app, build, values

if TYPE_CHECKING:
    from induced_metric.lanes import Lanes, Report
    from induced_metric.training.checkpoints import Checkpoints
    from induced_metric.training.trial import Trial


def main() -> None:
    """Runs the entry point."""
    app.run(train, "config")


def train(cfg: DictConfig) -> None:
    """Trains the trial that the configuration describes, with a progress bar, and logs it live."""
    flags = app.start_jax(cfg)  # before anything imports JAX
    from hydra.core.hydra_config import HydraConfig

    from induced_metric.records import SINGLE, RecordStore, StudyKey
    from induced_metric.training.trial import Goal, Trial

    print(app.device(), flush=True)
    stop = app.stop_in_order()
    results = app.results(cfg)
    pair, seed = build.pairing(cfg), values.seed(cfg)
    placement = build.placement(cfg.lanes).for_trials(1, exact=xla.is_deterministic(flags))
    config = values.plain(cfg)
    checkpoints = build.checkpoints(cfg, "train")
    trial = Trial(0, pair.hyperparameters, seed, Goal.of(pair.task), identity(config, seed))
    with checkpoints.exclusive(trial.checkpoint):
        _forget_finished(checkpoints, results)
        with pair.lanes(placement) as lanes:
            key = StudyKey(cfg.protocol.name, pair.task.name, SINGLE, pair.name)
            provenance = pair.provenance(lanes, placement, flags)
            checkpoints = checkpoints.of(provenance)
            facts = {
                **{name: value for name, value in key._asdict().items() if name != "sampler"},
                "seed": seed,
                **pair.hyperparameters,
                "provenance": provenance,
                "config": config,
                "checkpoint": trial.checkpoint,
            }
            with _live_run(cfg, facts) as run:
                _run(trial, lanes, checkpoints, pair.name, run.log, stop)
                directory = Path(HydraConfig.get().runtime.output_dir)
                columns = {name: json.dumps(facts[name], sort_keys=True) for name in ("provenance", "config")}
                RecordStore(key.directory(results)).add(
                    trial.row({**key._asdict(), **columns}), trial.curve()
                )
                _save(directory, trial, facts)  # by which a later run knows that it is recorded
                checkpoints.remove(trial.checkpoint)  # only now that the trial is recorded
                run.finish({"state": "complete", **trial.outcome()})
    print(_sentence(trial, app.comparable(pair.published_best)))
    print(f"saved in {directory}")


def _live_run(cfg: DictConfig, facts: Mapping[str, Any]) -> Any:
    from induced_metric.tracking import LiveRun

    with values.sentences("tracking"):
        return LiveRun(
            cfg.tracking.mode,
            facts,
            name=f"{facts['optimizer']}-{facts['task']}-seed{facts['seed']}",
            project=cfg.tracking.project,
            entity=cfg.tracking.entity,
            results=cfg.results,
        )


def _run(
    trial: "Trial", lanes: "Lanes", checkpoints: "Checkpoints", name: str,
    log: Callable[[int, dict[str, float]], None], stop: Callable[[], bool],
) -> None:  # fmt: skip
    """Trains the trial, from its checkpoint on if it has one.

    Raises:
        Exception: whatever its program raises.
        SystemExit: if it was stopped.
    """
    from induced_metric.cli.views import TrialBar

    objective, stopping = trial.goal.objective, False
    with TrialBar(name, trial.goal.epochs) as bar:

        def show(part: Mapping[str, Any]) -> None:
            for index, epoch in enumerate(part["epoch"]):
                metrics = {column: float(part[column][index]) for column in part if column != "epoch"}
                log(int(epoch), metrics)
            bar.update(int(epoch) + 1, f"{name}: {objective} {metrics[objective]:.5g}")

        def tell(reports: "Sequence[Report]") -> list[bool]:
            nonlocal stopping
            (report,) = reports
            if report.failed is not None:
                raise report.failed
            show(trial.hear(report))
            stopping = stop()  # asked once, so that a trial that is to stop is saved
            trial.keep(report, checkpoints, stopping=stopping)
            return [True]

        resumed = trial.restore(checkpoints, lanes)
        bar.begin(trial.done)
        if resumed:
            show(trial.curve())
        waiting = iter([trial.assignment(None)] if not trial.ended else [])
        stopping = stop()  # which may have come while the program was compiled
        if not stopping:
            lanes.run(lambda: next(waiting, None), tell, stride=1, stop=lambda: stopping)
        if not trial.ended:
            done = f"{trial.done} of {trial.goal.epochs} epochs"
            app.stopped(f"stopped after {done}; the same command continues", bar.print)


def identity(config: Mapping[str, Any], seed: int) -> str:
    """Names a trial after all settings of a whole configuration that determine its curve."""
    from induced_metric.training.trial import digest

    parts = {key: config[key] for key in ("task", "optimizer", "protocol")}
    if config["schedule"].get("_target_"):  # without a schedule, the name is that from before there were any
        parts["schedule"] = config["schedule"]
    return f"{config['task']['name']}-{config['optimizer']['name']}-{digest([parts, seed])}"


def _forget_finished(checkpoints: "Checkpoints", results: Path) -> None:
    """Removes the checkpoints that a kill between saving a result and removing its checkpoint left behind."""
    kept = checkpoints.names()
    for path in results.glob("runs/*/*/*/*/trial.json") if kept else ():
        trial = json.loads(path.read_text()).get("checkpoint")
        if trial in kept and checkpoints.older_than(trial, path):
            checkpoints.remove(trial)
            kept.remove(trial)


def _save(directory: Path, trial: "Trial", facts: Mapping[str, Any]) -> None:
    """Saves the curve and then the facts, each durable before the next: if the second exists, both do."""
    import pyarrow as pa

    from induced_metric.files import durable
    from induced_metric.records.parquet import write_table

    write_table(pa.table(trial.curve()), directory / "curve.parquet", compression_level=9)
    with durable(directory / "trial.json") as file:
        file.write(json.dumps({**trial.outcome(), **facts}, indent=2).encode())


def _sentence(trial: "Trial", published: float | None) -> str:
    outcome, epochs = trial.outcome(), trial.goal.epochs
    if outcome["diverged"]:
        return f"diverged: no finite metrics after {outcome['epochs']} of {epochs} epochs"
    comparison = "" if published is None else f"; the paper's best run: {published:.6g}"
    return (
        f"best {trial.goal.objective} {outcome['value']:.6g} after {outcome['best_epoch'] + 1} of {epochs} "
        f"epochs ({outcome['seconds']:.2f} s on the device){comparison}"
    )
