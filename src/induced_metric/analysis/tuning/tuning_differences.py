"""Differences between the tuning curves of random search and that of a baseline, as a table."""

from collections.abc import Mapping, Sequence

import pandas as pd

from induced_metric.analysis import draws, style
from induced_metric.analysis.rendering import Table
from induced_metric.analysis.searches.differences import as_table
from induced_metric.analysis.statistics import CONFIDENCE
from induced_metric.analysis.tuning import estimates
from induced_metric.analysis.tuning.tuning_curves import SHOWN, common_support
from induced_metric.records import Records


def paired_table(task: str, ours: Mapping[str, Records]) -> Table | None:
    """``differences``, ready to be shown or written; None where there is no random search."""
    table = differences(ours, SHOWN)
    if table.empty:
        return None
    notes = [
        f"Each band holds with {CONFIDENCE:.0%} confidence for all numbers of trials of its optimiser at "
        f"once, not for all optimisers. It is from a bootstrap of {estimates.RESAMPLES:,} resamples that "
        "draws trial numbers, the same for all optimisers, since trial k of every optimiser has the same "
        "seed and the same random draws.",
        f"Numbers of trials are at most {estimates.SHARE:.0%} of n. The settings differ with every search, "
        "so this shows what a search of k trials finds, not which optimiser is better once tuned.",
    ]
    subject = "Median best {metric} of k trials of random search"
    return as_table(task, ours, table, subject=subject, trials="Best of", ends="band", notes=notes)


def differences(
    ours: Mapping[str, Records], budgets: Sequence[int], baseline: str | None = None
) -> pd.DataFrame:
    """``estimates.paired`` of every family of independent trials, with its ``source`` and ``baseline``.

    The baseline is by default the first optimiser in published order. Where all ``budgets`` are too large
    for the trials of a family, the largest that they allow is used. A family whose optimisers have no trial
    number in common has no rows.
    """
    bounds = common_support(ours)
    parts = []
    for source, studies in draws.families(ours).items():
        trials = draws.pool_trials(studies)
        names = trials["optimizer"].drop_duplicates()
        if len(names) < 2 or not draws.independent(trials):
            continue
        reference = baseline or str(names.iloc[style.ranks(names).argmin()])
        common = draws.in_common(trials)
        if not common:
            continue
        largest = max(1, int(estimates.SHARE * common))
        part = estimates.paired(trials, reference, bounds, [k for k in budgets if k <= largest] or [largest])
        parts.append(part.assign(source=source, baseline=reference))
    return style.in_order(pd.concat(parts, ignore_index=True)) if parts else pd.DataFrame()
