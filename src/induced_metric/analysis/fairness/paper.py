"""The published study as a comparison, as far as the linter can see it.

Its sources are in the package: ``records/paper/search_spaces.yaml`` and ``tables.csv``, and the published
best settings in ``conf/``. They were taken from the paper and its companion repository. No trial of the study
is published, so the rules that need trials find nothing in it.
"""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from induced_metric.analysis.fairness.comparison import Comparison, Study
from induced_metric.records import published
from induced_metric.space import dimension

PUBLISHED = "published"
OBJECTIVES = {
    "min_val_loss": "test/loss",
    "max_val_acc": "test/accuracy",
    "min_val_perplexity": "validation/perplexity",
}
"""Our names of the published metrics: what is called validation there is our test split, if there is one."""
EXAMPLES = 9216
"""Test images of MNIST and CIFAR-10 that the published scripts evaluate."""


def comparison(task: str, spread: Mapping[str, float]) -> Comparison | None:
    """The published studies of a task; None if the task is not in the paper.

    Args:
        task: name of the task.
        spread: see ``Comparison``; measured in our records of the published settings.
    """
    table, spaces = published.summary(task), published.spaces(task)
    if table.empty or not spaces:
        return None
    budget = published.budget(task)
    studies = [_study(task, name, table.loc[name], spaces[name], budget) for name in table.index]
    return Comparison(task, PUBLISHED, studies, OBJECTIVES[published.metric(task)], True, spread)


def _study(
    task: str,
    name: str,
    row: "pd.Series[Any]",
    ranges: Mapping[str, Mapping[str, Any]],
    budget: dict[str, int],
) -> Study:
    settings = published.best_settings(task, name)
    config = {
        "optimizer": {"_target_": f"induced_metric.{name}"},
        "protocol": {"selection": "test"},
        "pruner": {"name": published.early_stopping()},
        "task": {"epochs": budget["epochs"], "test_examples": EXAMPLES},
    }
    best = {**settings, "value": row["best_metric"], "best_epoch": row["best_epoch"]}
    late = {"mean_epoch": row["epoch_mean"]}
    space = {key: dimension(given) for key, given in ranges.items() if key in settings}
    return Study(
        name, config, space, pd.DataFrame(), pd.DataFrame([best | late]), float(row["metric_mean"]), 1
    )
