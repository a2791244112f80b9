"""How the trials of a study were drawn, by its recorded configuration, and what that means for tables."""

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import pandas as pd

from induced_metric.records import CONFIRMED, WITHOUT, Records

_STUDY = re.compile(rf"(-seed\d+)?({CONFIRMED}({WITHOUT}[\w.]+)?)?$")
_IN_FLIGHT = 8
"""The number of trials in flight in studies that did not record it."""


def independent(trials: pd.DataFrame) -> bool:
    """Whether no trial depends on the outcome of another: random search without a pruner."""
    return proposed_at_random(trials) and all(
        config.get("pruner", {}).get("name") is None for _, config in _configurations(trials)
    )


def proposed_at_random(trials: pd.DataFrame) -> bool:
    """Whether random search proposed all trials; a pruner may have stopped some by comparing them."""
    return all(
        config.get("sampler", {}).get("create", {}).get("_target_", "").endswith(".RandomSampler")
        for _, config in _configurations(trials)
    )


def shared_draws(trials: pd.DataFrame) -> bool:
    """Whether trial k of every optimiser has the same seed and the same draw of the learning rate.

    The ranges of the learning rate may differ, so ranks are compared: the same uniform draw has the same rank
    in every range. With a single optimiser, or without a learning rate, there is nothing to share.
    """
    if trials["optimizer"].nunique() < 2 or "learning_rate" not in trials:
        return False
    seeds, rates = (
        trials.pivot_table(index="trial", columns="optimizer", values=name).dropna()
        for name in ("seed", "learning_rate")
    )
    same = [wide.to_numpy() == wide.to_numpy()[:, :1] for wide in (seeds, rates.rank())]
    return len(seeds) > 1 and all(bool(equal.all()) for equal in same)


def in_common(trials: pd.DataFrame) -> int:
    """How many trial numbers all optimisers have, which are those that ``paired`` compares them by."""
    having = trials.groupby("trial")["optimizer"].nunique()
    return int((having == trials["optimizer"].nunique()).sum())


def paired(trials: pd.DataFrame, baseline: str, values: pd.Series) -> pd.DataFrame:
    """One value per trial of random search, for the trial numbers that all optimisers have.

    Args:
        trials: one row per trial.
        baseline: the optimiser that the others are compared with.
        values: a value for each row of ``trials``; none is NaN.

    Returns:
        A row per trial number, a column per optimiser.

    Raises:
        ValueError: if trials depend on each other, those of one number have different seeds, the baseline has
            no trial, or there is no trial number that all optimisers have.
    """
    if not independent(trials):
        raise ValueError(
            "intervals need trials that do not depend on each other: random search without a pruner"
        )
    names = trials["optimizer"].unique().tolist()
    if baseline not in names:
        raise ValueError(f"baseline must be one of {', '.join(names)}, got {baseline!r}")
    seeds = trials.groupby("trial")["seed"]
    if (seeds.min() != seeds.max()).any():
        raise ValueError("trials of two optimisers with the same number have different seeds")
    table = trials.assign(_value=values).pivot_table(
        index="trial", columns="optimizer", values="_value", aggfunc="first"
    )
    table = table.dropna()
    if table.empty:
        raise ValueError(f"{', '.join(names)} have no trial number in common")
    return table


def ranks_stopped(trials: pd.DataFrame) -> pd.Series:
    """Which trials belong to a study that ranks stopped trials, by the best value of the epochs they ran."""
    stopped = {
        text: bool(json.loads(text).get("pruner", {}).get("ranks_stopped", False))
        for text in trials["config"].unique()
    }
    return trials["config"].map(stopped).astype(bool)


def family(sampler: str) -> str:
    """The name that repeated studies share: ``tpe`` for ``tpe``, ``tpe-seed1`` and their confirmations."""
    return _STUDY.sub("", sampler)


def families(ours: Mapping[str, Records]) -> dict[str, dict[str, Records]]:
    """The records of each family of samplers, by sampler."""
    by_family: dict[str, dict[str, Records]] = {}
    for sampler, records in ours.items():
        by_family.setdefault(family(sampler), {})[sampler] = records
    return by_family


def pool(studies: Mapping[str, Records]) -> Records:
    """The trials and curves of several studies as one study, with trials numbered consecutively."""
    if len(studies) == 1:
        return next(iter(studies.values()))
    return Records(
        pool_trials(studies), _numbered_through(studies, [study.curves for study in studies.values()])
    )


def pool_trials(studies: Mapping[str, Records]) -> pd.DataFrame:
    """The trials of ``pool`` alone, without the work of pooling their curves."""
    return _numbered_through(studies, [study.trials for study in studies.values()])


def _numbered_through(studies: Mapping[str, Records], tables: list[pd.DataFrame]) -> pd.DataFrame:
    parts, offset = [], 0
    for study, table in zip(studies.values(), tables, strict=True):
        parts.append(table.assign(trial=table["trial"] + offset))
        offset += 1 + int(study.trials["trial"].max())
    return pd.concat(parts, ignore_index=True)


def pooled(ours: Mapping[str, Records]) -> dict[str, Records]:
    """Every family of samplers as one study (``pool``), by its name: how figures show repeated studies."""
    return {name: pool(studies) for name, studies in families(ours).items()}


def origin(*trials: pd.DataFrame) -> str:
    """Where the trials of a figure come from: ``regression (our runs, protocol paper, tpe)``.

    Several tasks, or several families of samplers, are not named here, because the figure names them.
    """
    tasks, protocols, samplers = (
        list(dict.fromkeys(name for table in trials for name in table[column].unique()))
        for column in ("task", "protocol", "sampler")
    )
    family_names = {family(name) for name in samplers}
    words = [
        "our runs",
        f"protocol {', '.join(protocols)}",
        *(family_names if len(family_names) == 1 else ()),
    ]
    if len(family_names) == 1 and len(samplers) > 1:
        studies = pd.concat([table[["task", "sampler"]].drop_duplicates() for table in trials])
        of_each = studies.groupby("task")["sampler"].nunique()
        words.append(f"{' to '.join(map(str, sorted({of_each.min(), of_each.max()})))} studies")
    return f"{tasks[0] if len(tasks) == 1 else f'{len(tasks)} tasks'} ({', '.join(words)})"


class Unmodelled(NamedTuple):
    """Studies of a sampler that ended before it modelled anything."""

    optimizers: list[str]
    every: bool  # whether these are all optimisers of the sampler
    trials: int
    startup: int
    in_flight: int


def unmodelled(trials: pd.DataFrame) -> list[Unmodelled]:
    """The studies of one sampler in which every trial is a random draw, grouped by their numbers of trials.

    The model proposes its first trial once the start-up trials have finished, and by then further trials are
    in flight: two fewer than a study keeps there if two trials finish at once. A study with no more trials
    than these and the start-up trials has random draws only.
    """
    groups: dict[tuple[int, int, int], dict[str, None]] = {}
    # Studies that are pooled (``pool``) each begin with random draws, so the largest of them counts.
    sizes = trials.groupby(["optimizer", *({"sampler"} & set(trials))], sort=False).size()
    counts = sizes.groupby("optimizer", sort=False).max()
    for optimizer, config in _configurations(trials):
        settings = config.get("sampler", {})
        startup = settings.get("create", {}).get("n_startup_trials")
        in_flight = settings.get("in_flight", _IN_FLIGHT)
        count = int(counts[optimizer])
        if startup is not None and count <= startup + in_flight - min(in_flight, 2):
            groups.setdefault((count, startup, in_flight), {})[optimizer] = None
    return [Unmodelled(list(names), len(names) == len(counts), *numbers) for numbers, names in groups.items()]


def warnings(ours: Mapping[str, Records]) -> list[str]:
    """A sentence for each sampler with a study that ended before the sampler modelled anything."""
    return [
        f"{sampler}: all {group.trials} trials of "
        f"{'each optimiser' if group.every else ', '.join(group.optimizers)} are random draws, not proposals "
        f"of the sampler's model. The model proposes nothing until {group.startup} trials have finished, and "
        f"by then {group.in_flight} more are in flight."
        for sampler, records in ours.items()
        for group in unmodelled(records.trials)
    ]


def _configurations(trials: pd.DataFrame) -> list[tuple[str, dict[str, Any]]]:
    """Each optimiser with the configuration of its study."""
    # A thousand trials share one text: parse it once.
    studies = trials[["optimizer", "config"]].drop_duplicates()
    return [(str(row.optimizer), json.loads(str(row.config))) for row in studies.itertuples()]
