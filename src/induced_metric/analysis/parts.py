"""Selects the records that each report is made from, for one table or figure or for several."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from induced_metric import records
from induced_metric.analysis import draws, runs
from induced_metric.analysis.reports import (
    ABLATIONS,
    CHANGES,
    CONFIRMATIONS,
    CONFIRMED_TASKS,
    EVERYTHING,
    FAMILY,
    TASKS,
    Report,
)
from induced_metric.records import CONFIRMED, Records, removed


class Recorded(NamedTuple):
    """The records of a task under a protocol, and how to read others.

    Attributes:
        task: name of the task.
        protocol: name of the protocol.
        results: the results directory.
        load: the function that reads the records.
        ours: the searches, by sampler.
        repeats: the studies that do not search, by sampler.
        reduced: the confirmations without a hyperparameter, by sampler.
    """

    task: str
    protocol: str
    results: str | Path
    load: runs.Reader
    ours: Mapping[str, Records]
    repeats: Mapping[str, Records]
    reduced: Mapping[str, Records]

    def read(self, sampler: str, *, task: str | None = None, protocol: str | None = None) -> Records:
        """Reads other records, by default of this task and protocol."""
        return self.load(
            task or self.task, protocol=protocol or self.protocol, sampler=sampler, results=self.results
        )


class Part(NamedTuple):
    """The records that one table or figure is made from.

    Attributes:
        names: the parts of its file name between the protocol and the name of the report.
        subject: the task, or the family of samplers.
        records: the records, by sampler, by task, or by ``<task>/<sampler>``.
    """

    names: list[str]
    subject: str
    records: Mapping[str, Records]


def of(report: Report, every: Recorded) -> Iterator[Part]:
    """Yields the records for each table or figure of a report, as its ``Report.of`` asks for."""
    if report.of == TASKS:
        yield from _over_tasks(every)
    elif report.of == CONFIRMED_TASKS:
        yield from _over_confirmed_tasks(every)
    elif report.of == CHANGES:
        yield from _over_changes(every)
    else:
        for names, studies in _of_task(report, every):
            yield Part([every.task, *names], every.task, studies)


def _of_task(report: Report, every: Recorded) -> Iterator[tuple[list[str], Mapping[str, Records]]]:
    ours, repeats = every.ours, every.repeats
    if report.of == "search":
        for sampler, study in ours.items():
            yield [sampler], {sampler: study}
    elif report.of == FAMILY:
        for family, study in draws.pooled(ours).items():
            yield [family], {family: study}
    elif report.of == "searches" and ours:
        yield [], ours
    elif report.of in (CONFIRMATIONS, ABLATIONS):
        confirmed = {name: study for name, study in repeats.items() if name.endswith(CONFIRMED)}
        for family, studies in draws.families(confirmed).items():
            if report.of == CONFIRMATIONS:
                yield [family], studies
                continue
            reduced = draws.families(every.reduced).get(family, {})
            for without in sorted({str(removed(name)) for name in reduced}):
                without_one = {name: study for name, study in reduced.items() if removed(name) == without}
                yield [family, without], {**studies, **without_one}
    elif report.of == EVERYTHING:
        yield [], {**ours, **repeats}
    elif report.of in repeats:
        yield [], {report.of: repeats[report.of]}


def _over_tasks(every: Recorded) -> Iterator[Part]:
    """Yields, for every family that has searched several tasks, its records by task."""
    for family in draws.families(every.ours):
        by_task = {
            task: studies
            for task in records.tasks(protocol=every.protocol, results=every.results)
            if (studies := _of_family(family, records.searches, task, every))
        }
        if len(by_task) > 1:
            yield Part(
                [TASKS, family], family, {task: draws.pool(studies) for task, studies in by_task.items()}
            )


def _over_confirmed_tasks(every: Recorded) -> Iterator[Part]:
    """Yields, for every family with confirmations on several tasks, its records by ``<task>/<sampler>``."""
    for family in draws.families(every.ours):
        confirmed = [
            task
            for task in records.tasks(protocol=every.protocol, results=every.results)
            if any(
                draws.family(name) == family
                for name in records.confirmations(task, protocol=every.protocol, results=every.results)
            )
        ]
        if len(confirmed) > 1:
            yield Part(
                [TASKS, family],
                family,
                {
                    f"{task}/{sampler}": study
                    for task in confirmed
                    for listed in (records.searches, records.confirmations)
                    for sampler, study in _of_family(family, listed, task, every).items()
                },
            )


def _of_family(
    family: str, listed: Callable[..., list[str]], task: str, every: Recorded
) -> dict[str, Records]:
    """The records of a task that belong to a family of samplers, by sampler."""
    return {
        name: every.read(name, task=task)
        for name in listed(task, protocol=every.protocol, results=every.results)
        if draws.family(name) == family
    }


def _over_changes(every: Recorded) -> Iterator[Part]:
    """Yields what ``deviations`` compares, as one part, if a change of the protocol is on record."""
    changed = {
        f"{name}/{sampler}": every.read(sampler, protocol=name)
        for name in records.protocols(results=every.results)
        if name.startswith(f"{every.protocol}_")
        for sampler in records.samplers(every.task, protocol=name, results=every.results)
        if not removed(sampler)
    }
    unchanged = {**every.ours, **every.repeats}
    if unchanged and changed:
        yield Part([every.task], every.task, {**unchanged, **changed})
