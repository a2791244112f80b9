"""Decides every claim by every source on record: one row each."""

import functools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from induced_metric import records
from induced_metric.analysis import draws, runs
from induced_metric.analysis.claims import VERDICTS, all_of, deciding
from induced_metric.analysis.landscapes import claims as landscape_claims
from induced_metric.analysis.landscapes import success
from induced_metric.analysis.paper_claims.evidence import Source, on_record, stands_for
from induced_metric.analysis.paper_claims.ours import Independent, Studies, Trained, independent
from induced_metric.analysis.paper_claims.quoted import Published
from induced_metric.analysis.paper_claims.statements import IDENTITIES, STATEMENTS, Statement
from induced_metric.records import CONFIRMED, FIXED, Records, StudyKey, published
from induced_metric.records.digests import digest, parts
from induced_metric.records.published import PAPER

NOT_RUN, BY_TESTS, NOT_BY_RECORDS = "not run here", "shown by tests", "not decided by records"
PUBLISHED, SEARCH, SEEDS, CONFIRMATION, ELSEWHERE = "published", "search", "seeds", "confirmed", "elsewhere"
"""Groups of sources: the paper's numbers; searches; the paper's best settings, and winners of searches, each
trained again from fresh seeds; tests and benchmarks."""
COLUMNS = ["claim", "text", "task", "protocol", "group", "source", "verdict", "effect", "low", "high", "of",
           "n", "method", "records"]  # fmt: skip
_NOTHING = [NOT_RUN, np.nan, np.nan, np.nan, "", "", "", ""]
LANDSCAPES = "landscapes"


class _Recorded(NamedTuple):
    task: str
    protocol: str
    group: str
    name: str
    source: Source
    stands_for: Mapping[str, str]
    rests_on: str


def decide_all(results: str | Path, load: runs.Reader = records.load) -> pd.DataFrame:
    """The verdict on every claim by every source below a results directory, and by the published numbers.

    Args:
        results: the results directory.
        load: reads records.

    Returns:
        ``claim``, ``text``, ``task``, ``protocol`` and ``source`` (a sampler, or its confirmation), its
        ``group``; ``verdict``: ``supported``, ``contradicted``, ``unresolved``, or why there is none;
        ``effect`` with ``low`` and ``high``: the difference ``of`` two optimisers that decides the claim (for
        claims 1-7 ``of`` has the intervals instead); ``n``, ``method``, and ``records``: studies with the
        digest of each (``records.digest``), files, tests.
    """
    results = Path(results)
    rows = [*_landscapes(results), *_networks(results, load), *_identities()]
    table = pd.DataFrame([dict(zip(COLUMNS, row, strict=True)) for row in rows], columns=COLUMNS)
    order = {claim: place for place, claim in enumerate(dict.fromkeys(table["claim"]))}
    return table.sort_values("claim", key=lambda claims: claims.map(order), kind="stable", ignore_index=True)


def _networks(results: Path, load: runs.Reader) -> Iterator[list[Any]]:
    sources = list(_sources(results, load))
    for statement in STATEMENTS:
        judged = False
        for recorded in [_of_paper(statement.task), *sources]:
            if recorded.task.partition("_")[0] != statement.task:
                continue
            row = _decided(statement, recorded)
            if row is not None:
                judged |= recorded.group != PUBLISHED
                context = [recorded.task, recorded.protocol, recorded.group, recorded.name]
                yield [statement.claim, statement.text, *context, *row, recorded.rests_on]
        if not judged:
            yield [statement.claim, statement.text, statement.task, "", SEARCH, "", *_NOTHING]


def _decided(statement: Statement, recorded: _Recorded) -> list[Any] | None:
    """The verdict, its effect, n and method; None if the source has nothing on the claim."""
    source = recorded.source
    pairs = on_record(statement.pairs, source.optimizers, recorded.stands_for)
    available = [pair for pair in pairs if set(pair) <= set(source.optimizers)]
    compared = source.compare(available, statement.measure, statement.relation) if available else None
    if compared is None:
        return None
    # What is not on record could decide otherwise: the claim can be contradicted, but not supported.
    missing = len(pairs) - len(available)
    truth = all_of([*(effect.truth for effect in compared.effects), *[None] * missing])
    effect = deciding(compared.effects)
    method = compared.method
    substituted = [pair for pair in pairs if pair not in statement.pairs]
    if substituted:
        method += "; " + ", ".join(
            f"{b} stands for {a}, its special case" for a, b in recorded.stands_for.items()
        )
    if missing:
        method += f"; {missing} of {len(pairs)} comparisons not on record"
    return [VERDICTS[truth], effect.value, effect.low, effect.high, effect.of, compared.n, method]


def _of_paper(task: str) -> _Recorded:
    rests_on = f"tables.csv@{digest([PAPER / 'tables.csv'])}"
    return _Recorded(task, "", PUBLISHED, PUBLISHED, Published(task), {}, rests_on)


def _sources(results: Path, reader: runs.Reader) -> Iterator[_Recorded]:
    """All sources on record."""
    for protocol in records.protocols(results=results):
        for task in records.tasks(protocol=protocol, results=results):
            names = records.searches(task, protocol=protocol, results=results)
            confirmations = records.confirmations(task, protocol=protocol, results=results)
            recorded = records.samplers(task, protocol=protocol, results=results)
            fixed = [FIXED] if FIXED in recorded else []
            target = next(iter(published.targets(task).index), None)

            load = functools.partial(
                runs.load_samplers, task, protocol=protocol, results=results, load=reader
            )
            searches = load(names)
            for family, studies in draws.families(searches).items():
                n = runs.best_count(studies)
                source: Source = Independent(studies, n) if independent(studies) else Studies(studies, n)
                details = stands_for(studies), _rests_on(results, protocol, task, studies)
                yield _Recorded(task, protocol, SEARCH, family, source, *details)
            for family, studies in draws.families(load([*fixed, *confirmations])).items():
                if _switched_off(studies) or not runs.any_eligible({**searches, **studies}):
                    continue
                group, name = (SEEDS, FIXED) if FIXED in studies else (CONFIRMATION, family + CONFIRMED)
                source = Trained(studies, searches, target)
                details = stands_for(studies), _rests_on(results, protocol, task, studies)
                yield _Recorded(task, protocol, group, name, source, *details)


def _switched_off(studies: Mapping[str, Records]) -> bool:
    """Whether no trial has the metric (ξ = 0), or none weight decay, of which the claims say nothing."""
    trials = pd.concat([study.trials for study in studies.values()])
    switches = [trials[name].dropna() for name in ("xi", "weight_decay") if name in trials]
    return any(len(values) > 0 and bool((values == 0).all()) for values in switches)


def _rests_on(results: Path, protocol: str, task: str, studies: Mapping[str, Records]) -> str:
    keys = [
        StudyKey(protocol, task, sampler, name)
        for sampler, study in studies.items()
        for name in study.trials["optimizer"].unique()
    ]
    return " ".join(f"{'/'.join(key)}@{digest(parts(key.directory(results)))}" for key in keys)


def _landscapes(results: Path) -> Iterator[list[Any]]:
    folder = results / LANDSCAPES
    names = ("grid", "nudged", "timing", "fair_runs")
    paths = {name: folder / f"{name}.parquet" for name in names}
    tables = {name: pd.read_parquet(path) for name, path in paths.items() if path.exists()}
    if not landscape_claims.complete(tables):
        for claim in landscape_claims.CLAIMS:
            yield [str(claim.number), claim.text, LANDSCAPES, "", SEARCH, "", *_NOTHING]
        return
    summary = success.summary(tables["fair_runs"])
    table = landscape_claims.verdicts(tables, summary)
    for row in table.to_dict("records"):
        grid = row["source"].startswith("published start")
        used = [paths["grid"], paths["nudged"]] if grid else [paths["fair_runs"]]
        rests_on = " ".join(f"{LANDSCAPES}/{path.name}@{digest([path])}" for path in [*used, paths["timing"]])
        method = (
            "best run of the grid, with its range over starts moved by rounding errors" if grid
            else "Wilson's interval of the success probability; percentile bootstrap over starts of the "
            "expected iterations"
        )  # fmt: skip
        n = "1 start" if grid else f"{summary['starts'].max()} starts"
        context = [LANDSCAPES, "", SEARCH if grid else CONFIRMATION, row["source"]]
        values = [row["verdict"], np.nan, np.nan, np.nan, row["numbers"], n, method, rests_on]
        yield [str(row["claim"]), row["text"], *context, *values]


def _identities() -> Iterator[list[Any]]:
    for claim, text, tests, shown in IDENTITIES:
        verdict = BY_TESTS if shown else NOT_BY_RECORDS
        nothing = [np.nan, np.nan, np.nan, "", ""]
        method = "tests of the implementation" if shown else "measured or drawn, without a verdict"
        yield [claim, text, "", "", ELSEWHERE, "", verdict, *nothing, method, " ".join(tests)]
