"""Our records as evidence: searches, and settings that were trained again from fresh seeds."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from induced_metric.analysis import draws, runs, style
from induced_metric.analysis.claims import Effect, Truth
from induced_metric.analysis.confirmations import confirmed
from induced_metric.analysis.confirmations.scale import scale_of
from induced_metric.analysis.paper_claims.evidence import EQUAL, Compared, Pair, judged, named, simultaneous
from induced_metric.analysis.paper_claims.sooner import sooner
from induced_metric.analysis.paper_claims.statements import Measure, Relation
from induced_metric.analysis.searches import differences
from induced_metric.analysis.support import support
from induced_metric.analysis.tuning import estimates
from induced_metric.records import Records


class Independent:
    """Random search: the bootstrap draws trials, by the same trial numbers for both optimisers."""

    def __init__(self, studies: Mapping[str, Records], n: int) -> None:
        self._trials, self._n = draws.pool_trials(studies), n
        self._minimize = bool((self._trials["direction"] == "minimize").all())
        self.optimizers = _with_values(self._trials)
        self._size = draws.in_common(self._trials)
        self._budget = max(1, int(estimates.SHARE * self._size))
        self._to = functools.cache(self._to_baseline)

    def compare(self, pairs: Sequence[Pair], measure: Measure, relation: Relation) -> Compared | None:
        """As ``Source`` says."""
        if measure == "seconds" or not self._size:
            return None
        level, effects = simultaneous(len(pairs)), []
        # Each baseline is resampled once, so the side of the pairs with fewer optimisers is the baseline.
        swapped = len({one for one, _ in pairs}) < len({other for _, other in pairs})
        for one, other in pairs:
            table = self._to(one if swapped else other, measure, level)
            row = table.loc[[other if swapped else one], ["difference", "low", "high"]]
            value, low, high = row.to_numpy(float)[0].tolist()
            if swapped:
                value, low, high = -value, -high, -low
            margin = EQUAL * self._deviation(one, other)
            effects.append(judged((one, other), value, (low, high), relation=relation,
                                  minimize=self._minimize, margin=margin))  # fmt: skip
        words = {"best": f"median best of {self._budget} trials", "mean": f"mean of the best {self._n}"}
        statistic = words.get(measure, f"standard deviation of the best {self._n}")
        return Compared(effects, f"{self._size} trials", f"{statistic}; bootstrap over trial numbers")

    def _to_baseline(self, baseline: str, measure: Measure, level: float) -> pd.DataFrame:
        if measure == "best":
            bounds = support(self._trials)
            table = estimates.paired(self._trials, baseline, bounds, [self._budget], level=level)
            return table.set_index("optimizer")
        return differences.to_baseline(
            self._trials, baseline, self._n, level=level, spread=measure == "spread"
        )

    def _deviation(self, one: str, other: str) -> float:
        best = runs.top(self._trials, self._n).groupby("optimizer")["value"].std()
        return float(np.sqrt((best[one] ** 2 + best[other] ** 2) / 2))


class Studies:
    """Searches that learn: one study gives no interval; of several, the studies are the sample.

    Those of two optimisers have only a number in common (``hierarchy``), so this is Welch's test.
    """

    def __init__(self, studies: Mapping[str, Records], n: int) -> None:
        self._n = n
        trials = pd.concat([study.trials.assign(study=name) for name, study in studies.items()])
        self._minimize = bool((trials["direction"] == "minimize").all())
        self.optimizers = _with_values(trials)
        best = pd.concat(
            [runs.top(study_trials, n) for _, study_trials in trials.groupby("study", sort=False)]
        )
        grouped = best.groupby(["study", "optimizer"])["value"]
        columns = grouped.agg(mean="mean", best="first", spread=lambda own: own.std(ddof=0)).reset_index()
        self._values = {
            name: columns.pivot_table(index="study", columns="optimizer", values=name)
            for name in ("mean", "best", "spread")
        }

    def compare(self, pairs: Sequence[Pair], measure: Measure, relation: Relation) -> Compared | None:
        """As ``Source`` says."""
        if measure == "seconds":
            return None
        values, deviation = self._values[measure], self._values["spread"].mean()
        level, effects = simultaneous(len(pairs)), []
        for one, other in pairs:
            both = values[one].dropna(), values[other].dropna()
            value, ends = float(both[0].mean() - both[1].mean()), (np.nan, np.nan)
            if min(map(len, both)) > 1:
                interval = stats.ttest_ind(*both, equal_var=False).confidence_interval(level)
                ends = float(interval.low), float(interval.high)
            margin = EQUAL * float(np.sqrt((deviation[one] ** 2 + deviation[other] ** 2) / 2))
            effects.append(judged((one, other), value, ends, relation=relation,
                                  minimize=self._minimize, margin=margin))  # fmt: skip
        words = {"best": "best run", "mean": f"mean of the best {self._n}"}
        statistic = words.get(measure, f"standard deviation of the best {self._n}")
        names = list({name for pair in pairs for name in pair})
        numbers = sorted(set(values[names].notna().sum()))
        method = "Welch's t over studies" if numbers[0] > 1 else "one study has no interval"
        number = " or ".join(map(str, numbers))
        return Compared(
            effects, f"{number} {'study' if number == '1' else 'studies'}", f"{statistic}; {method}"
        )


class Trained:
    """The settings that were found, trained again from fresh seeds: the verdicts on every pair.

    The paper makes one claim of the mean of its best runs and another of the best of them. Here both are the
    same question: which setting is better.

    Args:
        ours: the studies of one setting from many seeds.
        searches: the searches that found the settings.
        target: the value of the objective of which a claim says who reaches it sooner, if there is one.
    """

    def __init__(
        self, ours: Mapping[str, Records], searches: Mapping[str, Records], target: float | None = None
    ) -> None:
        self._target = target
        values = confirmed.collect(ours, searches)
        seeds = values.groupby(["optimizer", "study"])["seed"].nunique().groupby("optimizer").min()
        # The claims are about the paper's optimisers, so Holm's correction is over pairs of these alone.
        papers = [name for name in seeds.index[seeds > 1] if style.is_published(str(name))]
        values = values[values["optimizer"].isin(papers)]
        self.optimizers = values["optimizer"].unique().tolist()
        self._values, self._ours = values, ours
        self._minimize = runs.objective(ours)[1] == "minimize"

    @functools.cached_property
    def _pairs(self) -> dict[Pair, dict[Any, Any]]:
        table = confirmed.compare(
            self._values, minimize=self._minimize, margin=confirmed.stated_margin(self._ours)
        )
        rows: list[dict[Any, Any]] = table.to_dict("records")
        return {(row["optimizer"], row["other"]): row for row in rows}

    def compare(self, pairs: Sequence[Pair], measure: Measure, relation: Relation) -> Compared | None:
        """As ``Source`` says."""
        if measure == "seconds" and self._target is not None and len(self._ours) == 1:
            return sooner(next(iter(self._ours.values())), self._target, pairs)
        if measure in ("seconds", "spread"):
            return None
        sizes = self._values.groupby("optimizer").agg(studies=("study", "nunique"), seeds=("seed", "nunique"))
        n = " to ".join(dict.fromkeys(f"{row.studies}×{row.seeds} seeds" for row in sizes.itertuples()))
        of = "studies and seeds" if (sizes["studies"] > 1).any() else "seeds"
        scale = scale_of(self._values["value"], minimize=self._minimize)
        what = "mean logarithm" if scale.logarithmic else "mean"
        rule = "Bonferroni's" if relation == "equal" else "Holm's"
        method = f"{what} over fresh seeds; standard error over {of}, {rule} correction over all pairs"
        return Compared([self._effect(pair, relation) for pair in pairs], n, method)

    def _effect(self, pair: Pair, relation: Relation) -> Effect:
        swapped = pair not in self._pairs
        row = self._pairs[pair[::-1] if swapped else pair]
        sign = -1 if swapped else 1
        value, ends = sign * row["difference"], sorted((sign * row["low"], sign * row["high"]))
        gain = -value if self._minimize else value
        better: dict[object, Truth] = {"better": not swapped, "worse": swapped}
        truth = better.get(row["verdict"])
        if relation == "equal":
            gain = row["margin"] - abs(value)
            apart = max(ends[0], -ends[1]) > row["margin"]
            truth = True if row["verdict"] == "equivalent" else False if apart else None
        return Effect(named(pair), value, ends[0], ends[1], gain, truth)


def _with_values(trials: pd.DataFrame) -> list[str]:
    """The optimisers with an eligible trial: of the others there is no best run to compare."""
    return [str(name) for name in trials.loc[runs.eligible(trials), "optimizer"].unique()]


def independent(studies: Mapping[str, Records]) -> bool:
    """Whether trials can be resampled: random search in which all optimisers have the same seeds."""
    random_search = all(draws.independent(study.trials) for study in studies.values())
    seeds = pd.concat([study.trials for study in studies.values()]).groupby(["sampler", "trial"])["seed"]
    return random_search and bool((seeds.min() == seeds.max()).all())
