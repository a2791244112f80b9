"""Is it this hyperparameter that makes a winner good? The same winners from the same seeds, with it set to 0.

A winner is paired with itself, seed by seed, so both sides have the same luck of the search, and the
differences are estimated like the values of one optimiser over its studies (``hierarchy.estimate``). All
other hyperparameters stay as found: where a winner depends on this one, the others are tuned to it and may
suit nothing without it.
"""

import json
from collections.abc import Mapping

import numpy as np
import pandas as pd

from induced_metric.analysis import runs, style
from induced_metric.analysis.confirmations import confirmed, hierarchy, verdicts
from induced_metric.analysis.confirmations.scale import scale_of
from induced_metric.analysis.statistics import CONFIDENCE
from induced_metric.records import CONFIRMED, WITHOUT, Records, removed

_FEWEST = 2
"""The smallest number of seeds that gives a standard error."""


def collect(ours: Mapping[str, Records], searches: Mapping[str, Records]) -> pd.DataFrame:
    """Every training of the winners that were trained both ways, from the seeds that both ways have.

    A study with fewer than two such seeds is still under way and is left out.

    Args:
        ours: the confirmations, and those of the same winners without one hyperparameter, by sampler.
        searches: the searches, by sampler.

    Returns:
        The columns of ``confirmed.collect``, and ``without``, whether the hyperparameter is 0. A lost
        training counts as the same value both ways.

    Raises:
        ValueError: if the two ways trained different winners of a study.
    """
    _check_same(ours)
    trainings = confirmed.collect(ours, searches)
    # For an ablation, the study is the full name of its sampler.
    removed_names = trainings["study"].map(removed)
    studies = [
        study if pd.isna(name) else study.removesuffix(f"{CONFIRMED}{WITHOUT}{name}")
        for study, name in zip(trainings["study"], removed_names, strict=True)
    ]
    trainings = trainings.assign(study=studies, without=removed_names.notna())
    trained_both_ways = trainings.groupby(["optimizer", "study", "seed"])["without"].transform("nunique") == 2
    seeds = trained_both_ways.groupby([trainings["optimizer"], trainings["study"]]).transform("sum") / 2
    return trainings[trained_both_ways & (seeds >= _FEWEST)]


def _check_same(ours: Mapping[str, Records]) -> None:
    for sampler, study in ours.items():
        plain = ours.get(sampler.removesuffix(f"{WITHOUT}{removed(sampler)}"))
        if plain is None or plain is study:
            continue
        plain_winners = _winners(plain.trials)
        for name, winner in _winners(study.trials).items():
            if plain_winners.get(name, winner) != winner:
                raise ValueError(
                    f"the winner of {name} differs between {sampler} and {sampler.partition(WITHOUT)[0]}: "
                    f"{winner}, not {plain_winners[name]}"
                )


def _winners(trials: pd.DataFrame) -> dict[str, str]:
    """The winner of each optimiser, as the configuration of its study describes it."""
    configs = trials.groupby("optimizer")["config"].first()
    return {
        str(name): json.dumps(json.loads(text).get("source"), sort_keys=True)
        for name, text in configs.items()
    }


def compare(
    ours: Mapping[str, Records], searches: Mapping[str, Records], *, level: float = CONFIDENCE
) -> pd.DataFrame:
    """The effect of a hyperparameter on the winners of each optimiser, in the published order.

    Args:
        ours: as for ``collect``; all ablations are without the same hyperparameter.
        searches: the searches, by sampler.
        level: the confidence level of all verdicts together.

    Returns:
        ``optimizer``; ``hyperparameter``, with the ``least`` and ``most`` found of it; ``mean`` and
        ``mean_without``; ``difference``, the winners as found minus those without it, of the logarithm for a
        loss (``scale``), with its simultaneous interval from ``low`` to ``high`` and Holm's ``p``;
        ``superiority``, the share of winners and seeds on which the winner as found is better (ties count
        half); ``verdict``, on the winners as found; ``changed``, how many winners differ significantly from
        themselves without it, over their own seeds, at this level each; ``lost`` and ``lost_without``, the
        numbers of lost trainings; ``more_seeds``, ``more_studies``, ``studies``, ``seeds``, ``margin`` as in
        ``verdicts.compare``; ``logarithmic``. No rows where no winner was trained both ways.

    Raises:
        ValueError: as for ``collect``, or if the studies of an optimiser share fewer than two seeds.
    """
    trainings = collect(ours, searches)
    if trainings.empty:
        return pd.DataFrame()
    minimize = runs.objective(ours)[1] == "minimize"
    scale = scale_of(trainings["value"], minimize=minimize)
    scaled = trainings.assign(value=scale.to(trainings["value"]))
    margin = confirmed.stated_margin(ours)
    if margin is None:
        margin = verdicts.default_margin(scaled[~scaled["without"]])
    all_winners = by_winner(ours, trainings, level=level)
    names = style.ordered(trainings["optimizer"].unique())
    optimizer_level = 1 - (1 - level) / len(names)
    rows = []
    for name in names:
        group, winners = scaled[scaled["optimizer"] == name], all_winners[all_winners["optimizer"] == name]
        both = _cells(group)
        differences = both.one - both.other
        estimate = hierarchy.estimate(differences)
        low, high = estimate.interval(optimizer_level)
        rows.append(
            {
                "optimizer": name,
                "hyperparameter": winners["hyperparameter"].iloc[0],
                "least": winners["found"].min(),
                "most": winners["found"].max(),
                "mean": float(scale.back(both.one.mean())),
                "mean_without": float(scale.back(both.other.mean())),
                "difference": estimate.mean,
                "low": low,
                "high": high,
                "p": estimate.p_value(),
                "superiority": float(_won(both, minimize).mean()),
                "changed": int(winners["changed"].sum()),
                "lost": int(group.loc[~group["without"], "lost"].sum()),
                "lost_without": int(group.loc[group["without"], "lost"].sum()),
                **verdicts.needed(estimate, margin, optimizer_level, differences.shape),
                "studies": differences.shape[0],
                "seeds": differences.shape[1],
                "margin": margin,
                "logarithmic": scale.logarithmic,
            }
        )
    return verdicts.judged(pd.DataFrame(rows), minimize=minimize, margin=margin, level=level)


def by_winner(ours: Mapping[str, Records], found: pd.DataFrame, *, level: float = CONFIDENCE) -> pd.DataFrame:
    """The same comparison for each winner by itself, over its own seeds.

    Args:
        ours: as for ``compare``.
        found: the trainings, as ``collect`` returns them.
        level: the confidence level for each winner alone.

    Returns:
        ``optimizer``; ``study``; ``hyperparameter``; ``found``, its value in the winner; ``seeds``;
        ``superiority``; ``changed``, whether the winner differs significantly from itself without it. No rows
        where there are no trainings.
    """
    minimize = runs.objective(ours)[1] == "minimize"
    (hyperparameter,) = {name for sampler in ours if (name := removed(sampler))}
    values = _values(ours, hyperparameter)
    scaled = found.assign(value=scale_of(found["value"], minimize=minimize).to(found["value"]))
    rows = []
    for pair, group in scaled.groupby(["optimizer", "study"]):
        name, study = map(str, pair)
        both = _cells(group)
        rows.append(
            {
                "optimizer": name,
                "study": study,
                "hyperparameter": hyperparameter,
                "found": values[name][study],
                "seeds": both.one.shape[1],
                "superiority": float(_won(both, minimize).mean()),
                "changed": hierarchy.estimate(both.one - both.other).p_value() <= 1 - level,
            }
        )
    return pd.DataFrame(rows)


def _cells(own: pd.DataFrame) -> verdicts.Cells:
    """The trainings of one optimiser, with the hyperparameter and without, by study and seed."""
    name = str(own["optimizer"].iloc[0])
    reduced = f"{name} without it"
    table = verdicts.grids(own.assign(optimizer=np.where(own["without"], reduced, name)))
    return verdicts.cells(table, name, reduced)


def _won(both: verdicts.Cells, minimize: bool) -> np.ndarray:
    """1 where the winner as found is better, a half where both are equal, else 0."""
    gains = both.other - both.one if minimize else both.one - both.other
    return (1 + np.sign(gains)) / 2


def _values(ours: Mapping[str, Records], hyperparameter: str) -> "dict[str, pd.Series[float]]":
    """The value of a hyperparameter in the winner of each study, by optimiser and then study."""
    plain = pd.concat(
        [
            study.trials[["optimizer", hyperparameter]].assign(study=sampler.removesuffix(CONFIRMED))
            for sampler, study in ours.items()
            if removed(sampler) is None and hyperparameter in study.trials
        ]
    ).dropna()
    return {
        str(name): group.groupby("study")[hyperparameter].first()
        for name, group in plain.groupby("optimizer")
    }
