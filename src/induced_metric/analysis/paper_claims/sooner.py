"""Which of two settings reaches a target sooner, from the same fresh seeds."""

from collections.abc import Sequence

import numpy as np
from scipy import stats

from induced_metric.analysis.paper_claims.evidence import Compared, Pair, judged, simultaneous
from induced_metric.analysis.searches.targets import first_reached
from induced_metric.records import Records


def sooner(records: Records, target: float, pairs: Sequence[Pair]) -> Compared:
    r"""Compares the epochs that two optimisers need to reach the target, seed by seed.

    The effect is :math:`(w - l) / n`: the first needs fewer epochs on w of the n seeds that both have, and
    more on l. Not to reach the target takes longer than any number of epochs. On the other seeds both need
    the same, or neither reaches it. The interval is the exact one of a binomial proportion w of w + l. Epochs
    are compared, not seconds, because seconds depend on the load of the machine.

    Args:
        records: one setting of each optimiser, trained from many seeds.
        target: a value of the objective.
        pairs: the pairs of optimisers to compare.
    """
    trials = records.trials[["optimizer", "trial", "seed"]]
    reached = trials.merge(first_reached(records, target), on=["optimizer", "trial"], how="left")
    reached = reached.fillna({"epochs": np.inf})
    needed = reached.pivot_table(index="seed", columns="optimizer", values="epochs")
    level, effects, seeds = simultaneous(len(pairs)), [], []
    for one, other in pairs:
        both = needed[[one, other]].dropna()
        fewer, more = int((both[one] < both[other]).sum()), int((both[one] > both[other]).sum())
        ends = np.nan, np.nan
        if fewer + more:
            interval = stats.binomtest(fewer, fewer + more).proportion_ci(level)
            share = (fewer + more) / len(both)
            ends = share * (2 * interval.low - 1), share * (2 * interval.high - 1)
        value = (fewer - more) / max(len(both), 1)  # without a common seed nothing is decided
        effects.append(judged((one, other), value, ends, relation="better", minimize=False, margin=0.0))
        seeds.append(len(both))
    n = " to ".join(str(number) for number in sorted({min(seeds), max(seeds)}))
    method = (
        f"share of seeds on which the first reaches {target:g} in fewer epochs, minus the share on which it "
        "takes more; exact binomial interval"
    )
    return Compared(effects, f"{n} seeds", method)
