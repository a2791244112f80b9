"""``python -m induced_metric <command>``: the console script ``induced-metric`` where it is not installed."""

from induced_metric.cli.commands import main

if __name__ == "__main__":
    main()
