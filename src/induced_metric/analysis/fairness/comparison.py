"""What the linter checks: the studies of several optimisers that one table compares."""

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from induced_metric.analysis import runs, style
from induced_metric.records import CONFIRMED, FIXED, Records
from induced_metric.space import Dimension, dimensions


class Finding(NamedTuple):
    """What a rule found in a comparison.

    Attributes:
        found: the finding, as a sentence.
        numbers: the numbers behind it, in a few words.
    """

    found: str
    numbers: str


class Study(NamedTuple):
    """The studies of one optimiser in a comparison: one study, or several independent ones of a sampler.

    Attributes:
        optimizer: name of the optimiser.
        config: the recorded configuration.
        space: the dimensions that were searched, by name; empty where a fixed setting was trained again.
        trials: all trials of the studies; empty for the published studies.
        best: the best trials of each study, the best of all first, or the published best run.
        mean: the mean of the best values.
        studies: the number of studies.
    """

    optimizer: str
    config: Mapping[str, Any]
    space: Mapping[str, Dimension]
    trials: pd.DataFrame
    best: pd.DataFrame
    mean: float
    studies: int

    @property
    def label(self) -> str:
        """The name of the optimiser in tables."""
        return style.label(self.optimizer)

    @property
    def kind(self) -> str:
        """The name of the function that makes the optimiser, without its module."""
        return self.made_by("")

    def made_by(self, part: str) -> str:
        """The same for a part of it, such as ``direction``; that of the optimiser if it has no such part."""
        target = self.setting("optimizer", "_target_", self.optimizer)
        given = self.setting("optimizer", part) if part else None
        if isinstance(given, Mapping):
            target = given.get("_target_", target)
        return str(target).rpartition(".")[2]

    def setting(self, group: str, name: str, otherwise: Any = None) -> Any:
        """A setting of the recorded configuration; ``otherwise`` if the record is older than the setting."""
        value = self.config.get(group, {}).get(name)
        return otherwise if value is None else value


class Comparison(NamedTuple):
    """Studies that are compared with each other.

    Attributes:
        task: name of the task.
        source: the family of samplers, or ``published``.
        studies: one entry per optimiser, in the published order.
        objective: the metric, such as ``test/loss``.
        searches: true if the studies are searches, false if they trained fixed settings again.
        spread: the standard deviation of the objective over seeds of one setting, by optimiser, where known.
    """

    task: str
    source: str
    studies: Sequence[Study]
    objective: str
    searches: bool
    spread: Mapping[str, float]

    def of(self, optimizers: Collection[str]) -> "Comparison":
        """The comparison of some of its optimisers."""
        return self._replace(studies=[study for study in self.studies if study.optimizer in optimizers])

    @property
    def recorded(self) -> pd.DataFrame:
        """All recorded trials; empty for the published studies."""
        return pd.concat([study.trials for study in self.studies], ignore_index=True)


def of_records(
    task: str, source: str, ours: Mapping[str, Records], *, n: int, spread: Mapping[str, float]
) -> Comparison:
    """The comparison of one study, or of several independent studies, of each optimiser.

    Args:
        task: name of the task.
        source: see ``Comparison``.
        ours: the records, by sampler.
        n: how many of the trials of a study count as its best.
        spread: see ``Comparison``.
    """
    searches = not any(name == FIXED or name.endswith(CONFIRMED) for name in ours)
    trials = pd.concat([study.trials for study in ours.values()], ignore_index=True)
    objective, direction = runs.objective(ours)
    best = pd.concat(
        [runs.top(study.trials, n if searches else len(study.trials)) for study in ours.values()]
    ).sort_values("value", ascending=direction == "minimize", kind="stable")
    best_of = dict(iter(best.groupby("optimizer")))
    studies = []
    for name, rows in trials.groupby("optimizer"):
        config = json.loads(str(rows["config"].iloc[0]))
        space = searched(config, rows) if searches else {}
        top = best_of.get(name, rows[:0]).reset_index(drop=True)
        mean, count = float(top["value"].mean()), rows["sampler"].nunique()
        studies.append(Study(str(name), config, space, rows, top, mean, count))
    order = style.ordered([study.optimizer for study in studies])
    studies.sort(key=lambda study: order.index(study.optimizer))
    return Comparison(task, source, studies, objective, searches, spread)


def searched(config: Mapping[str, Any], trials: pd.DataFrame) -> dict[str, Dimension]:
    """The dimensions that were searched: of the configured ranges, those that the trials have values for."""
    configured = dimensions(config.get("search_space", {}))
    return {name: each for name, each in configured.items()
            if name in trials and trials[name].notna().any()}  # fmt: skip


def listed(values: Mapping[str, str]) -> str:
    """Groups the labels that share a value: ``ADAM, ADAMW 0.8 to 0.99; SGD 0.1 to 0.99``."""
    by_value: dict[str, list[str]] = {}
    for label, value in values.items():
        by_value.setdefault(value, []).append(label)
    return "; ".join(f"{', '.join(labels)} {value}" for value, labels in by_value.items())
