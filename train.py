"""Trains one trial.

python train.py optimizer=sgd_rms task=regression optimizer.xi=0.01 task.epochs=50 seed=3
"""

from omegaconf import DictConfig

from induced_metric import cli


def train(cfg: DictConfig) -> None:
    """Trains the trial that the configuration names, with a bar, and logs it live."""
    cli.start_jax(cfg)  # before anything imports JAX
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from induced_metric.lanes import Assignment

    pair = cli.pairing(cfg)
    seed = cli.seed(cfg)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    assignments = iter([Assignment(None, pair.hyperparameters, seed, pair.task.epochs)])
    best: list[float] = []
    with Progress(*columns) as bar, cli.engine(pair, cfg.lanes, single=True) as lanes:
        epochs = bar.add_task(f"{cfg.optimizer.name} on {pair.task.name}", total=pair.task.epochs)

        def tell(reports):
            (report,) = reports
            best.append(float(report.metrics[pair.task.objective][-1]))
            bar.update(epochs, completed=report.steps)
            return [True]

        lanes.run(lambda: next(assignments, None), tell, stride=1)
    print(pair.task.objective, min(best), len(best), pair.published_best)


if __name__ == "__main__":
    cli.run(train, "config")
