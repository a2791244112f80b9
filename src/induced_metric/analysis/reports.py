"""All tables and figures of a task in one list; to add one, write a function and a line in ``REPORTS``."""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple, TypeAlias

import pandas as pd
from matplotlib.figure import Figure

from induced_metric.analysis import draws, fairness, runs
from induced_metric.analysis.confirmations import (
    confirmed_figure,
    confirmed_tables,
    last_epoch,
    seeds,
    verdicts,
    without_figure,
    without_table,
)
from induced_metric.analysis.rendering import Table
from induced_metric.analysis.searches import (
    agreement,
    deviations,
    differences,
    figures,
    reached,
    reached_figures,
    response,
    scatter,
    tables,
    targets,
)
from induced_metric.analysis.tuning import budgets, over_tasks, overview, tuning_curves, tuning_differences
from induced_metric.records import FIXED, Records

Kind: TypeAlias = Literal["tables", "figures"]

ABLATIONS, CHANGES, CONFIRMATIONS, CONFIRMED_TASKS, EVERYTHING, FAMILY, TASKS = (
    "ablations",
    "changes",
    "confirmations",
    "confirmed_tasks",
    "everything",
    "family",
    "tasks",
)


class Material(NamedTuple):
    """What a report is made from."""

    task: str
    ours: Mapping[str, Records]  # the records that ``Report.of`` names, by sampler
    searches: Mapping[str, Records]  # all searches, whatever ``ours`` is
    n: int  # how many of the best runs to use
    targets: Sequence[float] | None  # values of the objective; None: those of the task
    costs: pd.Series  # device seconds per epoch, by optimiser; empty where none is on record
    compared: Sequence[fairness.Comparison]  # what the linter checks: all records of the task

    @property
    def only(self) -> Records:
        """The records of the only sampler."""
        (study,) = self.ours.values()
        return study


class Report(NamedTuple):
    """A table or figure.

    Attributes:
        kind: ``tables`` or ``figures``, as the command that makes it.
        name: the last part of its file names.
        of: the records it is made from. ``searches``: all searches; ``search``: one search, once for each;
            ``family``: a family of samplers (``draws.family``) with its studies pooled, once for each family;
            ``confirmations``: the confirmations of a family, studies kept separate, once for each family;
            ``ablations``: these and the same without a hyperparameter, once for each family and
            hyperparameter; ``everything``: all studies, whether they search or not; ``changes``: the records
            of the protocol and of its changes (``deviations``); ``tasks``: the searches of a family on every
            task, once for each family; ``confirmed_tasks``: the same with their confirmations, studies kept
            separate; or the name of a sampler that does not search, where it is on record.
        make: makes it; returns None where the material gives no such report.
        most: how many optimisers a figure has room for; if there are more, it shows the paper's and the best
            of the others.
    """

    kind: Kind
    name: str
    of: str
    make: Callable[[Material], Table | Figure | None]
    most: int | None = 12


FAIRNESS = "fairness"
"""The table of findings that the lines under the other tables refer to."""


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
           lambda m: confirmed_tables.confirmed_table(m.task, m.ours, m.searches)),
    Report("tables", "seeds_verdicts", FIXED,
           lambda m: confirmed_tables.verdicts_table(m.task, m.ours, m.searches)),
    Report("tables", "confirmed", CONFIRMATIONS,
           lambda m: confirmed_tables.confirmed_table(m.task, m.ours, m.searches)),
    Report("tables", "verdicts", CONFIRMATIONS, lambda m: _verdicts(m, 0)),
    Report("tables", "verdicts_others", CONFIRMATIONS, lambda m: _verdicts(m, 1)),
    Report("tables", "verdicts_extended", CONFIRMATIONS, lambda m: _verdicts(m, 2)),
    Report("tables", "overview", CONFIRMATIONS,
           lambda m: overview.overview_table(m.task, m.ours, m.searches, m.costs)),
    Report("tables", "seeds_last_epoch", FIXED,
           lambda m: last_epoch.last_epoch_table(m.task, m.ours)),
    Report("tables", "last_epoch", CONFIRMATIONS,
           lambda m: last_epoch.last_epoch_table(m.task, m.ours)),
    Report("tables", "without", ABLATIONS,
           lambda m: without_table.without_table(m.task, m.ours, m.searches)),
    Report("tables", "seeds_budgets", FIXED,
           lambda m: budgets.budgets_table(m.task, m.ours, m.searches, m.costs)),
    Report("tables", "budgets", CONFIRMATIONS,
           lambda m: budgets.budgets_table(m.task, m.ours, m.searches, m.costs)),
    Report("tables", FAIRNESS, EVERYTHING,
           lambda m: fairness.fairness_table(m.task, fairness.findings(m.compared))),
    Report("tables", "deviations", CHANGES, lambda m: deviations.deviations_table(m.task, m.ours, n=m.n)),
    Report("tables", "reached", TASKS,
           lambda m: reached.tasks_table(m.task, m.ours, _goals(m.ours))),
    Report("tables", "overview", CONFIRMED_TASKS, lambda m: over_tasks.tasks_table(m.task, m.ours)),
    Report("figures", "overview", CONFIRMED_TASKS, lambda m: over_tasks.tasks_figure(m.ours), most=None),
    Report("figures", "reached", TASKS,
           lambda m: reached_figures.tasks_figure(m.ours, _goals(m.ours))),
    Report("figures", "reached", "searches",
           lambda m: reached_figures.reached_figure(m.task, draws.pooled(m.ours), m.n)),
    Report("figures", "best_curves", FAMILY, lambda m: figures.best_curves(m.only, m.costs)),
    Report("figures", "best_histograms", FAMILY,
           lambda m: figures.best_histograms(runs.top(m.only.trials, m.n))),
    Report("figures", "learning_rate", FAMILY, lambda m: response.learning_rate(m.only.trials)),
    Report("figures", "seeds_confirmed", FIXED,
           lambda m: confirmed_figure.confirmed_figure(m.task, m.ours, m.searches)),
    Report("figures", "confirmed", CONFIRMATIONS,
           lambda m: confirmed_figure.confirmed_figure(m.task, m.ours, m.searches)),
    Report("figures", "without", ABLATIONS,
           lambda m: without_figure.without_figure(m.ours, m.searches), most=None),
    Report("figures", "overview", CONFIRMATIONS,
           lambda m: overview.overview_figure(m.task, m.ours, m.searches, m.costs), most=None),
    Report("figures", "tuning", "searches", lambda m: tuning_curves.tuning_figure(m.ours), most=11),
    Report("figures", "best_scatter", "searches",
           lambda m: scatter.best_scatter(m.task, draws.pooled(m.ours), n=m.n)),
)  # fmt: skip


def _verdicts(material: Material, family: int) -> Table | None:
    names = {str(name) for study in material.ours.values() for name in study.trials["optimizer"].unique()}
    pairs = verdicts.families(names)[family]
    return confirmed_tables.verdicts_table(material.task, material.ours, material.searches, pairs=pairs)


def _goals(tasks: Mapping[str, Records]) -> dict[str, reached.Target]:
    return {
        name: reached.target_of(name, {"": study}, runs.best_count({"": study}))
        for name, study in tasks.items()
    }
