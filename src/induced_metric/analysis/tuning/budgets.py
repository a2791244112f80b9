"""One comparison at three budgets: equal epochs, equal device seconds, equal trials of the search.

The first two compare tuned settings trained from many seeds, the third compares what searches with the same
number of trials find. Seconds are epochs times a cost per epoch, which was measured on a quiet machine with
the optimisers taking turns; those recorded in a sweep are never used, because the machine is loaded then.
"""

from collections.abc import Mapping
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from induced_metric.analysis import draws, runs, style
from induced_metric.analysis.confirmations import confirmed, verdicts
from induced_metric.analysis.confirmations.scale import scale_of
from induced_metric.analysis.rendering import MISSING, Table, fixed
from induced_metric.analysis.statistics import CONFIDENCE
from induced_metric.analysis.tuning import estimates, tuning_curves, tuning_differences
from induced_metric.records import Records

EPOCHS, SECONDS, TRIALS = "equal epochs", "equal device seconds", "equal trials"
_SEARCHED = 100
"""The most trials of the third budget.

It is at most all trials of a search, or the share ``estimates.SHARE`` of them where they are independent.
"""
_LISTED = 6
"""The most reversals that may be chance of which a note names the pairs."""


class Outcome(NamedTuple):
    """The result of a comparison at one budget.

    Attributes:
        values: the mean of each optimiser, or for equal trials the best that its search finds, by name.
        leads: pairs of optimisers of which the first is significantly better.
        allowed: what each optimiser may spend, in epochs or trials, by name.
    """

    values: pd.Series
    leads: set[tuple[str, str]]
    allowed: pd.Series


def best_within(records: Records, epochs: Mapping[str, int]) -> Records:
    """The trials as if each had ended after the given epochs, with the best of those epochs and its value.

    The best epoch is chosen by ``runs.chosen_by``, in a confirmation by the validation metric. A trial that
    diverged later counts as not diverged, and one that was stopped later as complete; one that was lost
    before has the value on record.

    Args:
        records: trials and curves.
        epochs: the number of epochs by optimiser, at least 1; its trials may have run fewer.
    """
    objective, direction = runs.objective({"": records})
    metric = runs.chosen_by(records)
    trials, key = records.trials, ["optimizer", "trial"]
    limit = trials["optimizer"].map(epochs)
    curves = records.curves[records.curves["epoch"] < records.curves["optimizer"].map(epochs)]
    ranked = curves.sort_values(metric, ascending=direction == "minimize", kind="stable")
    best = ranked.dropna(subset=[metric]).drop_duplicates(key).set_index(key)
    best = best.reindex(pd.MultiIndex.from_frame(trials[key]))
    ended = trials["epochs"] <= limit
    diverged = trials["diverged"] & ended
    lost = ~runs.eligible(trials) & ended  # keeps its value: one that failed may have no curve at all
    return Records(
        trials.assign(
            value=trials["value"].where(lost, best[objective].astype(float).to_numpy()),
            best_epoch=trials["best_epoch"].where(lost, best["epoch"].to_numpy()).astype(int),
            diverged=diverged,
            state=trials["state"].where(ended, "complete"),
            epochs=np.minimum(trials["epochs"], limit),
        ),
        curves,
    )


def outcomes(
    ours: Mapping[str, Records], searches: Mapping[str, Records], costs: "pd.Series[float]"
) -> dict[str, Outcome]:
    r"""The outcome at each budget; a budget whose data is missing is left out.

    With a cost per epoch of :math:`c_a`, equal device seconds are those of the cheapest optimiser's E epochs:
    optimiser a may train for :math:`\lfloor E \min_b c_b / c_a \rfloor` epochs.

    Args:
        ours: tuned settings trained from many seeds, by sampler (``confirmed``).
        searches: the searches, by sampler; equal trials are of random search if all optimisers have one, else
            of the first search that they all have.
        costs: device seconds per epoch, by optimiser (``costs.read_costs``).
    """
    trials = pd.concat([study.trials for study in ours.values()])
    names = style.ordered(trials["optimizer"].unique())
    epochs = int(trials["epochs"].max())
    by_budget = {EPOCHS: _of_tuned(ours, searches, pd.Series(epochs, names))}
    if set(names) <= set(costs.index):
        share = costs[names].min() / costs[names]
        allowed = (epochs * share + 1e-9).astype(int).clip(lower=1)
        by_budget[SECONDS] = _of_tuned(ours, searches, allowed)
    if searches:
        by_budget[TRIALS] = _of_search(searches, names)
    return by_budget


def _of_tuned(ours: Mapping[str, Records], searches: Mapping[str, Records], allowed: pd.Series) -> Outcome:
    limits = {str(name): int(epochs) for name, epochs in allowed.items()}
    limited = {sampler: best_within(study, limits) for sampler, study in ours.items()}
    table = confirmed.collect(limited, searches)
    _, direction = runs.objective(ours)
    minimize = direction == "minimize"
    leads = set()
    for family in filter(None, verdicts.families(table["optimizer"].unique())):
        for row in confirmed.compare(table, minimize=minimize, margin=0.0, pairs=family).itertuples():
            pair = str(row.optimizer), str(row.other)
            if row.verdict != "undecided":
                leads.add(pair if row.verdict == "better" else pair[::-1])
    scale = scale_of(table["value"], minimize=minimize)
    means = {name: scale.mean(values) for name, values in table.groupby("optimizer", sort=False)["value"]}
    return Outcome(pd.Series(means), leads, allowed)


def _of_search(searches: Mapping[str, Records], names: list[str]) -> Outcome:
    families = draws.families(searches)
    shared = [family for family, studies in families.items() if _searched_all(studies, names)]
    studies = families["random" if "random" in shared else [*shared, *families][0]]
    _, direction = runs.objective(studies)
    fewest = min(int(study.trials.groupby("optimizer").size().min()) for study in studies.values())
    independent = all(draws.independent(study.trials) for study in studies.values())
    k = max(1, min(_SEARCHED, int(estimates.SHARE * fewest) if independent else fewest))
    curves = tuning_curves.curves(studies, [k]).set_index("optimizer")["best"]
    leads: set[tuple[str, str]] = set()
    for baseline in set(names) & set(curves.index) if independent else ():
        # Each pair stands for itself, uncorrected although all pairs are looked at; the note says so.
        table = tuning_differences.differences(studies, [k], baseline)
        if table.empty:  # no other optimiser to compare with
            continue
        worse = table["low"] > 0 if direction == "minimize" else table["high"] < 0
        leads |= {(baseline, str(other)) for other in table.loc[worse, "optimizer"]}
    return Outcome(curves.reindex(names), leads, pd.Series(k, names))


def _searched_all(studies: Mapping[str, Records], names: list[str]) -> bool:
    return all(set(names) <= set(study.trials["optimizer"]) for study in studies.values())


def reversals(found: Mapping[str, Outcome], *, minimize: bool) -> pd.DataFrame:
    """The pairs whose order differs between two budgets.

    Returns:
        ``optimizer`` and ``other``; ``ahead`` and ``behind``, the budgets at which the first is better and
        worse than the other; ``decided``, whether each of the two orders is significant by itself.
    """
    rows = []
    for (one, at_one), (two, at_two) in combinations(found.items(), 2):
        for pair in combinations(at_one.values.dropna().index, 2):
            signs = [np.sign(at.values[pair[1]] - at.values[pair[0]]) * (1 if minimize else -1)
                     for at in (at_one, at_two)]  # fmt: skip
            if signs[0] * signs[1] < 0:
                first, second = pair if signs[0] > 0 else pair[::-1]
                decided = (first, second) in at_one.leads and (second, first) in at_two.leads
                rows.append((first, second, one, two, decided))
    return pd.DataFrame(rows, columns=["optimizer", "other", "ahead", "behind", "decided"])


def budgets_table(
    task: str,
    ours: Mapping[str, Records],
    searches: Mapping[str, Records],
    costs: "pd.Series[float]",
) -> Table:
    """The value and rank of each optimiser at each budget, with a note on every reversal."""
    by_budget = outcomes(ours, searches, costs)
    objective, direction = runs.objective(ours)
    minimize = direction == "minimize"
    names = style.ordered(by_budget[EPOCHS].values.index)
    metric = style.words(objective)
    searched = style.words(runs.objective(searches or ours)[0])
    of_search = f" ({searched})" if searched != metric else ""
    data: dict[str, Any] = {"optimizer": names}
    bold = {}
    frame = pd.DataFrame({"Optimiser": [style.label(name) for name in names], "Task": task})
    for budget, outcome in by_budget.items():
        values = outcome.values.reindex(names)
        rank = values.rank(ascending=minimize)
        data |= {budget: values.to_numpy(), f"rank at {budget}": rank.to_numpy()}
        text = fixed(values, 4) + " (" + rank.map("{:g}".format) + ")"
        header = budget.capitalize() + (of_search if budget == TRIALS else "")
        frame[header] = text.where(values.notna(), MISSING).to_numpy()
        bold[header] = (rank == 1).to_numpy()
        if budget == SECONDS:
            data["epochs"] = outcome.allowed.reindex(names).to_numpy()
            frame["Epochs in these seconds"] = outcome.allowed.reindex(names).astype(str).to_numpy()
    scale = scale_of(pd.concat([study.trials["value"] for study in ours.values()]), minimize=minimize)
    title = (
        f"Three budgets: {metric} on the {task} task, and the rank in brackets. Equal epochs and equal "
        f"device seconds: {scale.mean_words} over seeds of {confirmed.whose(ours)}; equal trials: the best "
        f"value{of_search} that the median search with this many trials finds."
    )
    table = pd.DataFrame(data)
    missing = [style.label(name) for name in names if name not in costs.index]
    notes = _notes(by_budget, missing, minimize=minimize)
    return Table(table, frame, pd.DataFrame(bold), title, notes, metric=metric)


def _notes(found: Mapping[str, Outcome], missing: list[str], *, minimize: bool) -> list[str]:
    epochs = int(found[EPOCHS].allowed.max())
    notes = [f"Equal epochs: {epochs} for each optimiser."]
    if SECONDS in found:
        notes.append(
            f"Equal device seconds: the time that the cheapest optimiser takes for {epochs} epochs. The cost "
            "per epoch was measured on a quiet machine, with the optimisers taking turns."
        )
    else:
        lacking = "" if len(missing) == len(found[EPOCHS].values) else f" for {', '.join(missing)}"
        notes.append(
            f"No cost per epoch is on record{lacking}, so there is no comparison at equal device seconds."
        )
    if TRIALS in found:
        notes.append(f"Equal trials: {int(found[TRIALS].allowed.max())} for each optimiser.")
    reversed_pairs = reversals(found, minimize=minimize)
    for decided, rows in sorted(reversed_pairs.groupby("decided"), reverse=True):
        notes.append(_reversed_note(rows, decided=bool(decided)))
    if reversed_pairs.empty:
        notes.append("No order is reversed.")
    notes.append(
        f"Significance is at {CONFIDENCE:.0%}: for tuned settings as in the verdicts, of the same pairs and "
        "with Holm; for random search, each pair by itself; for a search that learns, no error is known."
    )
    return notes


def _reversed_note(rows: pd.DataFrame, *, decided: bool) -> str:
    """The reversals in words; of those that may be chance, only how many there are if they are many."""
    pairs = "; ".join(
        f"{style.label(str(row.optimizer))} leads {style.label(str(row.other))} at {row.ahead}, but not at "
        f"{row.behind}"
        for row in rows.itertuples()
    )
    if not decided and len(rows) > _LISTED:
        pairs = f"{len(rows)}, so they may be chance"
    orders = (
        "both orders are significant"
        if decided
        else "at most one of the two orders is known to be significant"
    )
    return f"Reversals where {orders}: {pairs}."
