"""What can be said of a comparison before anything is trained."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from induced_metric.analysis.compare.evidence import (
    SEARCH,
    Differences,
    baselines_on_record,
    check_settings,
    configurations,
)
from induced_metric.analysis.fairness import Comparison, Finding
from induced_metric.analysis.fairness.comparison import Study, searched
from induced_metric.analysis.fairness.spaces import momenta, not_nested, unequal
from induced_metric.errors import UserError
from induced_metric.space import Dimension

_RULES = (unequal, not_nested, momenta)  # those of the linter that need no trials


def check_planned(
    task: str,
    planned: Mapping[str, Mapping[str, Any]],
    spaces: Mapping[str, Mapping[str, Dimension]],
    against: Sequence[str],
    *,
    studies: int | None = None,
    protocol: str,
    baselines: str | Path,
    differences: Differences,
) -> list[Finding]:
    """Checks, before anything is trained, that there are baselines to compare with, under the same rules.

    Args:
        task: name of the task.
        planned: the configuration of each candidate's first search, by the name of the candidate.
        spaces: what each candidate is to search.
        against: the baselines.
        studies: how many studies each candidate is to have.
        protocol: name of the protocol.
        baselines: the results directory of the baselines.
        differences: as for ``read``.

    Returns:
        What the fairness linter finds in the search spaces of the candidates beside those of the baselines.

    Raises:
        UserError: as ``read`` does; or if there are to be more studies than the baselines have.
    """
    on_record = baselines_on_record(task, against, protocol, baselines)
    if studies and studies > (most := len(on_record) // 2):
        raise UserError(
            f"STUDIES can be at most {most}, the number of studies of the baselines, got {studies}: more "
            "need more of theirs (make fair), in a results directory that BASELINES names"
        )
    trials = on_record[SEARCH].trials
    recorded = configurations(trials)
    for name, config in planned.items():
        check_settings(name, json.loads(json.dumps(config)), next(iter(recorded.values())), differences)
    theirs = [
        _study(name, config, searched(config, trials[trials["optimizer"] == name]))
        for name, config in recorded.items()
    ]
    ours = [_study(name, config, spaces[name]) for name, config in planned.items() if name not in recorded]
    known = {finding.found for finding in _findings(task, theirs)}
    return [finding for finding in _findings(task, theirs + ours) if finding.found not in known]


def _study(name: str, config: Mapping[str, Any], space: Mapping[str, Dimension]) -> Study:
    none = pd.DataFrame()
    return Study(name, config, space, trials=none, best=none, mean=float("nan"), studies=0)


def _findings(task: str, studies: Sequence[Study]) -> list[Finding]:
    """What the linter's rules about search spaces find."""
    comparison = Comparison(task, SEARCH, studies, objective="", searches=True, spread={})
    return [finding for rule in _RULES for finding in rule(comparison)]
