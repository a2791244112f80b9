"""Is it this hyperparameter that makes a winner good? The same winners from the same seeds, where it is 0.

A winner is paired with itself, seed by seed, so the luck of its search is in both, and the differences are
estimated as what one optimizer has in its studies (``hierarchy.estimate``). All else is as found: where the
winner has use of the hyperparameter, the others suit it, and without it they may suit nothing.
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
"""Seeds without which there is no error."""


def collect(ours: Mapping[str, Records], searches: Mapping[str, Records]) -> pd.DataFrame:
    """Every training of the winners that were trained both ways, from the seeds that both ways have.

    A study with fewer than two of these is left out: it is under way.

    Args:
        ours: confirmations, and those of the same winners without one hyperparameter, by sampler.
        searches: by sampler.

    Returns:
        As ``confirmed.collect``, and ``without``: whether the hyperparameter is 0. What a lost training
        counts as is the same both ways.

    Raises:
        ValueError: if the winners of a study are not the same.
    """
    _check_same(ours)
    found = confirmed.collect(ours, searches)
    names = found["study"].map(removed)  # a study of ablations has its whole name there
    studies = [
        study if pd.isna(name) else study.removesuffix(f"{CONFIRMED}{WITHOUT}{name}")
        for study, name in zip(found["study"], names, strict=True)
    ]
    found = found.assign(study=studies, without=names.notna())
    both = found.groupby(["optimizer", "study", "seed"])["without"].transform("nunique") == 2
    seeds = both.groupby([found["optimizer"], found["study"]]).transform("sum") / 2
    return found[both & (seeds >= _FEWEST)]


def _check_same(ours: Mapping[str, Records]) -> None:
    for sampler, study in ours.items():
        plain = ours.get(sampler.removesuffix(f"{WITHOUT}{removed(sampler)}"))
        if plain is None or plain is study:
            continue
        known = _winners(plain.trials)
        for name, winner in _winners(study.trials).items():
            if known.get(name, winner) != winner:
                raise ValueError(
                    f"{name} of {sampler} is another winner than that of {sampler.partition(WITHOUT)[0]}: "
                    f"{winner}, not {known[name]}"
                )


def _winners(trials: pd.DataFrame) -> dict[str, str]:
    """What the configuration of each optimizer's study says of its winner."""
    configs = trials.groupby("optimizer")["config"].first()
    return {
        str(name): json.dumps(json.loads(text).get("source"), sort_keys=True)
        for name, text in configs.items()
    }


def compare(
    ours: Mapping[str, Records], searches: Mapping[str, Records], *, level: float = CONFIDENCE
) -> pd.DataFrame:
    """What a hyperparameter does to the winners of each optimizer, in the published order.

    Args:
        ours: as of ``collect``, without one and the same hyperparameter.
        searches: by sampler.
        level: of all verdicts together.

    Returns:
        ``optimizer``; ``hyperparameter`` with ``least`` and ``most``, what was found of it; ``mean`` and
        ``mean_without``; ``difference`` of the winners as found minus those without, of losses of the
        logarithm (``scale``), with ``low`` and ``high``, its simultaneous interval, and ``p``, Holm's;
        ``superiority``, the share of winners and seeds on which the winner as found is better, ties half;
        ``verdict``, on the winners as found; ``changed``, of how many winners the two are told apart over
        their own seeds, at this level each; ``lost`` and ``lost_without``, trainings; ``more_seeds``,
        ``more_studies``, ``studies``, ``seeds``, ``margin`` as of ``verdicts.compare``; ``logarithmic``. No
        rows where no winner was trained both ways.

    Raises:
        ValueError: as of ``collect``, or if the studies of an optimizer share fewer than two seeds.
    """
    found = collect(ours, searches)
    if found.empty:
        return pd.DataFrame()
    minimize = runs.objective(ours)[1] == "minimize"
    scale = scale_of(found["value"], minimize=minimize)
    scaled = found.assign(value=scale.to(found["value"]))
    margin = confirmed.stated_margin(ours)
    if margin is None:
        margin = verdicts.default_margin(scaled[~scaled["without"]])
    each = by_winner(ours, found, level=level)
    names = style.ordered(found["optimizer"].unique())
    own_level = 1 - (1 - level) / len(names)
    rows = []
    for name in names:
        own, winners = scaled[scaled["optimizer"] == name], each[each["optimizer"] == name]
        both = _cells(own)
        differences = both.one - both.other
        estimate = hierarchy.estimate(differences)
        low, high = estimate.interval(own_level)
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
                "lost": int(own.loc[~own["without"], "lost"].sum()),
                "lost_without": int(own.loc[own["without"], "lost"].sum()),
                **verdicts.needed(estimate, margin, own_level, differences.shape),
                "studies": differences.shape[0],
                "seeds": differences.shape[1],
                "margin": margin,
                "logarithmic": scale.logarithmic,
            }
        )
    return verdicts.judged(pd.DataFrame(rows), minimize=minimize, margin=margin, level=level)


def by_winner(ours: Mapping[str, Records], found: pd.DataFrame, *, level: float = CONFIDENCE) -> pd.DataFrame:
    """The same of each winner by itself, over its own seeds.

    Args:
        ours: as of ``compare``.
        found: ``collect`` of them.
        level: of each winner alone.

    Returns:
        ``optimizer``, ``study``, ``hyperparameter``, ``found``, the value of the winner, ``seeds``,
        ``superiority``, and ``changed``, whether it is told from itself without; nothing where there are no
        trainings.
    """
    minimize = runs.objective(ours)[1] == "minimize"
    (hyperparameter,) = {name for sampler in ours if (name := removed(sampler))}
    values = _values(ours, hyperparameter)
    scaled = found.assign(value=scale_of(found["value"], minimize=minimize).to(found["value"]))
    rows = []
    for pair, own in scaled.groupby(["optimizer", "study"]):
        name, study = map(str, pair)
        both = _cells(own)
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
    """The trainings of one optimizer, with the hyperparameter and without, by study and seed."""
    name = str(own["optimizer"].iloc[0])
    reduced = f"{name} without it"
    table = verdicts.grids(own.assign(optimizer=np.where(own["without"], reduced, name)))
    return verdicts.cells(table, name, reduced)


def _won(both: verdicts.Cells, minimize: bool) -> np.ndarray:
    """Where the winner as found is better, a half where it is the same."""
    gains = both.other - both.one if minimize else both.one - both.other
    return (1 + np.sign(gains)) / 2


def _values(ours: Mapping[str, Records], hyperparameter: str) -> "dict[str, pd.Series[float]]":
    """What the winner of each study has of a hyperparameter, by optimizer and then study."""
    plain = pd.concat(
        [
            study.trials[["optimizer", hyperparameter]].assign(study=sampler.removesuffix(CONFIRMED))
            for sampler, study in ours.items()
            if removed(sampler) is None and hyperparameter in study.trials
        ]
    ).dropna()
    return {
        str(name): own.groupby("study")[hyperparameter].first() for name, own in plain.groupby("optimizer")
    }
