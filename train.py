"""Trains one trial: python train.py optimizer=sgd_rms task=regression optimizer.xi=0.01 seed=3."""

from induced_metric.cli.entry import start

if __name__ == "__main__":
    start("train")
