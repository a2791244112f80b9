"""Runs the studies of a task: python sweeps/sweep.py task=regression optimizer=adam,sgd_rms trials=100."""

from induced_metric.cli.entry import start

if __name__ == "__main__":
    start("sweep")
