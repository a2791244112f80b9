"""Trains one trial.

python train.py optimizer=sgd_rms task=regression optimizer.xi=0.01 task.epochs=50 seed=3
"""

import hashlib
import json
from pathlib import Path

import numpy as np
from omegaconf import DictConfig, OmegaConf

from induced_metric import cli
from induced_metric.errors import UserError


def train(cfg: DictConfig) -> None:
    """Trains the trial that the configuration names, with a bar, and logs it live."""
    flags = cli.start_jax(cfg)  # before anything imports JAX
    from induced_metric.tracking import provenance

    stop = cli.stop_on_sigterm()
    results = cli.results(cfg)
    pair, seed = cli.pairing(cfg), cli.seed(cfg)
    config = OmegaConf.to_container(cfg, resolve=True)
    trial = _identity(config, seed)
    checkpoints = cli.checkpoints(cfg, "train")
    with checkpoints.exclusive(trial):
        _forget_finished(checkpoints, results)
        with cli.engine(pair, cfg.lanes, most=1) as lanes:
            facts = {
                "task": pair.task.name,
                "optimizer": cfg.optimizer.name,
                "protocol": cfg.protocol.name,
                "seed": seed,
                **pair.hyperparameters,
                "provenance": provenance(
                    **cli.device_facts(flags),
                    **cli.lane_facts(lanes),
                    data_parallel=cli.data_parallel(pair.task, cfg.lanes),
                    micro_batch=pair.task.micro_batch,
                ),
                "config": config,
                "checkpoint": trial,
            }
            _run(cfg, pair, lanes, checkpoints, facts, stop)


def _run(cfg, pair, lanes, checkpoints, facts, stop):
    from hydra.core.hydra_config import HydraConfig

    from induced_metric.lanes import Assignment
    from induced_metric.plan import outcome
    from induced_metric.progress import TrialProgress
    from induced_metric.tracking import LiveRun

    task, objective, trial = pair.task, pair.task.objective, facts["checkpoint"]
    parts = []  # of the curve
    try:
        run = LiveRun(
            cfg.tracking.mode,
            facts,
            name=f"{cfg.optimizer.name}-{task.name}-seed{facts['seed']}",
            project=cfg.tracking.project,
            entity=cfg.tracking.entity,
            results=cfg.results,
        )
    except (ConnectionError, ValueError) as error:
        raise UserError(f"tracking: {error}") from error
    bar = TrialProgress(cfg.optimizer.name, task.epochs)
    with run, bar:
        halted = False

        def show(part):
            parts.append(part)
            for index, epoch in enumerate(part["epoch"]):
                metrics = {name: float(values[index]) for name, values in part.items() if name != "epoch"}
                run.log(int(epoch), metrics)
            bar.update(int(epoch) + 1, f"{cfg.optimizer.name}: {objective} {metrics[objective]:.5g}")

        def tell(reports):
            nonlocal halted
            (report,) = reports
            halted = report.halted
            show({"epoch": np.array([report.steps - 1]), "seconds": report.seconds} | report.metrics)
            if not report.finished and (stop() or checkpoints.due(report.steps, 1, trial)):
                checkpoints.save(trial, report.state(), _joined(parts))
            return [True]

        assignment = Assignment(trial, pair.hyperparameters, facts["seed"], task.epochs)
        kept = checkpoints.load(trial, lanes.state_shapes)
        bar.begin(kept.done if kept else 0)
        if kept:
            show(kept.curve)
            assignment = assignment._replace(done=kept.done, state=kept.state)
        waiting = iter([assignment])
        lanes.run(lambda: next(waiting, None), tell, stride=1, stop=stop)
        curve = _joined(parts)
        if len(curve["epoch"]) < task.epochs and not halted:
            bar.print(f"stopped after epoch {curve['epoch'][-1]}; the same command continues")
            raise SystemExit(0)
        ended = outcome(curve, objective, task.direction, task.worst, diverged=halted)
        directory = Path(HydraConfig.get().runtime.output_dir)
        _save(directory, curve, {**ended, **facts})
        checkpoints.remove(trial)  # not before there is what it was for
        run.finish({"state": "complete", **ended})
    print(_sentence(objective, ended, pair.published_best))
    print(f"saved in {directory}")


def _identity(config, seed):
    """Names the trial by all that its curve follows from."""
    parts = {key: config[key] for key in ("task", "optimizer", "protocol")}
    digest = hashlib.sha256(json.dumps([parts, seed], sort_keys=True).encode()).hexdigest()
    return f"{config['task']['name']}-{config['optimizer']['name']}-{digest[:12]}"


def _forget_finished(checkpoints, results):
    """Removes the checkpoints of trials whose result came after them: a kill in between leaves them."""
    kept = checkpoints.names()
    for path in results.glob("runs/*/*/*/*/trial.json") if kept else ():
        trial = json.loads(path.read_text()).get("checkpoint")
        if trial in kept and checkpoints.older_than(trial, path):
            checkpoints.remove(trial)
            kept.remove(trial)


def _joined(parts):
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _save(directory, curve, facts):
    """The curve, then the rest, each durable before the next: where there is a rest, there is all."""
    import pyarrow as pa

    from induced_metric.records import durable, write_table

    write_table(pa.table(curve), directory / "curve.parquet", compression_level=9)
    with durable(directory / "trial.json") as file:
        file.write(json.dumps(facts, indent=2).encode())


def _sentence(objective, ended, published):
    if ended["diverged"]:
        return f"diverged in epoch {ended['epochs'] - 1}"
    beside = "" if published is None else f"; the paper's best run: {published:.6g}"
    return (
        f"best {objective} {ended['value']:.6g} in epoch {ended['best_epoch']} "
        f"({ended['seconds']:.2f} s on the device){beside}"
    )


if __name__ == "__main__":
    cli.run(train, "config")
