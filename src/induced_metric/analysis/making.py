"""Makes and writes the tables and figures of ``reports.REPORTS`` from the records of a task."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from matplotlib.figure import Figure

from induced_metric import records
from induced_metric.analysis import fairness, parts, reports, runs, style
from induced_metric.analysis.confirmations import confirmed
from induced_metric.analysis.confirmations.scale import scale_of
from induced_metric.analysis.rendering import Table
from induced_metric.analysis.reports import (
    ABLATIONS,
    CONFIRMATIONS,
    CONFIRMED_TASKS,
    EVERYTHING,
    FAIRNESS,
    TASKS,
    Kind,
    Material,
    Report,
)
from induced_metric.analysis.tuning.costs import read_costs
from induced_metric.records import CONFIRMED, FIXED, Records

_UNCOMPARED = (ABLATIONS, EVERYTHING, TASKS, CONFIRMED_TASKS)
"""Values of ``Report.of`` whose tables get no line on fairness.

They do not compare optimisers on one task, or are the linter's findings themselves.
"""

_COMPARED = ("optimizer", "other", "baseline")
"""The columns of a table's data that name what it compares."""


class Planned(NamedTuple):
    """A report together with the material it is to be made from.

    Attributes:
        report: the report.
        stem: the path of its files, without their suffixes.
        material: the records.
        findings: the file name, without suffix, of the table of findings that its line on fairness refers to.
        left_out: how many optimisers are left out because the figure has no room for them.
    """

    report: Report
    stem: Path
    material: Material
    findings: str
    left_out: int = 0

    def make(self) -> Table | Figure | str | None:
        """The table, with a line on its fairness, or the figure; None where this material gives none.

        Where it cannot be made, a sentence says why: the others need not wait for it.
        """
        try:
            made = self.report.make(self.material)
        except ValueError as error:  # such as confirmations of a study that is still running
            return str(error)
        if isinstance(made, Figure) and self.left_out:
            with style.style():
                more = f"{self.left_out} more optimiser{'s' if self.left_out > 1 else ''}"
                made.suptitle(f"{made.get_suptitle()}\n({more}: see overview)")
        if isinstance(made, Table) and self.report.of not in _UNCOMPARED:
            return _with_findings(made, self.material, self.findings)
        return made


def make(kind: Kind, task: str, **options: Any) -> Iterator[tuple[Path, Table | Figure | str]]:
    """Yields every report of a kind that there are records for, each with its path.

    Args:
        kind: ``tables`` or ``figures``.
        task: name of the task.
        options: the options of ``plan``.

    Yields:
        The path of its files below ``results``, without their suffixes, and the table or figure, or a
        sentence that says why it could not be made.

    Raises:
        FileNotFoundError: if there are no records to use; the message says which records exist.
        ValueError: if there is no complete trial at all.
    """
    for planned in plan(kind, task, **options):
        made = planned.make()
        if made is not None:
            yield planned.stem, made


def plan(
    kind: Kind,
    task: str,
    *,
    samplers: Sequence[str] | None = None,
    protocol: str = "paper",
    results: str | Path = "results",
    best: int | None = None,
    targets: Sequence[float] | None = None,
    load: runs.Reader = records.load,
) -> Iterator[Planned]:
    """Yields every report of a kind with the records it is to be made from.

    Args:
        kind: ``tables`` or ``figures``.
        task: name of the task.
        samplers: the searches, in this order; by default all that have records.
        protocol: name of the protocol.
        results: the results directory.
        best: how many of the best runs to use; ``runs.best_count`` by default.
        targets: values of the objective, for the time to target; those of the task by default.
        load: the function that reads the records.

    Raises:
        FileNotFoundError: if there are no records to use; the message says which records exist.
        ValueError: if there is no complete trial at all.
    """
    chosen = [report for report in reports.REPORTS if report.kind == kind]
    recorded = records.samplers(task, protocol=protocol, results=results)

    def read(names: Iterable[str] | None) -> dict[str, Records]:
        return runs.load_samplers(task, names, protocol=protocol, results=results, load=load)

    # Some reports are made from studies that do not search; they need no search on record.
    made_of = {report.of for report in chosen}
    confirming = records.confirmations(task, protocol=protocol, results=results)
    repeated = sorted(set(recorded) & made_of) + (confirming if CONFIRMATIONS in made_of else [])
    searched = records.searches(task, protocol=protocol, results=results)
    ours = {}
    if samplers or searched:
        ours = read(samplers or searched)
    elif not repeated:
        raise runs.nothing_recorded(task, protocol, results)
    repeats = read(repeated)
    needs_ablations = ABLATIONS in made_of
    reduced = read(records.ablations(task, protocol=protocol, results=results)) if needs_ablations else {}
    n = best or (runs.best_count(ours) if ours else 1)
    costs = read_costs(Path(results, "costs.csv"), task)
    compared = fairness.comparisons(task, ours, repeats, n=n)
    best_first = _best_first(ours or repeats)
    every = parts.Recorded(task, protocol, results, load, ours, repeats, reduced)
    for report in chosen:
        for part in parts.of(report, every):
            suffix = [report.name] if report.name else []
            stem = Path(results, kind, "-".join([protocol, *part.names, *suffix]))
            left_out = []
            if kind == "figures" and report.most:
                order = best_first
                if report.of == TASKS:
                    order = _best_over_tasks(part.records)
                elif report.of == CONFIRMATIONS:
                    order = _best_confirmed(part.records, ours)
                present = {name for study in part.records.values() for name in study.trials["optimizer"]}
                left_out = [name for name in order if name in present][report.most :]
            shown = {name: _without(left_out, study) for name, study in part.records.items()}
            material = Material(part.subject, shown, ours, n, targets, costs, compared)
            yield Planned(report, stem, material, "-".join([protocol, task, FAIRNESS]), len(left_out))


def _best_first(ours: Mapping[str, Records]) -> list[str]:
    """The paper's optimisers, then the others, each group by best value; without those that have none."""
    best = runs.top(pd.concat([study.trials for study in ours.values()]), 1)
    sign = 1 if runs.objective(ours)[1] == "minimize" else -1
    key = [(not style.is_published(name), sign * value, name)
           for name, value in zip(best["optimizer"], best["value"], strict=True)]  # fmt: skip
    return [name for *_, name in sorted(key)]


def _best_confirmed(confirmations: Mapping[str, Records], searches: Mapping[str, Records]) -> list[str]:
    """The same by what the winners reach from fresh seeds: a search's best value is in part its luck."""
    trainings = confirmed.collect(confirmations, searches)
    minimize = runs.objective(confirmations)[1] == "minimize"
    scale = scale_of(trainings["value"], minimize=minimize)
    means = trainings.groupby("optimizer")["value"].agg(scale.mean)
    ordered = means.sort_values(ascending=minimize, kind="stable").index
    return sorted(map(str, ordered), key=lambda name: not style.is_published(name))


def _best_over_tasks(tasks: Mapping[str, Records]) -> list[str]:
    """``_best_first`` over all tasks, whichever was asked for.

    Each group is ordered by the number of tasks that an optimiser lacks, then by its mean place over tasks.
    """
    places = pd.DataFrame(
        {
            task: pd.Series(range(len(names)), names)
            for task, study in tasks.items()
            if (names := _best_first({task: study}))
        }
    )
    order = pd.DataFrame({"missing": places.isna().sum(axis=1), "place": places.mean(axis=1)})
    ordered = sorted(order.index, key=lambda name: (not style.is_published(name), *order.loc[name], name))
    return [str(name) for name in ordered]


def _without(optimizers: Sequence[str], found: Records) -> Records:
    if not optimizers:
        return found
    return Records(*(table[~table["optimizer"].isin(optimizers)] for table in found))


def _with_findings(made: Table, material: Material, where: str) -> Table:
    """The table with the linter's findings on what it compares: its own optimisers, from its own sources."""
    data = made.data
    sources = set(map(fairness.source_of, data.get("source", material.ours)))
    # A setting that was trained again is as good as the search that found it.
    sources |= {source.removesuffix(CONFIRMED) for source in sources}
    if FIXED in sources or "published" in data:
        sources.add(fairness.PUBLISHED)
    optimizers = {name for column in _COMPARED if column in data for name in data[column]}
    notes = fairness.notes(material.compared, sources, optimizers, where)
    return replace(made, notes=[*made.notes, *notes])


def write(stem: Path, made: Table | Figure) -> list[Path]:
    """Writes a table or figure in all its formats and returns the paths."""
    return made.write(stem) if isinstance(made, Table) else style.save(made, stem)
