"""What the linter checks: the studies of several optimisers that one table compares."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from induced_metric.analysis import runs, style
from induced_metric.records import CONFIRMED, FIXED, Records
from induced_metric.space import Choice, Dimension, Float, Int


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
        best: the best trials, or the published best run.
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
        return str(self.setting("optimizer", "_target_", self.optimizer)).rpartition(".")[2]

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
    best = pd.concat(
        [runs.top(study.trials, n if searches else len(study.trials)) for study in ours.values()]
    )
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
    objective, _ = runs.objective(ours)
    return Comparison(task, source, studies, objective, searches, spread)


def searched(config: Mapping[str, Any], trials: pd.DataFrame) -> dict[str, Dimension]:
    """The dimensions that were searched: of the configured ranges, those that the trials have values for."""
    ranges = dict(_flat(config.get("search_space", {})))
    return {name: dimension(given) for name, given in ranges.items()
            if name in trials and trials[name].notna().any()}  # fmt: skip


def dimension(given: Mapping[str, Any]) -> Dimension:
    """The dimension that a range of a configuration describes."""
    values = {name: value for name, value in given.items() if name != "type"}
    if "choices" in values:
        return Choice(**values | {"choices": tuple(values["choices"])})
    return Int(**values) if given.get("type") == "int" else Float(**values)


def _flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if "low" in value or "choices" in value:
            yield prefix + name, value
        else:
            yield from _flat(value, f"{prefix}{name}.")


def listed(values: Mapping[str, str]) -> str:
    """Groups the labels that share a value: ``ADAM, ADAMW 0.8 to 0.99; SGD 0.1 to 0.99``."""
    by_value: dict[str, list[str]] = {}
    for label, value in values.items():
        by_value.setdefault(value, []).append(label)
    return "; ".join(f"{', '.join(labels)} {value}" for value, labels in by_value.items())
