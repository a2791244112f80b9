"""The findings on the records of a task: as a table, and as a note under each of the other tables."""

from collections.abc import Collection, Iterable, Mapping

import pandas as pd

from induced_metric.analysis import draws, runs
from induced_metric.analysis.confirmations import confirmed
from induced_metric.analysis.fairness import paper
from induced_metric.analysis.fairness.comparison import Comparison, of_records
from induced_metric.analysis.fairness.linter import RULES, lint
from induced_metric.analysis.rendering import Table
from induced_metric.records import CONFIRMED, FIXED, Records


def comparisons(
    task: str, searches: Mapping[str, Records], repeats: Mapping[str, Records], *, n: int
) -> list[Comparison]:
    """The comparisons of a task: the published studies, each family of searches, and what was trained again.

    Args:
        task: name of the task.
        searches: the records of the searches, by sampler.
        repeats: the records of confirmations and of the published settings from many seeds, by sampler.
        n: how many of the trials of a study count as its best.
    """
    spread = seeds_spread(repeats, searches)
    compared = [paper.comparison(task, spread.get(FIXED, {}))]
    for family, studies in draws.families(searches).items():
        # If no setting of this family was trained again, the spread is that of another search's settings.
        seed_spread = spread.get(family, next(iter(spread.values()), {}))
        compared.append(of_records(task, family, studies, n=n, spread=seed_spread))
    for studies in draws.families(repeats).values():
        compared.append(of_records(task, source_of(next(iter(studies))), studies, n=n, spread={}))
    return [each for each in compared if each is not None]


def source_of(sampler: str) -> str:
    """The source of the comparison that a sampler's studies belong to: ``tpe`` for ``tpe-seed1``."""
    return draws.family(sampler) + (CONFIRMED if sampler.endswith(CONFIRMED) else "")


def seeds_spread(
    repeats: Mapping[str, Records], searches: Mapping[str, Records]
) -> dict[str, dict[str, float]]:
    """The standard deviation over the seeds of one setting, by family and optimiser, where there is one."""
    spread = {}
    for family, studies in draws.families(repeats).items():
        if not runs.any_eligible({**searches, **studies}):
            continue
        values = confirmed.collect(studies, searches)
        values = values[~values["lost"]]  # they count as a worst value, which no seed has reached
        each = values.groupby(["optimizer", "study"])["value"].std().dropna()
        spread[family] = {
            str(name): float(deviations.mean()) for name, deviations in each.groupby("optimizer")
        }
    return spread


def findings(compared: Iterable[Comparison]) -> pd.DataFrame:
    """All findings of all comparisons, in the columns of ``lint``."""
    return pd.concat([lint(comparison) for comparison in compared], ignore_index=True)


def alike(found: pd.DataFrame) -> pd.DataFrame:
    """Merges findings of several sources that have the same words into one row; in the order of ``RULES``."""
    table = found.groupby(["rule", "found", "numbers", "why"], sort=False, as_index=False).agg(
        source=("source", ", ".join)
    )
    order = {rule.name: place for place, rule in enumerate(RULES)}
    table = table.sort_values("rule", key=lambda names: names.map(order), kind="stable", ignore_index=True)
    return table[found.columns]


def fairness_table(task: str, found: pd.DataFrame) -> Table | None:
    """``findings``, ready to be shown or written; None if there are none."""
    if found.empty:
        return None
    table = alike(found)
    cells = {name.capitalize(): table[name] for name in ("rule", "source", "found", "numbers")}
    title = (
        f"Fairness linter, {task}: ways in which the comparisons on record favour an optimiser, and by how "
        "much."
    )
    why = table.drop_duplicates("rule")
    notes = [f"{row.rule}: {row.why}." for row in why.itertuples()]
    silent = [rule.name for rule in RULES if rule.name not in set(why["rule"])]
    if silent:
        notes.append(f"Rules without findings: {', '.join(silent)}.")
    if paper.PUBLISHED in set(found["source"]):
        notes.append(
            "published: the paper's own study, judged by its ranges (search_spaces.yaml), tables "
            "(tables.csv) and best settings (conf/pairing/); none of its trials is published."
        )
    return Table(table, pd.DataFrame(cells), pd.DataFrame(index=table.index), title, notes, words=4)


def notes(
    compared: Iterable[Comparison], sources: Collection[str], optimizers: Collection[str], where: str
) -> list[str]:
    """The findings about what another table compares, in one line; an empty list if there are none.

    Args:
        compared: ``comparisons``.
        sources: the sources of that table, named as by ``source_of``.
        optimizers: its optimisers; what others are compared with says nothing about it.
        where: the name of the table that has all findings.
    """
    own = [each.of(optimizers) for each in compared if each.source in sources]
    found = [lint(each) for each in own if each.studies]
    rules = alike(pd.concat(found))["rule"].tolist() if found else []
    if not rules:
        return []
    counts = {name: rules.count(name) for name in rules}
    named = ", ".join(name if count == 1 else f"{name} ({count})" for name, count in counts.items())
    number = "1 finding" if len(rules) == 1 else f"{len(rules)} findings"
    return [f"Fairness linter: {number} on the studies compared here: {named}. Details: {where}."]
