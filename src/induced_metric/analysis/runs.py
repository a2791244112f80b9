"""The runs behind a table or figure: finds them, loads them and selects the best of them."""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

import pandas as pd

from induced_metric import records
from induced_metric.analysis import draws
from induced_metric.records import Records, published


class Reader(Protocol):
    """Reads the trials of a task with one sampler: ``records.load``, or ``tracking.load`` from W&B."""

    def __call__(self, task: str, *, protocol: str, sampler: str, results: str | Path) -> Records:
        """The trials and their curves; FileNotFoundError where there are none."""


class Found(NamedTuple):
    """The records that a notebook shows, and where they are."""

    task: str  # the task asked for, or its preset
    results: Path
    title: str


def load_samplers(
    task: str,
    samplers: Iterable[str] | None = None,
    *,
    protocol: str = "paper",
    results: str | Path = "results",
    load: Reader = records.load,
) -> dict[str, Records]:
    """Loads the records of a task for each sampler, by default for every search on record.

    Studies that repeat one setting (``fixed``) or that no sampler proposed (``single``) are loaded only by
    name.

    Args:
        task: name of the task.
        samplers: names of samplers, in the order of the result.
        protocol: name of the protocol.
        results: the results directory.
        load: the function that reads them; any other than ``records.load`` needs ``samplers``.

    Raises:
        FileNotFoundError: if a sampler has no records; the message says which records exist.
        ValueError: if ``load`` is another reader and ``samplers`` is None.
    """
    if samplers is None:
        if load is not records.load:
            raise ValueError("a reader other than records.load needs samplers, such as ['tpe', 'random']")
        samplers = records.searches(task, protocol=protocol, results=results)
        if not samplers:
            raise nothing_recorded(task, protocol, results)
    return {name: load(task, protocol=protocol, sampler=name, results=results) for name in samplers}


def nothing_recorded(task: str, protocol: str, results: str | Path) -> FileNotFoundError:
    """The error for a task without records, or without those of a search; it names the tasks with records."""
    recorded = records.samplers(task, protocol=protocol, results=results)
    tasks = records.tasks(protocol=protocol, results=results)
    return FileNotFoundError(
        f"no records of {f'a search of {task}' if recorded else task} ({protocol}) under {results};"
        f" tasks with records: {', '.join(tasks) or 'none'}"
    )


def locate(task: str, *, protocol: str = "paper") -> Found:
    """Finds where (``places``) a task, or else its preset ``<task>_small``, has a search on record.

    The title names the task that is shown, and says so if it is the preset.

    Raises:
        FileNotFoundError: if neither has one; the message says where it was looked for.
    """
    names = [task] if task.endswith("_small") else [task, f"{task}_small"]
    for name in names:
        for place in places():
            if records.searches(name, protocol=protocol, results=place):
                preset = f", a preset, smaller than the paper's {task}, of which no search is on record"
                return Found(name, place, name if name == task else name + preset)
    raise FileNotFoundError(
        f"no records of {' or '.join(names)} ({protocol}) under {', '.join(map(str, places()))};"
        f" 'make sweep TASK={task}' makes them"
    )


def locate_landscapes() -> Path:
    """The first of ``places`` with records of the functions of two variables.

    Raises:
        FileNotFoundError: if there are none; the message says where it was looked for.
    """
    for place in places():
        if any((place / "landscapes").glob("*.parquet")):
            return place
    raise FileNotFoundError(
        f"no records of landscapes under {', '.join(map(str, places()))}; 'make landscapes' makes them"
    )


def locate_results() -> Path:
    """The first of ``places`` with records of any task or of the functions of two variables.

    Raises:
        FileNotFoundError: if there are none; the message says where it was looked for.
    """
    return with_records(*places())


def with_records(*directories: Path) -> Path:
    """The first of ``directories`` with records of any task or of the functions of two variables.

    Raises:
        FileNotFoundError: if there are none.
    """
    for place in directories:
        if records.recorded(results=place) or any((place / "landscapes").glob("*.parquet")):
            return place
    raise FileNotFoundError(
        f"no records under {', '.join(map(str, directories))}; 'make sweep' or 'make fair' makes them"
    )


def places() -> list[Path]:
    """Results directories to look in: ``$RESULTS``, or else the user's own and then the published one.

    Relative paths are relative to the repository that contains the working directory, or else to the working
    directory itself.
    """
    cwd = Path.cwd()
    root = next((folder for folder in (cwd, *cwd.parents) if (folder / "pyproject.toml").exists()), cwd)
    configured = os.environ.get("RESULTS")
    return [root / name for name in ([configured] if configured else ["results", "results/published"])]


def objective(ours: Mapping[str, Records]) -> tuple[str, str]:
    """The metric that the studies optimised and its direction, ``minimize`` or ``maximize``.

    Raises:
        ValueError: if they do not all have the same metric and direction.
    """
    objectives = pd.concat([study.trials[["objective", "direction"]] for study in ours.values()])
    objectives = objectives.drop_duplicates()
    if len(objectives) != 1:
        names = ", ".join(sorted(f"{row.objective} ({row.direction})" for row in objectives.itertuples()))
        raise ValueError(f"all studies of a table must share an objective, got {names}")
    return objectives["objective"].iloc[0], objectives["direction"].iloc[0]


def chosen_by(study: Records) -> str:
    """The metric that chose the epoch of a trial's value; in a confirmation it may not be the value's own.

    Raises:
        ValueError: if the trials differ in it.
    """
    measured, _ = objective({"": study})
    tasks = [json.loads(text).get("task", {}) for text in study.trials["config"].unique()]
    metrics = {str(task.get("objective", measured)) for task in tasks}
    if len(metrics) != 1:
        names = ", ".join(sorted(metrics))
        raise ValueError(f"one metric must choose the epochs of all trials of a study, got {names}")
    return metrics.pop()


def as_published(ours: Mapping[str, Records]) -> bool:
    """Whether our studies follow the paper's rules, so that its numbers can stand beside ours.

    Under other protocols, the values are from another split or the search ranges differ.
    """
    return all((study.trials["protocol"] == "paper").all() for study in ours.values())


def quoted(task: str, ours: Mapping[str, Records]) -> pd.DataFrame:
    """``published.summary`` where its numbers can stand beside ours (``as_published``), else none of it."""
    table = published.summary(task)
    return table if as_published(ours) else table[:0]


def best_count(ours: Mapping[str, Records]) -> int:
    """How many runs of an optimiser count as its best by default: 50, but at most a quarter of the trials.

    The paper summarises the best 50 of 500 trials (of 200 for CIFAR-10). In a smaller study, 50 would be most
    of the trials rather than the best of them. The largest study decides the number, so that all rows are
    over equally many runs.
    """
    trials = max(study.trials.groupby("optimizer").size().max() for study in ours.values())
    return max(1, min(published.RUNS_SUMMARISED, trials // 4))


def eligible(trials: pd.DataFrame) -> pd.Series:
    """Which trials can be among the best; ``statistics.counts`` counts the others.

    Pruned, failed and diverged trials cannot. The exception is a pruned trial of a study that ranks stopped
    trials by the best value of the epochs they ran (``draws.ranks_stopped``).
    """
    ended = trials["state"] == "complete"
    stopped = (trials["state"] == "pruned") & draws.ranks_stopped(trials)
    return (ended | stopped) & ~trials["diverged"]


def any_eligible(ours: Mapping[str, Records]) -> bool:
    """Whether any study has an eligible trial; without one, what a lost trial counts as is not known."""
    return any(eligible(study.trials).any() for study in ours.values())


def top(trials: pd.DataFrame, n: int) -> pd.DataFrame:
    """The best ``n`` eligible trials of each optimiser, best first, by the direction of its study.

    Ties go to the earlier trial.
    """
    candidates = trials[eligible(trials)]
    worse = candidates["value"].where(candidates["direction"] == "minimize", -candidates["value"])
    ranked = candidates.assign(_worse=worse).sort_values(["_worse", "trial"], kind="stable")
    best = ranked.groupby("optimizer", sort=False).head(n).drop(columns="_worse")
    # Keep the optimisers in the order of the input.
    rank = {name: place for place, name in enumerate(trials["optimizer"].unique())}
    return best.sort_values("optimizer", key=lambda names: names.map(rank), kind="stable", ignore_index=True)
