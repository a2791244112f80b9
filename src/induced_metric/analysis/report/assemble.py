"""The report's sections on a task under a protocol, as data: a new one is a function and a line."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple, TypeAlias

from induced_metric.analysis import making, reports
from induced_metric.analysis.rendering import Table
from induced_metric.analysis.report import evidence, matrix, trials, tuning, winners
from induced_metric.analysis.report.blocks import Block, Section, Shown, Text
from induced_metric.analysis.report.markup import text
from induced_metric.analysis.report.part import Part
from induced_metric.records import CONFIRMED, FIXED

NO_VERDICT = "no setting was trained again from fresh seeds, so there is no verdict on any pair."
_VERDICTS = ("verdicts", "seeds_verdicts")
_FORMATS = {".csv": "CSV", ".md": "Markdown", ".tex": "LaTeX"}


class Made(NamedTuple):
    """A table of ``reports.REPORTS``, or why there is none.

    Attributes:
        name: the name of the report.
        stem: the path of its files, without their endings.
        table: the table, or a sentence that says why it could not be made.
    """

    name: str
    stem: Path
    table: Table | str


Tables: TypeAlias = Mapping[str, list[Made]]


class Plan(NamedTuple):
    """A section: its heading, the names of the tables it shows, and what it shows before them."""

    name: str
    title: str
    tables: tuple[str, ...]
    blocks: Callable[[Part, Tables], Iterable[Block | None]]


def _verdicts(part: Part, made: Tables) -> Iterable[Block | None]:
    for comparison in compared(made):
        yield text(matrix.sentence(comparison.table.data))
        yield Text(matrix.matrix(comparison.table.data, comparison.stem.name))
    if not any(made.get(name) for name in _VERDICTS):
        yield text(
            f"{NO_VERDICT.capitalize()} The best trials of a search owe part of their values to luck.",
            "missing",
        )
        yield Text(
            "<p>These train the winners of searches again, and judge them: all optimisers, or one of yours "
            f"against those on record.</p><pre>make fair TASK={part.task}\n"
            f"make compare TASK={part.task} OPTIMIZERS=&lt;yours&gt;</pre>"
        )
    confirming = [name for name in part.repeats if name == FIXED or name.endswith(CONFIRMED)]
    if confirming:
        yield Text(evidence.rests_on(part, confirming))


def _tuning(part: Part, _: Tables) -> Iterable[Block | None]:
    yield _made(tuning.ranking, part, "The ranking after k trials")
    yield _made(tuning.curves, part, "The tuning curves")
    if part.searches:
        yield Text(evidence.rests_on(part, part.searches))


def _response(part: Part, _: Tables) -> Iterable[Block | None]:
    yield _made(trials.response, part, "The response to the hyperparameters")


def _winners(part: Part, _: Tables) -> Iterable[Block | None]:
    yield _made(winners.best_curves, part, "The curves of the best runs")
    yield _made(winners.best_runs, part, "The best runs")


def _seeds(part: Part, _: Tables) -> Iterable[Block | None]:
    yield _made(winners.seeds, part, "The effect of the seed")


def _made(make: Callable[[Part], Block | None], part: Part, name: str) -> Block | None:
    """The block, or a paragraph that says why it could not be made, as where no trial is eligible yet."""
    try:
        return make(part)
    except ValueError as error:
        return _not_made(name, error)


def _not_made(name: str, reason: object) -> Text:
    return text(f"{name}: not made, {reason}.", "missing")


def _records(part: Part, _: Tables) -> Iterable[Block | None]:
    yield Text(evidence.records_table(part))
    yield Text(evidence.commands(part))


SECTIONS = (
    Plan("verdicts", "Verdicts",
         (*_VERDICTS, "confirmed", "seeds_confirmed", "last_epoch", "seeds_last_epoch", "without", "budgets",
          "seeds_budgets"), _verdicts),
    Plan("fairness", "Fairness: what a critic would say", (reports.FAIRNESS,), lambda _part, _made: ()),
    Plan("tuning", "What tuning costs", ("tuning", "tuning_differences"), _tuning),
    Plan("hyperparameters", "Response to the hyperparameters", (), _response),
    Plan("winners", "Best runs", ("", "agreement", "differences", "time_to_target"), _winners),
    Plan("seed", "Seeds", ("seeds",), _seeds),
    Plan("more", "More tables", (), lambda _part, _made: ()),
    Plan("provenance", "Records, and how to reproduce them", (), _records),
)  # fmt: skip
_REST = "more"
"""The section of all tables that no other section names, so that a new table appears by itself."""
_OPEN = ("confirmed", *_VERDICTS, "budgets", reports.FAIRNESS)
"""The tables that are not folded."""


def sections(part: Part, made: Tables) -> list[Section]:
    """All sections that have any blocks."""
    placed = {name for plan in SECTIONS for name in plan.tables}
    result = []
    for plan in SECTIONS:
        names = plan.tables if plan.name != _REST else [name for name in made if name not in placed]
        blocks = [block for block in plan.blocks(part, made) if block is not None]
        blocks += [_shown(part, table) for name in names for table in made.get(name, ())]
        if blocks:
            result.append(Section(part.name, plan.name, plan.title, blocks))
    return result


def tables(part: Part, known: set[str]) -> dict[str, list[Made]]:
    """Every table of ``reports.REPORTS`` that the part has records for, by the name of its report.

    Args:
        part: the task under a protocol.
        known: the file names of the tables that the page already has, to which the new ones are added: a
            table over several tasks is shown only once.
    """
    result: dict[str, list[Made]] = {}
    planned = making.plan("tables", part.task, protocol=part.protocol, results=part.results, load=part.load)
    for each in planned:
        if each.stem.name in known:
            continue
        made = each.make()
        if isinstance(made, Table | str):
            known.add(each.stem.name)
            result.setdefault(each.report.name, []).append(Made(each.report.name, each.stem, made))
    return result


class Compared(NamedTuple):
    """A table of verdicts, and the name of its files."""

    table: Table
    stem: Path


def compared(made: Tables) -> list[Compared]:
    """The tables of verdicts on pairs."""
    candidates = [each for name in _VERDICTS for each in made.get(name, ())]
    return [Compared(each.table, each.stem) for each in candidates if isinstance(each.table, Table)]


def _shown(part: Part, made: Made) -> Block:
    if isinstance(made.table, str):
        return _not_made(made.stem.name, made.table)
    files = {
        kind: path.relative_to(part.results).as_posix()
        for ending, kind in _FORMATS.items()
        if (path := made.stem.with_name(made.stem.name + ending)).exists()
    }
    return Shown(made.stem.name, made.table, files, folded=made.name not in _OPEN)
