"""``induced-metric landscapes-report``: writes what the landscapes' records show, without running them."""

from pathlib import Path

from induced_metric.cli.arguments import results as arguments
from induced_metric.cli.reports import say_written

__all__ = ["arguments", "run"]


def run(results: Path) -> None:
    """Writes the tables, the figures and the page again."""
    from induced_metric.analysis.landscapes import report

    say_written(report.write(results))
