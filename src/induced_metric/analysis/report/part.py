"""The records of a task under a protocol, read once for all sections of the report."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from induced_metric import records
from induced_metric.analysis import runs
from induced_metric.records import Records


class Part(NamedTuple):
    """What a part of the report is made of.

    Attributes:
        protocol: name of the protocol.
        task: name of the task.
        searches: the records of all searches, by sampler.
        repeats: the records of all other samplers: confirmations and the published settings.
        results: the results directory, in which the page lies.
        load: reads records, each of them only once.
    """

    protocol: str
    task: str
    searches: Mapping[str, Records]
    repeats: Mapping[str, Records]
    results: Path
    load: runs.Reader

    @property
    def name(self) -> str:
        """The anchor of the part, with which all anchors in it begin."""
        return f"{self.protocol}-{self.task}"

    @property
    def studies(self) -> dict[str, Records]:
        """All records, by sampler."""
        return {**self.searches, **self.repeats}

    @property
    def objective(self) -> str:
        """The metric of ``searches``, or of ``repeats`` if there are no searches."""
        return runs.objective(self.searches or self.repeats)[0]

    @property
    def direction(self) -> str:
        """The direction of the objective: ``minimize`` or ``maximize``."""
        return runs.objective(self.searches or self.repeats)[1]


def read(protocol: str, task: str, results: Path, load: runs.Reader) -> Part:
    """Reads the part of a protocol and a task."""

    def found(names: list[str]) -> dict[str, Records]:
        return {name: load(task, protocol=protocol, sampler=name, results=results) for name in names}

    searched = records.searches(task, protocol=protocol, results=results)
    others = [
        name for name in records.samplers(task, protocol=protocol, results=results) if name not in searched
    ]
    return Part(protocol, task, found(searched), found(others), results, load)
