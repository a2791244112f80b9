"""The published numbers as evidence on the paper's claims."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats

from induced_metric.analysis.claims import Effect
from induced_metric.analysis.paper_claims.evidence import EQUAL, Compared, Pair, judged, named, simultaneous
from induced_metric.analysis.paper_claims.statements import Measure, Relation
from induced_metric.records import published


class Published:
    """The published tables: mean and deviation of the best 50, the best run of each, seconds to a target.

    A claimed order that the numbers do not have is contradicted. One that they have is supported if an
    interval says so: Welch's of means, that of the F distribution of spreads. Single runs have no interval.
    """

    def __init__(self, task: str) -> None:
        self._table = published.summary(task)
        self._seconds = published.time_to_target(task).set_index("optimizer")["best_seconds"]
        self._minimize = bool((self._table["direction"] == "minimize").all())
        self.optimizers = self._table.index.tolist()

    def compare(self, pairs: Sequence[Pair], measure: Measure, relation: Relation) -> Compared:
        """As ``Source`` says."""
        if measure in ("best", "seconds"):
            values = self._seconds if measure == "seconds" else self._table["best_metric"]
            lower = measure == "seconds" or self._minimize
            effects = [self._single(pair, values, minimize=lower) for pair in pairs]
            return Compared(effects, "1 run", "single runs have no interval")
        level, n = simultaneous(len(pairs)), f"{published.RUNS_SUMMARISED} runs"
        if measure == "spread":
            method = "F interval of the ratio of deviations, times the other's, which is taken as known"
            return Compared([self._spread(pair, level) for pair in pairs], n, method)
        return Compared(
            [self._mean(pair, level, relation) for pair in pairs], n, "Welch's t of the best runs"
        )

    def _single(self, pair: Pair, values: pd.Series, *, minimize: bool) -> Effect:
        one, other = (float(values[name]) for name in pair)
        value = one - other
        gain = -value if minimize else value
        return Effect(named(pair), value, np.nan, np.nan, gain, None if gain > 0 else False)

    def _mean(self, pair: Pair, level: float, relation: Relation) -> Effect:
        a, b = (self._table.loc[[name]].iloc[0] for name in pair)
        # The published deviations are population standard deviations.
        squares = [row["metric_std"] ** 2 / (row["n"] - 1) for row in (a, b)]
        error = float(np.sqrt(sum(squares)))
        freedom = sum(squares) ** 2 / sum(
            s**2 / (row["n"] - 1) for s, row in zip(squares, (a, b), strict=True)
        )
        value = float(a["metric_mean"] - b["metric_mean"])
        reach = float(stats.t.isf((1 - level) / 2, freedom)) * error
        margin = EQUAL * float(np.sqrt((a["metric_std"] ** 2 + b["metric_std"] ** 2) / 2))
        effect = judged(pair, value, (value - reach, value + reach), relation=relation,
                        minimize=self._minimize, margin=margin)  # fmt: skip
        return effect._replace(truth=False) if relation == "better" and effect.gain <= 0 else effect

    def _spread(self, pair: Pair, level: float) -> Effect:
        a, b = (float(self._table["metric_std"][name]) for name in pair)
        freedom = published.RUNS_SUMMARISED - 1
        ratio = a / b / np.sqrt(stats.f.ppf([(1 + level) / 2, (1 - level) / 2], freedom, freedom))
        low, high = (b * (end - 1) for end in ratio)
        effect = judged(pair, a - b, (low, high), relation="more", minimize=True, margin=0.0)
        return effect._replace(truth=False) if effect.gain <= 0 else effect
