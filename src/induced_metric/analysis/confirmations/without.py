"""Is it this hyperparameter that makes a winner good? The same winners from the same seeds, where it is 0.

A winner is paired with itself, seed by seed, so the luck of its search is in both, and the differences are
estimated as what one optimizer has in its studies (``hierarchy.estimate``). All else is as found: where the
winner has use of the hyperparameter, the others suit it, and without it they may suit nothing.
"""

import json
import math
from collections.abc import Mapping

import numpy as np
import pandas as pd

from induced_metric.analysis import runs, style
from induced_metric.analysis.confirmations import confirmed, hierarchy, verdicts
from induced_metric.analysis.confirmations.confirmed_tables import errors_note
from induced_metric.analysis.confirmations.scale import Scale, scale_of
from induced_metric.analysis.rendering import Table, fixed
from induced_metric.analysis.statistics import CONFIDENCE
from induced_metric.records import CONFIRMED, WITHOUT, Records, removed


def collect(ours: Mapping[str, Records], searches: Mapping[str, Records]) -> pd.DataFrame:
    """Every training of the winners that were trained both ways.

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
    return found[found.groupby(["optimizer", "study"])["without"].transform("nunique") == 2]


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
        ValueError: as of ``collect``, or if both ways of an optimizer share fewer than two seeds.
    """
    found = collect(ours, searches)
    if found.empty:
        return pd.DataFrame()
    minimize = runs.objective(ours)[1] == "minimize"
    (hyperparameter,) = {name for sampler in ours if (name := removed(sampler))}
    scale = scale_of(found["value"], minimize=minimize)
    scaled = found.assign(value=scale.to(found["value"]))
    margin = confirmed.stated_margin(ours)
    if margin is None:
        margin = verdicts.default_margin(scaled[~scaled["without"]])
    values = _values(ours, hyperparameter)
    names = style.ordered(found["optimizer"].unique())
    own_level = 1 - (1 - level) / len(names)
    rows = []
    for name in names:
        own = scaled[scaled["optimizer"] == name]
        reduced = f"{name} without {hyperparameter}"
        both = verdicts.cells(
            verdicts.grids(own.assign(optimizer=np.where(own["without"], reduced, name))), name, reduced
        )
        differences = both.one - both.other
        estimate = hierarchy.estimate(differences)
        superior = hierarchy.estimate((1 + np.sign(-differences if minimize else differences)) / 2)
        each = [hierarchy.estimate(winner[None]).p_value() for winner in differences]
        low, high = estimate.interval(own_level)
        rows.append(
            {
                "optimizer": name,
                "hyperparameter": hyperparameter,
                "least": values[name].loc[own["study"].unique()].min(),
                "most": values[name].loc[own["study"].unique()].max(),
                "mean": float(scale.back(both.one.mean())),
                "mean_without": float(scale.back(both.other.mean())),
                "difference": estimate.mean,
                "low": low,
                "high": high,
                "p": estimate.p_value(),
                "superiority": superior.mean,
                "changed": sum(p <= 1 - level for p in each),
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


def without_table(task: str, ours: Mapping[str, Records], searches: Mapping[str, Records]) -> Table | None:
    """``compare``, ready to be shown or written; None where no winner was trained both ways."""
    table = compare(ours, searches)
    if table.empty:
        return None
    objective, direction = runs.objective(ours)
    metric, name = style.words(objective), str(table["hyperparameter"].iloc[0])
    scale = Scale(bool(table["logarithmic"].iloc[0]))
    cells = {
        "Optimiser": table["optimizer"].map(style.label),
        "Verdict": table["verdict"],
        f"{name} found": [_span(*ends) for ends in zip(table["least"], table["most"], strict=True)],
        "With": table["mean"].map(_short),
        "Without": table["mean_without"].map(_short),
        scale.difference_words.capitalize(): _shown(scale, table["difference"]),
        "95% interval": "[" + _shown(scale, table["low"]) + ", " + _shown(scale, table["high"]) + "]",
        "p": table["p"].map(lambda p: "< 0.001" if p < 0.001 else f"{p:.3f}"),
        "P(better)": fixed(table["superiority"], 2),
        "n": table["studies"].astype(str) + "×" + table["seeds"].astype(str),
        "Changed": table["changed"].astype(str) + " of " + table["studies"].astype(str),
    }
    bold = {"Verdict": table["verdict"].isin(["better", "worse"])}
    side = "below 1" if scale.logarithmic else f"{'below' if direction == 'minimize' else 'above'} 0"
    title = (
        f"What {name} is worth to the winners of each study: their {metric} with the {task} task, trained "
        f"again from fresh seeds, {'by' if scale.logarithmic else 'minus'} that of the same winners from the "
        f"same seeds with {name} = 0{', as a ratio of geometric means' * scale.logarithmic}; {side}, {name} "
        "makes them better."
    )
    return Table(table, pd.DataFrame(cells), pd.DataFrame(bold), title, _notes(table, ours, searches),
                 metric=metric)  # fmt: skip


def _notes(table: pd.DataFrame, ours: Mapping[str, Records], searches: Mapping[str, Records]) -> list[str]:
    name = table["hyperparameter"].iloc[0]
    number = f"{len(table)} optimiser{'s' * (len(table) > 1)}"
    margin = f"{table['margin'].iloc[0]:.3g}"
    if confirmed.stated_margin(ours) is None:
        of = " of the logarithm" * bool(table["logarithmic"].iloc[0])
        margin += f" (a fifth of the median standard deviation{of} over seeds)"
    notes = [
        f"Verdict on {name}: better or worse, p below {1 - CONFIDENCE:.2g} after Holm over {number}. "
        f"Equivalent: the interval lies within the margin of {margin}, so the winners are worth the same "
        f"without {name}. n: studies × seeds, each winner against itself on the same seed.",
        f"Intervals hold for {number} at once with {CONFIDENCE:.0%} (Bonferroni). {errors_note(table)}",
        f"P(better): the share of winners and seeds on which the winner beat itself without {name}, ties "
        f"half. Changed: so many winners are told from themselves without {name} by their own seeds "
        f"({CONFIDENCE:.0%} each).",
        f"All else is as found, the learning rate too. Where a winner depends on {name}, the rest suits it "
        f"and may suit nothing without: that {name} makes such a winner better does not say that it beats an "
        f"optimiser without {name} that is tuned as well. Where nothing changes, it is not {name} that makes "
        "the winner good.",
    ]
    lost = table[(table["lost"] > 0) | (table["lost_without"] > 0)]
    if len(lost):
        every = collect(ours, searches)
        worst = every.loc[every["lost"], "value"].iloc[0]
        named = ", ".join(
            f"{style.label(str(row.optimizer))} {row.lost} with and {row.lost_without} without"
            for row in lost.itertuples()
        )
        notes.append(
            f"Diverged or failed, each counted as {worst:.3g}, what an untrained model has or the worst "
            f"training: {named}."
        )
    return notes


def _shown(scale: Scale, differences: "pd.Series[float]") -> "pd.Series[str]":
    """As ``Scale.shown``, but for the ratios to what diverges, which are of any size."""
    return differences.map(lambda x: _short(math.exp(x))) if scale.logarithmic else scale.shown(differences)


def _short(value: float) -> str:
    return f"{value:.4f}" if 1e-3 <= abs(value) < 1e3 else f"{value:.1e}"


def _span(least: float, most: float) -> str:
    ends = dict.fromkeys(f"{end:.1g}" for end in (least, most))
    return " to ".join(ends)
