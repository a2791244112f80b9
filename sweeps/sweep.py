"""Runs the studies of a task: python sweeps/sweep.py task=regression optimizer=adam,sgd_rms trials=100."""

from induced_metric.cli.sweep import main

if __name__ == "__main__":
    main()
