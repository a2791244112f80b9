"""What an optimizer is worth once tuned: winners of searches trained again from fresh seeds; verdicts.

The same for the published best settings, which the paper's search chose: of that there is one study, so what
follows is about these settings, and the luck of the search is not in it.
"""

import json
from collections.abc import Mapping, Sequence

import pandas as pd

from induced_metric.analysis import runs, style
from induced_metric.analysis.confirmations import hierarchy, verdicts
from induced_metric.analysis.statistics import CONFIDENCE
from induced_metric.analysis.support import counted, support
from induced_metric.records import CONFIRMED, FIXED, Records, published

PUBLISHED = "published"
"""The study of ``FIXED``: the paper's search."""


def collect(ours: Mapping[str, Records], searches: Mapping[str, Records]) -> pd.DataFrame:
    """Every training of a confirmation.

    Args:
        ours: the confirmations, by sampler (``CONFIRMED``), or the published settings (``FIXED``).
        searches: by sampler, those that are confirmed among them: they say what a model is worth that learnt
            nothing (``support``).

    Returns:
        ``optimizer``; ``study``, the sampler of the search that is confirmed; ``seed``; ``value``, the worst
        of the support where it ``lost``, that is diverged or failed; ``chosen_by``, at the same epoch the
        metric by which the search chose, which may be that of another split.
    """
    every = pd.concat([study.trials for study in (*ours.values(), *searches.values())])
    bounds = support(every)
    parts = []
    for sampler, study in ours.items():
        trials = study.trials
        name = PUBLISHED if sampler == FIXED else sampler.removesuffix(CONFIRMED)
        whose = trials["study"].fillna(name) if "study" in trials else name
        value = counted(trials, bounds)
        parts.append(
            pd.DataFrame(
                {
                    "optimizer": trials["optimizer"],
                    "study": whose,
                    "seed": trials["seed"],
                    "value": value,
                    "lost": ~runs.eligible(trials),
                    "chosen_by": _chosen_by(study, searches.get(name), value),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def _chosen_by(study: Records, search: Records | None, value: pd.Series) -> pd.Series:
    """What a search chose by, of trainings that confirm it; ``value`` where it is that or they are lost."""
    metric = None if search is None else search.trials["objective"].iloc[0]
    if metric is None or metric == study.trials["objective"].iloc[0]:
        return value
    key = ["optimizer", "trial", "epoch"]
    trials = study.trials.rename(columns={"best_epoch": "epoch"})
    found = trials[key].merge(study.curves[[*key, metric]], on=key, how="left")[metric].astype(float)
    return pd.Series(found.to_numpy(), index=value.index).where(runs.eligible(trials), value)


def standings(
    task: str, ours: Mapping[str, Records], searches: Mapping[str, Records], *, level: float = CONFIDENCE
) -> pd.DataFrame:
    """What each optimizer's winners are worth, and how much of what the search saw was luck.

    Returns:
        ``optimizer``, ``studies``, ``seeds`` (of each study), ``mean`` with ``low`` and ``high``
        (``hierarchy.estimate``), ``lost``, ``searched``, the mean over the studies of the best value that the
        search saw, NaN where that is not on record, and ``optimism``, ``searched`` minus the mean of the
        metric that the search chose by.
    """
    found = collect(ours, searches)
    best = _searched(task, searches)
    rows = []
    for name, grid in verdicts.grids(found).items():
        cells = grid.dropna(axis="columns").to_numpy()
        estimate = hierarchy.estimate(cells)
        low, high = estimate.interval(level)
        seen = [best.get((name, str(study)), float("nan")) for study in grid.index]
        searched = float(pd.Series(seen).mean(skipna=False))
        rows.append(
            {
                "optimizer": name,
                "studies": cells.shape[0],
                "seeds": cells.shape[1],
                "mean": estimate.mean,
                "low": low,
                "high": high,
                "lost": int(found.loc[found["optimizer"] == name, "lost"].sum()),
                "searched": searched,
                "optimism": searched - float(found.loc[found["optimizer"] == name, "chosen_by"].mean()),
            }
        )
    return style.in_order(pd.DataFrame(rows))


def _searched(task: str, searches: Mapping[str, Records]) -> dict[tuple[str, str], float]:
    """The best value that a search saw, by optimizer and study."""
    quoted = published.summary(task)
    best = {(str(name), PUBLISHED): float(value) for name, value in quoted.get("best_metric", {}).items()}
    for sampler, study in searches.items():
        first = runs.top(study.trials, 1)
        best |= {
            (name, sampler): value for name, value in zip(first["optimizer"], first["value"], strict=True)
        }
    return best


def stated_margin(ours: Mapping[str, Records]) -> float | None:
    """The margin that the protocol of the recorded trials states (``protocol.margin``); None where none."""
    stated = {
        json.loads(text).get("protocol", {}).get("margin")
        for study in ours.values()
        for text in study.trials["config"].unique()
    }
    return stated.pop() if len(stated) == 1 else None


def judged(
    ours: Mapping[str, Records],
    searches: Mapping[str, Records],
    *,
    margin: float | None = None,
    pairs: Sequence[tuple[str, str]] | None = None,
) -> pd.DataFrame | None:
    """``verdicts.compare`` of every pair; None where there is none.

    Args:
        ours: the confirmations, by sampler.
        searches: by sampler.
        margin: differences below it do not matter; by default what the protocol states, else
            ``verdicts.default_margin``.
        pairs: those to judge; all by default.
    """
    found = judged_trainings(ours, searches, pairs)
    if found.empty:
        return None
    margin = stated_margin(ours) if margin is None else margin
    minimize = runs.objective(ours)[1] == "minimize"
    table = verdicts.compare(found, minimize=minimize, margin=margin, pairs=pairs)
    return None if table.empty else table


def judged_trainings(
    ours: Mapping[str, Records], searches: Mapping[str, Records], pairs: Sequence[tuple[str, str]] | None
) -> pd.DataFrame:
    """``collect`` of the optimizers of the pairs: what is not judged is no part of the default margin."""
    found = collect(ours, searches)
    if pairs is None:
        return found
    return found[found["optimizer"].isin({name for pair in pairs for name in pair})]


def whose(ours: Mapping[str, Records]) -> str:
    """Whose settings were trained again, in words."""
    if FIXED in ours:
        return "the published best setting of each optimiser"
    return "the winner of each study"
