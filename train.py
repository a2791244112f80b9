"""Trains one trial.

python train.py optimizer=sgd_rms task=regression optimizer.xi=0.01 task.epochs=50 seed=3
"""

import json
from pathlib import Path

import numpy as np
from omegaconf import DictConfig, OmegaConf

from induced_metric import cli
from induced_metric.errors import UserError


def train(cfg: DictConfig) -> None:
    """Trains the trial that the configuration names, with a bar, and logs it live."""
    flags = cli.start_jax(cfg)  # before anything imports JAX
    from hydra.core.hydra_config import HydraConfig
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from induced_metric.lanes import Assignment
    from induced_metric.study import outcome
    from induced_metric.tracking import LiveRun, provenance

    pair, seed = cli.pairing(cfg), cli.seed(cfg)
    task, objective = pair.task, pair.task.objective
    facts = {
        "task": task.name,
        "optimizer": cfg.optimizer.name,
        "protocol": cfg.protocol.name,
        "seed": seed,
        **pair.hyperparameters,
        "provenance": provenance(**cli.device_facts(flags)),
        "config": OmegaConf.to_container(cfg, resolve=True),
    }
    reports = []
    waiting = iter([Assignment(None, pair.hyperparameters, seed, task.epochs)])
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    try:
        run = LiveRun(
            cfg.tracking.mode,
            facts,
            name=f"{cfg.optimizer.name}-{task.name}-seed{seed}",
            project=cfg.tracking.project,
            entity=cfg.tracking.entity,
            results=cfg.results,
        )
    except (ConnectionError, ValueError) as error:
        raise UserError(f"tracking: {error}") from error
    with run, Progress(*columns) as bar, cli.engine(pair, cfg.lanes, single=True) as lanes:
        epochs = bar.add_task("", total=task.epochs)

        def tell(news):
            (report,) = news
            reports.append(report)
            epoch = {name: float(values[0]) for name, values in report.metrics.items()}
            run.log(report.steps - 1, {**epoch, "seconds": float(report.seconds[0])})
            bar.update(
                epochs,
                completed=report.steps,
                description=f"{cfg.optimizer.name}: {objective} {epoch[objective]:.5g}",
            )
            return [True]

        lanes.run(lambda: next(waiting, None), tell, stride=1)
        curve = {name: np.concatenate([r.metrics[name] for r in reports]) for name in reports[0].metrics}
        curve["seconds"] = np.concatenate([r.seconds for r in reports])
        ended = outcome(curve, objective, task.direction, task.worst, diverged=reports[-1].halted)
        run.finish({"state": "complete", **ended})
    directory = Path(HydraConfig.get().runtime.output_dir)
    _save(directory, curve, {**ended, **facts})
    print(_sentence(objective, ended, pair.published_best))
    print(f"saved in {directory}")


def _save(directory, curve, facts):
    import pandas as pd

    frame = pd.DataFrame(curve)
    frame.insert(0, "epoch", range(len(frame)))
    frame.to_parquet(directory / "curve.parquet")
    (directory / "trial.json").write_text(json.dumps(facts, indent=2))


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
