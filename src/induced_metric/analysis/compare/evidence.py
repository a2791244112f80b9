"""Joins the records of candidates with those of the baselines, and checks that the two may be compared."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import pandas as pd

from induced_metric import records
from induced_metric.analysis import draws, style
from induced_metric.errors import UserError
from induced_metric.records import CONFIRMED, Records

SEARCH = "tpe"
"""The family of samplers whose winners are compared."""
Differences: TypeAlias = Callable[[Mapping[str, Any], Mapping[str, Any]], list[str]]
"""Says in words what differs between the configurations of two studies; the older one comes first."""
# What each optimiser has of its own in a study's configuration. The rest belongs to the protocol, the task or
# the sampler, and must be the same for all.
_OWN = ("optimizer", "search_space", "source")


class Evidence(NamedTuple):
    """What a comparison rests on.

    Attributes:
        task: what was trained.
        protocol: name of the protocol.
        pairs: each candidate with each baseline.
        searches: the studies of all these optimisers, by sampler.
        confirmations: their winners, trained again from the seeds that all of them have, by sampler.
        remarks: a sentence for each way in which budgets differ.
    """

    task: str
    protocol: str
    pairs: list[tuple[str, str]]
    searches: dict[str, Records]
    confirmations: dict[str, Records]
    remarks: list[str]

    @property
    def candidates(self) -> list[str]:
        """The optimisers that are compared with the baselines."""
        return list(dict.fromkeys(candidate for candidate, _ in self.pairs))


def read(
    task: str,
    candidates: Sequence[str],
    against: Sequence[str],
    *,
    protocol: str,
    results: str | Path,
    baselines: str | Path,
    differences: Differences,
) -> Evidence:
    """Reads what a comparison rests on.

    Args:
        task: name of the task.
        candidates: optimisers with records under ``results``.
        against: optimisers with records under ``baselines``.
        protocol: name of the protocol.
        results: the results directory of the candidates.
        baselines: the results directory of the baselines.
        differences: says what differs between the configurations of two studies.

    Raises:
        UserError: if an optimiser has no search or no confirmation on record, if not all were trained and
            judged under the same rules, or if no pair is left.
    """
    baseline_studies = baselines_on_record(task, against, protocol, baselines)
    candidate_studies = _candidates(task, candidates, list(baseline_studies), protocol, results)
    pairs = [
        (candidate, baseline) for candidate in candidates for baseline in against if candidate != baseline
    ]
    if not pairs:
        raise UserError(f"{', '.join(candidates)} would be compared only with itself: name other baselines")
    joined: dict[str, Records] = {}
    for sampler, candidate_study in candidate_studies.items():
        baseline_study = baseline_studies[sampler]
        # A candidate that is a baseline too is judged by the candidates' records.
        _check_alike(candidate_study.trials, baseline_study.trials, differences)
        joined[sampler] = _joined(candidate_study, _without(baseline_study, candidates))
    searches = {name: study for name, study in joined.items() if not name.endswith(CONFIRMED)}
    every = {name: study for name, study in joined.items() if name.endswith(CONFIRMED)}
    confirmations = {name: _paired(study) for name, study in every.items()}
    remarks = [*_budgets(searches, len(baseline_studies) // 2, pairs), *_seeds(every, candidates)]
    return Evidence(task, protocol, pairs, searches, confirmations, remarks)


def tasks_with_baselines(protocol: str, baselines: str | Path) -> list[str]:
    """The tasks for which winners are on record."""
    where: Any = {"protocol": protocol, "results": baselines}
    return [task for task in records.tasks(**where) if SEARCH + CONFIRMED in records.samplers(task, **where)]


def baselines_on_record(
    task: str, against: Sequence[str], protocol: str, baselines: str | Path
) -> dict[str, Records]:
    """The records of the baselines, by sampler: those of each search and of its confirmation."""
    searches = records.searches(task, protocol=protocol, results=baselines)
    confirmed = records.confirmations(task, protocol=protocol, results=baselines)
    usable = [name for name in searches if draws.family(name) == SEARCH and name + CONFIRMED in confirmed]
    if not usable:
        tasks = ", ".join(tasks_with_baselines(protocol, baselines)) or "none"
        raise UserError(
            f"no confirmed baselines of {task} ({protocol}) under {baselines}; tasks with confirmed "
            f"baselines: {tasks}; make fair TASK={task} makes them, and BASELINES names "
            "the results directory"
        )
    return {
        name: _load(task, name, against, protocol, baselines, "AGAINST must name baselines on record")
        for search in usable
        for name in (search, search + CONFIRMED)
    }


def _candidates(
    task: str, candidates: Sequence[str], samplers: Iterable[str], protocol: str, results: str | Path
) -> dict[str, Records]:
    """The records of the candidates, by sampler: those of the studies that all candidates have confirmed."""
    hint = f'make compare TASK={task} OPTIMIZERS="{" ".join(candidates)}" makes them'
    studies: dict[str, Records] = {}
    for search in samplers:
        if search.endswith(CONFIRMED):
            continue
        both = (search, search + CONFIRMED)
        try:
            studies |= {name: _load(task, name, candidates, protocol, results, hint) for name in both}
        except UserError:
            if search == SEARCH:
                raise
    return studies


def _load(
    task: str, sampler: str, optimizers: Sequence[str], protocol: str, results: str | Path, hint: str
) -> Records:
    try:
        return records.load(task, protocol=protocol, sampler=sampler, optimizers=optimizers, results=results)
    except FileNotFoundError as error:
        raise UserError(f"{error}; {hint}") from error


def _without(found: Records, optimizers: Sequence[str]) -> Records:
    return Records(
        *(table[~table["optimizer"].isin(list(optimizers))].reset_index(drop=True) for table in found)
    )


def _joined(*parts: Records) -> Records:
    return Records(
        pd.concat([part.trials for part in parts], ignore_index=True),
        pd.concat([part.curves for part in parts], ignore_index=True),
    )


def _paired(found: Records) -> Records:
    """The trainings from the seeds that all optimisers have."""
    trials = found.trials
    owners = trials.groupby("seed")["optimizer"].nunique()
    shared = trials[trials["seed"].isin(owners.index[owners == trials["optimizer"].nunique()])]
    curves = found.curves.merge(shared[["optimizer", "trial"]], on=["optimizer", "trial"])
    return Records(shared.reset_index(drop=True), curves)


def configurations(trials: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """The configuration of each optimiser's study."""
    first = trials.drop_duplicates("optimizer")
    return {str(row.optimizer): json.loads(str(row.config)) for row in first.itertuples()}


def _check_alike(ours: pd.DataFrame, theirs: pd.DataFrame, differences: Differences) -> None:
    baselines = configurations(theirs)
    for name, config in {**baselines, **configurations(ours)}.items():
        check_settings(name, config, next(iter(baselines.values())), differences)


def check_settings(
    name: str, ours: Mapping[str, Any], theirs: Mapping[str, Any], differences: Differences
) -> None:
    """Raises UserError for settings of the task, the protocol or the sampler that differ."""
    own_settings, baseline_settings = (
        {key: value for key, value in each.items() if key not in _OWN} for each in (ours, theirs)
    )
    # Either study may be the older one, which may lack settings that were added later.
    changed = (
        differences(baseline_settings, own_settings) if differences(own_settings, baseline_settings) else []
    )
    if changed:
        raise UserError(
            f"{style.label(name)} cannot be compared with the baselines, because its rules are not theirs "
            f"(theirs -> its own: {'; '.join(changed)})"
        )


def _budgets(
    searches: Mapping[str, Records], studies: int, pairs: Sequence[tuple[str, str]]
) -> Iterator[str]:
    """A sentence for each way in which the budgets of the searches differ."""
    sizes = pd.concat([study.trials for study in searches.values()]).groupby(["optimizer", "sampler"]).size()
    by_name = {str(name): sorted(set(counts)) for name, counts in sizes.groupby("optimizer")}
    names = list(dict.fromkeys(name for pair in pairs for name in pair))
    spent = {name: " or ".join(map(str, by_name[name])) for name in names}
    if len(set(spent.values())) > 1:
        numbers = ", ".join(f"{style.label(name)} {trials}" for name, trials in spent.items())
        yield f"The budgets differ, so these are not verdicts of the protocol. Trials per study: {numbers}."
    if len(searches) < studies:
        yield (
            f"Only {len(searches)} of the {studies} studies of the baselines are compared: the others have "
            "no counterpart that is both searched and confirmed here."
        )


def _seeds(confirmations: Mapping[str, Records], candidates: Sequence[str]) -> Iterator[str]:
    """A sentence if some optimisers were trained from more seeds than others."""
    trials = pd.concat([study.trials for study in confirmations.values()])
    most = trials.groupby(["optimizer", "sampler"])["seed"].nunique().groupby("optimizer").max()
    if most.min() < most.max():
        numbers = ", ".join(f"{style.label(name)} {most[name]}" for name in style.ordered(most.index))
        more = f" SEEDS={most.max()} trains more." if most[list(candidates)].min() < most.max() else ""
        yield f"Only the seeds that all optimisers have are compared. Seeds per study: {numbers}.{more}"
