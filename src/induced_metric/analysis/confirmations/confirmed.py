"""What an optimiser is worth once tuned: winners of searches trained again from fresh seeds, and verdicts.

The published best settings, which the paper's search chose, are treated the same way. There is only one study
of them, so the results are about these settings, and their errors do not include the luck of the search.
"""

import json
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from induced_metric.analysis import runs, style
from induced_metric.analysis.confirmations import hierarchy, verdicts
from induced_metric.analysis.confirmations.scale import scale_of
from induced_metric.analysis.statistics import CONFIDENCE
from induced_metric.analysis.support import support
from induced_metric.records import CONFIRMED, FIXED, Records

PUBLISHED = "published"
"""The name of the study that chose the settings of ``FIXED``: the paper's search."""


def collect(ours: Mapping[str, Records], searches: Mapping[str, Records]) -> pd.DataFrame:
    """All trainings of the confirmations, one row each.

    Args:
        ours: the confirmations, by sampler (``CONFIRMED``), or the published settings (``FIXED``).
        searches: the searches, by sampler, including those that are confirmed; they show what a model that
            learnt nothing is worth (``support``).

    Returns:
        ``optimizer``; ``study``, the sampler of the search that is confirmed; ``seed``; ``value``; ``lost``,
        whether the training diverged or failed, in which case its value is the worst of the support, or that
        of the worst training if that is worse still; ``chosen_by``, the value at the same epoch of the metric
        by which the search chose, which may be of another split.
    """
    worst = _worst(ours, searches)
    parts = []
    for sampler, study in ours.items():
        trials = study.trials
        search_name = PUBLISHED if sampler == FIXED else sampler.removesuffix(CONFIRMED)
        value = trials["value"].where(runs.eligible(trials), worst)
        parts.append(
            pd.DataFrame(
                {
                    "optimizer": trials["optimizer"],
                    "study": search_name,
                    "seed": trials["seed"],
                    "value": value,
                    "lost": ~runs.eligible(trials),
                    "chosen_by": _chosen_by(study, searches.get(search_name), value),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def _worst(ours: Mapping[str, Records], searches: Mapping[str, Records]) -> float:
    """The value that a lost training counts as, chosen so that being lost is never an advantage."""
    trials = pd.concat([study.trials for study in ours.values()])
    worst = support(pd.concat([trials, *(study.trials for study in searches.values())])).worst
    finite = trials.loc[runs.eligible(trials) & np.isfinite(trials["value"]), "value"]
    if finite.empty:
        return worst
    if runs.objective(ours)[1] == "minimize":
        return max(worst, float(finite.max()))
    return min(worst, float(finite.min()))


def _chosen_by(study: Records, search: Records | None, value: pd.Series) -> pd.Series:
    """The metric a search chose by, for the trainings that confirm it.

    It is ``value`` where that is the same metric, and for a lost training.
    """
    metric = None if search is None else search.trials["objective"].iloc[0]
    if metric is None or metric == study.trials["objective"].iloc[0]:
        return value
    key = ["optimizer", "trial", "epoch"]
    trials = study.trials.rename(columns={"best_epoch": "epoch"})
    chosen = trials[key].merge(study.curves[[*key, metric]], on=key, how="left")[metric].astype(float)
    return pd.Series(chosen.to_numpy(), index=value.index).where(runs.eligible(trials), value)


def standings(task: str, ours: Mapping[str, Records], searches: Mapping[str, Records]) -> pd.DataFrame:
    """What each optimiser's winners are worth, and how much of what the search saw was luck.

    Returns:
        ``optimizer``; ``studies``; ``seeds``, the number per study; ``mean`` with ``low`` and ``high``
        (``hierarchy.estimate``); ``lost``, the number of lost trainings; ``searched``, the mean over the
        studies of the best value that the search saw, NaN where that is not on record; ``optimism``,
        ``searched`` minus the mean of ``chosen_by`` (``collect``); ``logarithmic``, whether the means are
        geometric (``scale``).
    """
    trainings = collect(ours, searches)
    objective, direction = runs.objective(ours)
    scale = scale_of(trainings["value"], minimize=direction == "minimize")
    best = _searched(task, ours, searches)
    rows = []
    for name, grid in verdicts.grids(trainings).items():
        complete = grid.dropna(axis="columns")
        cells = complete.to_numpy()
        own = trainings[(trainings["optimizer"] == name) & trainings["seed"].isin(complete.columns)]
        estimate = hierarchy.estimate(scale.to(cells))
        mean, low, high = map(float, scale.back([estimate.mean, *estimate.interval(CONFIDENCE)]))
        if objective.endswith("accuracy"):  # an interval of Student's t may reach beyond what is possible
            low, high = max(low, 0.0), min(high, 1.0)
        searched = scale.mean([best.get((name, str(study)), float("nan")) for study in grid.index])
        chosen_by = scale.mean(own["chosen_by"])
        rows.append(
            {
                "optimizer": name,
                "studies": cells.shape[0],
                "seeds": cells.shape[1],
                "mean": mean,
                "low": low,
                "high": high,
                "lost": int(own["lost"].sum()),
                "searched": searched,
                "optimism": searched - chosen_by,
                "logarithmic": scale.logarithmic,
            }
        )
    return style.in_order(pd.DataFrame(rows))


def _searched(
    task: str, ours: Mapping[str, Records], searches: Mapping[str, Records]
) -> dict[tuple[str, str], float]:
    """The best value that a search saw, by optimiser and study.

    Under other rules than the paper's, what its search saw is left out: the difference would not be luck.
    """
    quoted = runs.quoted(task, ours)
    best = {(str(name), PUBLISHED): float(value) for name, value in quoted.get("best_metric", {}).items()}
    for sampler, study in searches.items():
        winners = runs.top(study.trials, 1)
        best |= {
            (name, sampler): value for name, value in zip(winners["optimizer"], winners["value"], strict=True)
        }
    return best


def stated_margin(ours: Mapping[str, Records]) -> float | None:
    """The margin that the protocol of the recorded trials states (``protocol.margin``); None where none."""
    margins = {
        json.loads(text).get("protocol", {}).get("margin")
        for study in ours.values()
        for text in study.trials["config"].unique()
    }
    return margins.pop() if len(margins) == 1 else None


def judged(
    ours: Mapping[str, Records],
    searches: Mapping[str, Records],
    *,
    pairs: Sequence[tuple[str, str]] | None = None,
) -> pd.DataFrame | None:
    """``compare`` by the protocol's margin for the pairs of optimisers; None where there is no pair.

    Args:
        ours: the confirmations, by sampler.
        searches: the searches, by sampler.
        pairs: the pairs to judge; all by default.
    """
    trainings = judged_trainings(ours, searches, pairs)
    if trainings.empty:
        return None
    minimize = runs.objective(ours)[1] == "minimize"
    table = compare(trainings, minimize=minimize, margin=stated_margin(ours), pairs=pairs)
    return None if table.empty else table


def compare(
    found: pd.DataFrame,
    *,
    minimize: bool,
    margin: float | None = None,
    pairs: Sequence[tuple[str, str]] | None = None,
) -> pd.DataFrame:
    """``verdicts.compare`` for trainings; losses are compared by their logarithm (``scale``).

    Args:
        found: the trainings, as returned by ``collect``.
        minimize: whether a low value is good.
        margin: differences below it do not matter. For a loss it applies to the logarithm, so 0.05 is about
            5%. ``verdicts.default_margin`` by default.
        pairs: the pairs to judge; all by default.

    Returns:
        The columns of ``verdicts.compare``, and ``logarithmic``, whether its differences are of logarithms.
    """
    scale = scale_of(found["value"], minimize=minimize)
    scaled = found.assign(value=scale.to(found["value"]))
    table = verdicts.compare(scaled, minimize=minimize, margin=margin, pairs=pairs)
    return table.assign(logarithmic=scale.logarithmic)


def judged_trainings(
    ours: Mapping[str, Records], searches: Mapping[str, Records], pairs: Sequence[tuple[str, str]] | None
) -> pd.DataFrame:
    """``collect`` for the optimisers in the pairs only, so that no other affects the default margin."""
    trainings = collect(ours, searches)
    if pairs is None:
        return trainings
    return trainings[trainings["optimizer"].isin({name for pair in pairs for name in pair})]


def whose(ours: Mapping[str, Records]) -> str:
    """Whose settings were trained again, in words."""
    if FIXED in ours:
        return "the published best setting of each optimiser"
    return "the winner of each study"
