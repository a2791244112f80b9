"""What a recorded search would have shown under other rules, from its curves alone, without training.

Other rules are fewer trials, fewer epochs, a pruner, the value of the last epoch instead of the best, or
another number of best runs. The table shows how the values and the ranking of the optimisers change.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
import pandas as pd
from scipy.stats import kendalltau

from induced_metric.analysis import draws, runs, style
from induced_metric.analysis.rendering import MISSING, Table, fixed
from induced_metric.analysis.replays.pruning import Pruner, Stopped, stopped
from induced_metric.errors import UserError
from induced_metric.records import Records

Select: TypeAlias = Literal["best", "last"]


@dataclass(frozen=True, kw_only=True)
class Rules:
    """The rules of a comparison; None leaves a rule as recorded.

    Attributes:
        trials: use only the first ``trials`` trials of every optimiser.
        epochs: use only the first ``epochs`` epochs of every trial.
        pruner: a pruner that stops trials.
        select: whether the value of a trial is that of its best epoch or of its last.
        top: how many of an optimiser's best trials the mean that summarises it is over.

    Raises:
        UserError: for a number below 1 or an unknown selection.
    """

    trials: int | None = None
    epochs: int | None = None
    pruner: Pruner | None = None
    select: Select = "best"
    top: int | None = None

    def __post_init__(self) -> None:
        """Checks what can be checked without records."""
        for name in ("trials", "epochs", "top"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UserError(f"{name} must be >= 1, got {value}")
        if self.select not in ("best", "last"):
            raise UserError(f"select must be best or last, got {self.select}")

    def __str__(self) -> str:
        parts = [
            "all trials" if self.trials is None else f"the first {self.trials} trials",
            "all epochs" if self.epochs is None else f"the first {self.epochs} epochs",
            "no further pruner" if self.pruner is None else self.pruner.name,
            f"the {self.select} epoch",
        ]
        return ", ".join(parts)


class Replayed(NamedTuple):
    """The trials of one optimiser under other rules.

    Attributes:
        values: the values of the trials that may be among the best, in ascending order.
        trials: how many trials there were.
        epochs: how many epochs they ran in total.
        stopped: how many trials were stopped, by the rules' pruner or else on record.
        unknown: how many trials the pruner would have kept beyond the end of their recorded curves.
    """

    values: np.ndarray
    trials: int
    epochs: int
    stopped: int
    unknown: int

    def mean(self, top: int, direction: str) -> float:
        """The mean of the best ``top`` values; NaN where there are none."""
        ordered = self.values if direction == "minimize" else self.values[::-1]
        return float(ordered[:top].mean()) if len(ordered) else math.nan


def replay(study: Records, rules: Rules) -> Replayed:
    """One optimiser's trials under other rules.

    Args:
        study: the optimiser's records; ``objective`` names the metric that its trials were judged by.
        rules: the other rules.
    """
    trials = study.trials.sort_values("trial").head(rules.trials or len(study.trials))
    objective, direction = trials["objective"].iloc[0], trials["direction"].iloc[0]
    curves = study.curves[study.curves["trial"].isin(trials["trial"])]
    if curves.empty:  # every trial failed before its first epoch
        return Replayed(values=np.empty(0), trials=len(trials), epochs=0, stopped=0, unknown=0)
    wide = curves.pivot_table(index="trial", columns="epoch", values=objective, dropna=False)
    wide = wide.reindex(trials["trial"])
    sign = 1.0 if direction == "minimize" else -1.0
    costs = sign * wide.to_numpy(float)[:, : rules.epochs]
    # How many epochs each trial ran; one that diverged in its last epoch has no finite cost there.
    ran = np.minimum(trials["epochs"].to_numpy(), costs.shape[1])
    cut_short = (trials["state"] == "pruned").to_numpy() & (ran == trials["epochs"].to_numpy())
    if rules.pruner is None:
        ends = Stopped(ran, cut_short, np.zeros(len(ran), bool))
    else:
        ends = stopped(costs, ran, cut_short, rules.pruner)
    failed = (trials["state"] == "failed").to_numpy() | (ends.epochs == 0)
    last = costs[np.arange(len(costs)), np.maximum(ends.epochs, 1) - 1]
    eligible = ~failed & np.isfinite(last)
    ranks_stopped = rules.pruner.ranks_stopped if rules.pruner else draws.ranks_stopped(trials).to_numpy()
    eligible &= ~ends.stopped | ranks_stopped
    within = np.arange(costs.shape[1]) < ends.epochs[:, None]
    best = np.fmin.reduce(np.where(within, costs, np.inf), axis=1)
    chosen = best if rules.select == "best" else last
    return Replayed(
        values=np.sort(sign * chosen[eligible]),
        trials=len(trials),
        epochs=int(ends.epochs.sum()),
        stopped=int(ends.stopped.sum()),
        unknown=int(ends.unknown.sum()),
    )


def ranking(searches: Mapping[str, Records], rules: Rules) -> pd.DataFrame:
    """Every optimiser of every search, as recorded and under other rules.

    Args:
        searches: the records of a task, by sampler.
        rules: the other rules.

    Returns:
        ``optimizer``, ``sampler``; ``recorded`` and ``replayed``, the means of the best trials, with ``rank``
        and ``new_rank`` among the optimisers of the sampler (from 1, NaN where nothing is left to rank);
        ``epochs``, the share of the recorded epochs that was used, NaN where none is on record; ``trials``,
        ``stopped``, ``unknown``;
        ``top`` and ``usual``, how many best trials the replayed and the recorded means are over.

    Raises:
        UserError: if any search has fewer trials of an optimiser than the rules ask for.
    """
    as_recorded = Rules()
    usual = runs.best_count(searches)
    top = usual if rules.top is None else rules.top
    direction = runs.objective(searches)[1]
    rows = []
    for sampler, records in searches.items():
        for optimizer, trials in records.trials.groupby("optimizer", sort=False):
            study = Records(trials, records.curves[records.curves["optimizer"] == optimizer])
            before, after = replay(study, as_recorded), replay(study, rules)
            if before.trials < (rules.trials or 0):
                raise UserError(f"{sampler} has {before.trials} trials of {optimizer}, not {rules.trials}")
            rows.append(
                {
                    "optimizer": optimizer,
                    "sampler": sampler,
                    "recorded": before.mean(usual, direction),
                    "replayed": after.mean(top, direction),
                    "epochs": after.epochs / before.epochs if before.epochs else math.nan,
                    "trials": after.trials,
                    "stopped": after.stopped,
                    "unknown": after.unknown,
                }
            )
    table = style.in_order(pd.DataFrame(rows))
    for value, rank in (("recorded", "rank"), ("replayed", "new_rank")):
        grouped = table.groupby("sampler", sort=False)[value]
        table[rank] = grouped.rank(method="min", ascending=direction == "minimize")
    return table.assign(top=top, usual=usual)


def agreements(table: pd.DataFrame) -> dict[str, float]:
    """Kendall's τ between the recorded and the replayed ranking, by sampler; NaN below two optimisers."""
    return {
        str(sampler): float(kendalltau(rows["recorded"], rows["replayed"], nan_policy="omit").statistic)
        for sampler, rows in table.groupby("sampler", sort=False)
    }


def replay_table(task: str, searches: Mapping[str, Records], rules: Rules) -> Table:
    """``ranking``, ready to be shown or written."""
    table = ranking(searches, rules)
    metric = style.words(runs.objective(searches)[0])
    cells = {
        "Optimiser": table["optimizer"].map(style.label),
        "Sampler": table["sampler"],
        "Recorded": fixed(table["recorded"], 4),
        "Rank": _rank(table["rank"]),
        "Replayed": fixed(table["replayed"], 4),
        "New rank": _rank(table["new_rank"]),
        "Epochs used": (100 * table["epochs"]).map("{:.0f}%".format, na_action="ignore").fillna(MISSING),
        "Stopped": table["stopped"].astype(str),
    }
    bold = {"New rank": table["new_rank"].fillna(0) != table["rank"].fillna(0)}
    usual, top = table["usual"].iloc[0], table["top"].iloc[0]
    title = (
        f"What if: mean {metric} of the best {top} trials on the {task} task under other rules ({rules}), "
        f"beside the mean of the best {usual} as recorded. Bold: ranks that change."
    )
    taus = ", ".join(f"{name} {MISSING if math.isnan(tau) else format(tau, '.2f')}"
                     for name, tau in agreements(table).items())  # fmt: skip
    notes = [
        f"Kendall's τ between the two rankings: {taus}. Each row is one study, so ranks change by luck too."
    ]
    notes += _unknown(searches, table, rules)
    return Table(table, pd.DataFrame(cells), pd.DataFrame(bold), title, notes, metric=metric)


def _unknown(searches: Mapping[str, Records], table: pd.DataFrame, rules: Rules) -> list[str]:
    """Notes on what recorded curves cannot show."""
    notes = []
    adaptive = [name for name, study in searches.items() if not draws.proposed_at_random(study.trials)]
    changes_what_it_sees = (rules.epochs, rules.pruner) != (None, None) or rules.select != "best"
    if adaptive and changes_what_it_sees:
        notes.append(
            f"{', '.join(adaptive)}: proposed each trial from the results so far, so under these rules it "
            "would have proposed other trials. Only random search would have proposed the same ones."
        )
    if rules.epochs is not None and any(_scheduled(study) for study in searches.values()):
        notes.append(
            "The learning rate had a schedule, which would have ended with the last epoch of these rules."
        )
    if rules.pruner is not None and not rules.pruner.before(_epochs(searches, rules)):
        notes.append(
            f"{rules.pruner.name} first judges after {rules.pruner.rungs[0]} epochs, so it stopped nothing."
        )
    if unknown := int(table["unknown"].sum()):
        notes.append(
            f"{unknown} trials were stopped on record where this rule would have let them go on. How they "
            "would have gone on is not known, so they count by the epochs on record."
        )
    return notes


def _epochs(searches: Mapping[str, Records], rules: Rules) -> int:
    most = max(int(study.trials["epochs"].max()) for study in searches.values())
    return min(most, rules.epochs or most)


def _scheduled(study: Records) -> bool:
    return bool(study.trials["optimizer"].str.contains("+", regex=False).any())


def _rank(ranks: pd.Series) -> "pd.Series[str]":
    return ranks.map(lambda rank: MISSING if pd.isna(rank) else f"{rank:.0f}")
