"""Runs the functions of two variables: python sweeps/landscapes.py steps=[grid,timing]."""

from induced_metric.cli.landscapes import main

if __name__ == "__main__":
    main()
