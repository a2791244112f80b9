"""The tables and figures of a task, in one list: a new one is a function and a line in ``REPORTS``."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

import pandas as pd
from matplotlib.figure import Figure

from induced_metric import records
from induced_metric.analysis import (
    agreement,
    budgets,
    confirmed,
    confirmed_figure,
    deviations,
    differences,
    draws,
    fairness,
    figures,
    overview,
    reached,
    response,
    runs,
    scatter,
    seeds,
    style,
    tables,
    targets,
    tuning_curves,
    tuning_differences,
    verdicts,
)
from induced_metric.analysis.rendering import Table
from induced_metric.records import CONFIRMED, FIXED, Records

Kind: TypeAlias = Literal["tables", "figures"]

CHANGES, CONFIRMATIONS, EVERYTHING, FAMILY, TASKS = (
    "changes",
    "confirmations",
    "everything",
    "family",
    "tasks",
)


class Material(NamedTuple):
    """What a report is made of."""

    task: str
    ours: Mapping[str, Records]  # by sampler
    searches: Mapping[str, Records]  # all of them, whatever it is made of
    n: int  # how many of the best runs
    targets: Sequence[float] | None  # of the objective; None: the task's
    costs: pd.Series  # device seconds per epoch, by optimizer; empty where none is on record
    findings: pd.DataFrame  # of the linter, on everything on record of the task

    @property
    def only(self) -> Records:
        """The records of the one sampler that there is."""
        (found,) = self.ours.values()
        return found


class Report(NamedTuple):
    """A table or figure.

    Attributes:
        kind: which command makes it.
        name: ends the names of its files.
        of: the records it is made from: ``searches``, all of them; ``search``, once for each; ``family``,
            once for each family of samplers (``draws.family``), its studies as one; ``confirmations``, once
            for each family, its studies apart; ``everything``, what searches and what does not; ``changes``,
            those of the protocol and of its changes (``deviations``); ``tasks``, those of every task, once
            for each family; or the name of a sampler that searches nothing, where on record.
        make: None where this material has no such report.
        most: optimizers that a figure has room for; of more it shows the paper's and the best of the others.
    """

    kind: Kind
    name: str
    of: str
    make: Callable[[Material], Table | Figure | None]
    most: int | None = 12


FAIRNESS = "fairness"
"""The table to which the lines under the others refer."""


class Planned(NamedTuple):
    """A report with what it is to be made of.

    Attributes:
        report: which.
        stem: the path of its files, without their endings.
        material: the records.
        findings: the name of the files of the table of findings, to which the line under it refers.
        left_out: how many optimizers it has no room for.
    """

    report: Report
    stem: Path
    material: Material
    findings: str
    left_out: int = 0

    def make(self) -> Table | Figure | None:
        """The table, with a line on its fairness, or the figure; None where this material has none."""
        made = self.report.make(self.material)
        if isinstance(made, Figure) and self.left_out:
            with style.style():
                made.suptitle(f"{made.get_suptitle()}\n(without {self.left_out} of the optimisers: overview)")
        if isinstance(made, Table) and self.report.of not in (EVERYTHING, TASKS):
            return _with_findings(made, self.material.findings, self.material.ours, self.findings)
        return made


REPORTS = (
    Report("tables", "", "searches", lambda m: tables.best_runs_table(m.task, m.ours, n=m.n)),
    Report("tables", "agreement", "searches", lambda m: agreement.agreement_table(m.task, m.ours, n=m.n)),
    Report("tables", "differences", "searches",
           lambda m: differences.differences_table(m.task, m.ours, n=m.n)),
    Report("tables", "time_to_target", "searches",
           lambda m: targets.time_to_target_table(m.task, m.ours, n=m.n, targets=m.targets)),
    Report("tables", "tuning", "searches", lambda m: tuning_curves.tuning_table(m.task, m.ours)),
    Report("tables", "tuning_differences", "searches",
           lambda m: tuning_differences.paired_table(m.task, m.ours)),
    Report("tables", "seeds", FIXED, lambda m: seeds.seeds_table(m.task, m.only)),
    Report("tables", "seeds_confirmed", FIXED,
           lambda m: confirmed.confirmed_table(m.task, m.ours, m.searches)),
    Report("tables", "seeds_verdicts", FIXED,
           lambda m: confirmed.verdicts_table(m.task, m.ours, m.searches)),
    Report("tables", "confirmed", CONFIRMATIONS,
           lambda m: confirmed.confirmed_table(m.task, m.ours, m.searches)),
    Report("tables", "verdicts", CONFIRMATIONS, lambda m: _verdicts(m, 0)),
    Report("tables", "verdicts_others", CONFIRMATIONS, lambda m: _verdicts(m, 1)),
    Report("tables", "verdicts_extended", CONFIRMATIONS, lambda m: _verdicts(m, 2)),
    Report("tables", "overview", CONFIRMATIONS,
           lambda m: overview.overview_table(m.task, m.ours, m.searches, m.costs)),
    Report("tables", "seeds_budgets", FIXED,
           lambda m: budgets.budgets_table(m.task, m.ours, m.searches, m.costs)),
    Report("tables", "budgets", CONFIRMATIONS,
           lambda m: budgets.budgets_table(m.task, m.ours, m.searches, m.costs)),
    Report("tables", FAIRNESS, EVERYTHING, lambda m: fairness.fairness_table(m.task, m.findings)),
    Report("tables", "deviations", CHANGES, lambda m: deviations.deviations_table(m.task, m.ours, n=m.n)),
    Report("tables", "reached", TASKS,
           lambda m: reached.tasks_table(m.task, m.ours, _goals(m.ours))),
    Report("figures", "reached", TASKS,
           lambda m: reached.tasks_figure(m.ours, _goals(m.ours))),
    Report("figures", "reached", "searches",
           lambda m: reached.reached_figure(m.task, draws.pooled(m.ours), m.n)),
    Report("figures", "best_curves", FAMILY, lambda m: figures.best_curves(m.only, m.costs)),
    Report("figures", "best_histograms", FAMILY,
           lambda m: figures.best_histograms(runs.top(m.only.trials, m.n))),
    Report("figures", "learning_rate", FAMILY, lambda m: response.learning_rate(m.only.trials)),
    Report("figures", "seeds_confirmed", FIXED,
           lambda m: confirmed_figure.confirmed_figure(m.task, m.ours, m.searches)),
    Report("figures", "confirmed", CONFIRMATIONS,
           lambda m: confirmed_figure.confirmed_figure(m.task, m.ours, m.searches)),
    Report("figures", "overview", CONFIRMATIONS,
           lambda m: overview.overview_figure(m.task, m.ours, m.searches, m.costs), most=None),
    Report("figures", "tuning", "searches", lambda m: tuning_curves.tuning_figure(m.ours)),
    Report("figures", "best_scatter", "searches",
           lambda m: scatter.best_scatter(m.task, draws.pooled(m.ours), n=m.n)),
)  # fmt: skip


def _verdicts(material: Material, family: int) -> Table | None:
    names = {str(name) for study in material.ours.values() for name in study.trials["optimizer"].unique()}
    pairs = verdicts.families(names)[family]
    return confirmed.verdicts_table(material.task, material.ours, material.searches, pairs=pairs)


def make(kind: Kind, task: str, **options: Any) -> Iterator[tuple[Path, Table | Figure]]:
    """Yields every report of a kind that there are records for, each with where it belongs.

    Args:
        kind: ``tables`` or ``figures``.
        task: name of the task.
        options: of ``plan``.

    Yields:
        The path of its files below ``results``, without their endings, and the table or figure.

    Raises:
        FileNotFoundError: if there is no record to make anything of; the message says what there is.
        ValueError: if there is no complete trial.
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
    """Yields every report of a kind with the records that it is to be made of.

    Args:
        kind: ``tables`` or ``figures``.
        task: name of the task.
        samplers: the searches, in this order; by default all that have records.
        protocol: name of the protocol.
        results: the results directory.
        best: how many of the best runs; ``runs.best_count`` by default.
        targets: of the objective, for the time to them; the task's by default.
        load: what reads the records.

    Raises:
        FileNotFoundError: if there is no record to make anything of; the message says what there is.
        ValueError: if there is no complete trial.
    """
    chosen = [report for report in REPORTS if report.kind == kind]
    recorded = records.samplers(task, protocol=protocol, results=results)

    def read(names: Iterable[str] | None) -> dict[str, Records]:
        return runs.load_samplers(task, names, protocol=protocol, results=results, load=load)

    # Made of what searches nothing: it needs no search beside it.
    made_of = {report.of for report in chosen}
    confirmed = records.confirmations(task, protocol=protocol, results=results)
    beside = sorted(set(recorded) & made_of) + (confirmed if CONFIRMATIONS in made_of else [])
    searched = records.searches(task, protocol=protocol, results=results)
    ours = {}
    if samplers or searched:
        ours = read(samplers or searched)
    elif not beside:
        raise runs.nothing_recorded(task, protocol, results)
    repeats = read(beside)
    n = best or (runs.best_count(ours) if ours else 1)
    costs = budgets.read_costs(Path(results, "costs.csv"), task)
    linted = fairness.findings(fairness.comparisons(task, ours, repeats, n=n))
    best_first = _best_first(ours or repeats)
    for report in chosen:
        left_out = best_first[report.most :] if kind == "figures" and report.most else []
        if report.of == TASKS:
            parts = _over_tasks(ours, protocol, results, load)
        elif report.of == CHANGES:
            parts = _over_changes(task, {**ours, **repeats}, protocol, results, load)
        else:
            parts = (([task, *names], task, found) for names, found in _parts(report, ours, repeats))
        for names, subject, records_of in parts:
            suffix = [report.name] if report.name else []
            stem = Path(results, kind, "-".join([protocol, *names, *suffix]))
            shown = {name: _without(left_out, found) for name, found in records_of.items()}
            material = Material(subject, shown, ours, n, targets, costs, linted)
            yield Planned(report, stem, material, "-".join([protocol, task, FAIRNESS]), len(left_out))


def _over_tasks(
    ours: Mapping[str, Records], protocol: str, results: str | Path, load: runs.Reader
) -> Iterator[tuple[list[str], str, Mapping[str, Records]]]:
    """Every family that has searched several tasks: what names the files, its name, its records by task."""
    names = records.tasks(protocol=protocol, results=results)
    for family in draws.families(ours):
        tasks = {}
        for name in names:
            searched = records.searches(name, protocol=protocol, results=results)
            if own := [sampler for sampler in searched if draws.family(sampler) == family]:
                found = {key: load(name, protocol=protocol, sampler=key, results=results) for key in own}
                tasks[name] = draws.pool(found)
        if len(tasks) > 1:
            yield [TASKS, family], family, tasks


def _over_changes(
    task: str, unchanged: Mapping[str, Records], protocol: str, results: str | Path, load: runs.Reader
) -> Iterator[tuple[list[str], str, Mapping[str, Records]]]:
    """What ``deviations`` compares, once, if a change of the protocol is on record."""
    changed = {
        f"{name}/{sampler}": load(task, protocol=name, sampler=sampler, results=results)
        for name in records.protocols(results=results)
        if name.startswith(f"{protocol}_")
        for sampler in records.samplers(task, protocol=name, results=results)
    }
    if unchanged and changed:
        yield [task], task, {**unchanged, **changed}


def _best_first(ours: Mapping[str, Records]) -> list[str]:
    """The paper's optimizers, then the others, each by the best value of their trials, if they have one."""
    best = runs.top(pd.concat([study.trials for study in ours.values()]), 1)
    sign = 1 if runs.objective(ours)[1] == "minimize" else -1
    key = [(not style.is_published(name), sign * value, name)
           for name, value in zip(best["optimizer"], best["value"], strict=True)]  # fmt: skip
    return [name for *_, name in sorted(key)]


def _without(optimizers: Sequence[str], found: Records) -> Records:
    if not optimizers:
        return found
    return Records(*(table[~table["optimizer"].isin(optimizers)] for table in found))


def _goals(tasks: Mapping[str, Records]) -> dict[str, reached.Target]:
    return {
        name: reached.target_of(name, {"": found}, runs.best_count({"": found}))
        for name, found in tasks.items()
    }


def _with_findings(made: Table, findings: pd.DataFrame, ours: Mapping[str, Records], where: str) -> Table:
    """The table with what the linter found of its sources."""
    sources = {fairness.source_of(name) for name in ours}
    if FIXED in ours or ("source" in made.data and fairness.PUBLISHED in set(made.data["source"])):
        sources.add(fairness.PUBLISHED)
    return replace(made, notes=[*made.notes, *fairness.notes(findings, sources, where)])


def _parts(
    report: Report, ours: Mapping[str, Records], repeats: Mapping[str, Records]
) -> Iterator[tuple[list[str], Mapping[str, Records]]]:
    """What is in the name of each file of a report besides its own, and what it is made of."""
    if report.of == "search":
        for sampler, found in ours.items():
            yield [sampler], {sampler: found}
    elif report.of == FAMILY:
        for family, found in draws.pooled(ours).items():
            yield [family], {family: found}
    elif report.of == "searches" and ours:
        yield [], ours
    elif report.of == CONFIRMATIONS:
        confirmed = {name: found for name, found in repeats.items() if name.endswith(CONFIRMED)}
        for family, studies in draws.families(confirmed).items():
            yield [family], studies
    elif report.of == EVERYTHING:
        yield [], {**ours, **repeats}
    elif report.of in repeats:
        yield [], {report.of: repeats[report.of]}


def write(stem: Path, made: Table | Figure) -> list[Path]:
    """Writes a report in all its formats; returns the paths."""
    return made.write(stem) if isinstance(made, Table) else style.save(made, stem)
