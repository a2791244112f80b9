"""Rules about what was measured, and how well."""

from collections.abc import Iterator
from itertools import combinations

import numpy as np

from induced_metric.analysis.fairness.comparison import Comparison, Finding, Study
from induced_metric.analysis.fairness.models import model

LOADED = 1.25
"""Seconds count as measured under load if, over the trials of a study, the 90% quantile of the seconds per
epoch is more than this many times the 10% quantile."""
MOST = 0.9
"""A network counts as Muon's, but for its biases, if Muon updates at least this share of its parameters."""
_EXAMPLES = {
    "test": ("fresh_examples", "test_examples"),
    "validation": ("fresh_examples", "validation_examples"),
}
"""The settings that say how many examples a split has; the first that is not 0 counts."""


def selection(comparison: Comparison) -> Iterator[Finding]:
    """The split that is reported was also used to select what is reported."""
    split = comparison.objective.partition("/")[0]
    confirmed = {study.setting("protocol", "confirmation") for study in comparison.studies}
    if confirmed - {None, split} or (not comparison.searches and confirmed == {split}):
        return
    what = "the epochs and the hyperparameters" if comparison.searches else "the epoch of each value"
    yield Finding(
        f"the {split} split, which is reported, also chose {what}",
        f"objective {comparison.objective}; no other split is read",
    )


def sampling_error(comparison: Comparison) -> Iterator[Finding]:
    """Differences that may be chance, because the number of examples is finite or because of the seed."""
    pairs = list(combinations(comparison.studies, 2))
    if comparison.objective.endswith("accuracy"):
        errors = {study.optimizer: _binomial(comparison, study) for study in comparison.studies}
        judged = [(a, b) for a, b in pairs if errors[a.optimizer] and errors[b.optimizer]]
        near = [
            (a, b) for a, b in judged
            if abs(a.mean - b.mean) < 1.96 * np.hypot(errors[a.optimizer], errors[b.optimizer])
        ]  # fmt: skip
        if near:
            typical = float(np.median([error for error in errors.values() if error]))
            yield Finding(
                "means differ by less than the sampling error of the metric",
                f"{len(near)} of {len(judged)} pairs within 1.96 binomial standard errors of the difference; "
                f"that of one mean is {typical:.2g} on {_examples(comparison, pairs[0][0]):,} examples; the "
                "errors are taken as independent, but on the same examples they cancel in part",
            )
    if not comparison.searches:
        return
    judged = [(a, b) for a, b in pairs if {a.optimizer, b.optimizer} <= comparison.spread.keys()]
    best = {study.optimizer: _best(study) for study in comparison.studies}
    near = [
        (a, b) for a, b in judged
        if abs(best[a.optimizer] - best[b.optimizer])
        < np.hypot(comparison.spread[a.optimizer], comparison.spread[b.optimizer])
    ]  # fmt: skip
    if near:
        typical = float(np.median(list(comparison.spread.values())))
        yield Finding(
            "best runs differ by less than runs from different seeds do",
            f"{len(near)} of {len(judged)} pairs within one standard deviation of the difference between two "
            f"seeds; the standard deviation over seeds is {typical:.2g} (median over optimisers)",
        )


def seconds(comparison: Comparison) -> Iterator[Finding]:
    """Seconds that reflect the load of the machine rather than the optimiser."""
    ratios = {}
    for study in comparison.studies:
        trials = study.trials
        static = any(getattr(each, "static", False) for each in study.space.values())
        if len(trials) < 10 or static:  # trials with different programs differ in cost
            continue
        # Compared within a study, because the lane layout and the hardware change the cost, too.
        each = (trials["seconds"] / trials["epochs"]).groupby(trials["sampler"])
        ratio = float((each.quantile(0.9) / each.quantile(0.1)).max())
        if ratio > LOADED:
            ratios[study.label] = ratio
    if ratios:
        yield Finding(
            "seconds were measured under load",
            "seconds per epoch, 90% quantile ÷ 10% quantile over the trials of a study: "
            + ", ".join(f"{label} {ratio:.2f}" for label, ratio in ratios.items()),
        )


def muons_share(comparison: Comparison) -> Iterator[Finding]:
    """How much of the network Muon updates: it handles matrices only, Adam updates the rest."""
    for study in comparison.studies:
        if study.kind not in ("muon", "muon_metric"):
            continue
        shaped = any(name.startswith("task.") for name in study.space)
        size = None if shaped else model(comparison.task, study.config.get("task", {}))
        if size is None:
            yield Finding(f"{study.label}: how much of the network Muon updates is not on record", "")
        elif (share := size.matrices / size.parameters) < MOST:
            halved = study.kind == "muon" and not study.setting("optimizer", "decay_all", False)
            yield Finding(
                f"{study.label}: Adam with Nesterov momentum updates part of the network"
                + (", without weight decay" if halved and "weight_decay" in study.space else ""),
                f"Muon updates {share:.3%} of {size.parameters:,} parameters: those in 2-D arrays",
            )


def _examples(comparison: Comparison, study: Study) -> int:
    split = comparison.objective.partition("/")[0]
    return next((int(number) for name in _EXAMPLES.get(split, ())
                 if (number := study.setting("task", name, 0))), 0)  # fmt: skip


def _binomial(comparison: Comparison, study: Study) -> float:
    """The standard error of a study's mean; 0 where it is not known, or every trial was lost."""
    number = _examples(comparison, study)
    if not number or np.isnan(study.mean):
        return 0.0
    return float(np.sqrt(study.mean * (1 - study.mean) / number))


def _best(study: Study) -> float:
    return float(study.best["value"].iloc[0]) if len(study.best) else float("nan")
