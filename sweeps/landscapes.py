"""Runs the functions of two variables: python sweeps/landscapes.py steps=[grid,timing]."""

from induced_metric.cli.entry import start

if __name__ == "__main__":
    start("landscapes")
