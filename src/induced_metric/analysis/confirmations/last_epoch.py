"""How much worse a training's last epoch is than its best: whether an optimiser settles by itself."""

from collections.abc import Mapping

import pandas as pd

from induced_metric.analysis import runs, style
from induced_metric.analysis.confirmations import confirmed, hierarchy, verdicts
from induced_metric.analysis.confirmations.confirmed_tables import errors_note
from induced_metric.analysis.confirmations.scale import Scale, scale_of
from induced_metric.analysis.rendering import Table, fixed
from induced_metric.analysis.statistics import CONFIDENCE
from induced_metric.records import Records


def collect(ours: Mapping[str, Records]) -> pd.DataFrame:
    """All trainings that ended, one row each.

    Args:
        ours: the confirmations, by sampler (``CONFIRMED``), or the published settings (``FIXED``).

    Returns:
        ``optimizer``; ``study``, the sampler; ``seed``; ``value``, the metric at the best epoch, by which the
        training is judged; ``last``, the same metric at the last epoch; ``best_epoch`` and ``epochs``, the
        number of epochs trained at either.
    """
    metric, key = runs.objective(ours)[0], ["optimizer", "trial"]
    parts = []
    for sampler, study in ours.items():
        trials = study.trials[runs.eligible(study.trials)]
        ends = study.curves.sort_values("epoch").groupby(key).tail(1)
        both = trials.merge(ends[[*key, metric]].rename(columns={metric: "last"}), on=key)
        both = both.assign(study=sampler, best_epoch=both["best_epoch"] + 1)
        parts.append(both[["optimizer", "study", "seed", "value", "last", "best_epoch", "epochs"]])
    return pd.concat(parts, ignore_index=True)


def lost(ours: Mapping[str, Records]) -> pd.DataFrame:
    """What each optimiser loses from the best epoch to the last.

    Returns:
        ``optimizer``; ``studies``; ``seeds``, those from which the trainings of all studies ended; ``best``
        and ``last``, the means at the two epochs; ``difference``, the last minus the best on the scale of
        ``scale``, with ``low`` and ``high``, which hold for all rows at once; ``best_epoch``, the median;
        ``epochs``; ``left_out``, the number of trainings that diverged or failed; ``logarithmic``, as for
        ``confirmed.standings``. The smallest loss comes first.
    """
    found = collect(ours)
    minimize = runs.objective(ours)[1] == "minimize"
    scale = scale_of(found[["value", "last"]], minimize=minimize)
    changed = found.assign(value=scale.to(found["last"]) - scale.to(found["value"]))
    complete = {name: grid.dropna(axis="columns") for name, grid in verdicts.grids(changed).items()}
    complete = {name: cells for name, cells in complete.items() if cells.shape[1] > 1}
    left_out = _left_out(ours)
    rows = []
    for name, cells in complete.items():
        estimate = hierarchy.estimate(cells.to_numpy())
        low, high = estimate.interval(1 - (1 - CONFIDENCE) / len(complete))
        own = found[(found["optimizer"] == name) & found["seed"].isin(cells.columns)]
        rows.append(
            {
                "optimizer": name,
                "studies": len(cells),
                "seeds": cells.shape[1],
                "best": scale.mean(own["value"]),
                "last": scale.mean(own["last"]),
                "difference": estimate.mean,
                "low": low,
                "high": high,
                "best_epoch": own["best_epoch"].median(),
                "epochs": int(own["epochs"].max()),
                "left_out": int(left_out[name]),
                "logarithmic": scale.logarithmic,
            }
        )
    table = pd.DataFrame(rows)
    return table if table.empty else table.sort_values("difference", ascending=minimize, ignore_index=True)


def _left_out(ours: Mapping[str, Records]) -> "pd.Series[int]":
    """How many trainings of each optimiser have no last epoch that counts."""
    trials = pd.concat([study.trials for study in ours.values()])
    return (~runs.eligible(trials)).groupby(trials["optimizer"]).sum().astype(int)


def last_epoch_table(task: str, ours: Mapping[str, Records]) -> Table | None:
    """``lost``, ready to be shown or written; None where no two trainings of an optimiser ended."""
    table = lost(ours)
    if table.empty:
        return None
    metric = style.words(runs.objective(ours)[0])
    chosen_by = style.words(runs.chosen_by(next(iter(ours.values()))))
    scale = Scale(bool(table["logarithmic"].iloc[0]))
    cells = {
        "Optimiser": table["optimizer"].map(style.label),
        "Best epoch": fixed(table["best"], 4),
        "Last epoch": fixed(table["last"], 4),
        scale.difference_words.capitalize(): scale.shown(table["difference"]),
        "95% interval": "[" + scale.shown(table["low"]) + ", " + scale.shown(table["high"]) + "]",
        "Best epoch is": table["best_epoch"].map("{:g}".format) + " of " + table["epochs"].astype(str),
        "n": table["studies"].astype(str) + "×" + table["seeds"].astype(str),
    }
    title = (
        f"What is lost from the best epoch to the last: {metric} of {confirmed.whose(ours)} on the {task} "
        f"task, trained again from fresh seeds. The best epoch is that of the best {chosen_by}."
    )
    count = f"{len(table)} optimiser{'s' * (len(table) > 1)}"
    notes = [
        f"{scale.mean_words.capitalize()}s over studies and seeds; the "
        f"{scale.difference_words} is the last {'divided by' if scale.logarithmic else 'minus'} the best. "
        f"Best epoch is: the median. n: studies × seeds from which every training ended.",
        f"Intervals hold for {count} at once with {CONFIDENCE:.0%} confidence (Bonferroni). "
        f"{errors_note(table)}",
    ]
    left_out = _left_out(ours)
    if left_out.any():
        named = style.ordered(left_out.index[left_out > 0])
        counts = ", ".join(f"{style.label(name)} {left_out[name]}" for name in named)
        notes.append(
            f"Trainings that diverged or failed have no such last epoch: {counts}. Their seeds are left out, "
            "and an optimiser of which fewer than two seeds remain."
        )
    return Table(table, pd.DataFrame(cells), pd.DataFrame(index=table.index), title, notes, metric=metric)
