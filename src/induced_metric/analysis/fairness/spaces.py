"""Rules about what was searched: the ranges, their ends, and what a number in a range means."""

from collections.abc import Iterator, Mapping

from scipy.stats import binom

from induced_metric.analysis.fairness.comparison import Comparison, Finding, Study, listed
from induced_metric.analysis.momenta import NAMES, sums_gradients, traces
from induced_metric.space import Choice, Dimension, Float, Int

_RATE, _FIRST, _SECOND, _DECAY = (
    "the learning rate",
    "the first momentum",
    "the second momentum",
    "weight decay",
)
ROLES = {
    "learning_rate": _RATE,
    "momentum": _FIRST,
    "mu": _FIRST,
    "beta1": _FIRST,
    "adam_b1": _FIRST,
    "beta_muon": _FIRST,
    "b1": _FIRST,
    "beta2": _SECOND,
    "b2": _SECOND,
    "rho": _SECOND,
    "beta_rms": _SECOND,
    "adam_b2": _SECOND,
    "weight_decay": _DECAY,
    "weight_decay_rate": _DECAY,
    "beta": "the average of the metric",
}
"""The roles of hyperparameters, several names for one role; of a dotted name the last part counts."""
OTHERWISE = {
    ("adan", "b2"): _FIRST,
    ("momo", "beta"): _FIRST,
    ("muon", "beta"): _FIRST,
    ("trace", "decay"): _FIRST,
    ("scale_by_rms", "decay"): _SECOND,
}
"""Exceptions to ``ROLES``: what makes an optimiser or its direction, and a hyperparameter's name there."""
EXTENDS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "sgd_metric": ("sgd", {}),
    "sgd_rms": ("adamw", {"beta1": "momentum", "beta2": "beta_rms"}),
    "adamw": ("adam", {}),
    "adamw_metric": ("adamw", {}),
    "muon_metric": ("muon", {"beta": "beta_muon"}),
    "lion_metric": ("lion", {"b1": "beta1", "b2": "beta2"}),
}
"""Optimisers that equal another one if xi, or weight decay, is 0, each with a mapping from the other's names
of hyperparameters to its own, where the names differ."""
EUCLIDEAN = frozenset({"sgd", "sgd_clipped", "sgd_metric", "sgd_log_metric"})
"""Optimisers that do not divide each coordinate by its own scale, so their learning rates are comparable."""
NONE = 6e-8
"""Half of float32's precision: a xi or weight decay up to this changes no number near 1 and counts as 0."""
EDGE = 0.02
"""A value within this share of a range of one of its ends, in the scale of the search, is at that end."""
CHANCE = 0.05
"""An end is reported if the probability of as many best trials there by chance is less than this, divided by
the number of all ends of all ranges of the comparison."""


def role(study: Study, name: str) -> str:
    """The role of a hyperparameter: what it does, whatever its name."""
    group, _, bare = name.rpartition(".")
    return OTHERWISE.get((study.made_by(group), bare), ROLES.get(bare, name))


def unequal(comparison: Comparison) -> Iterator[Finding]:
    """Ranges that differ for hyperparameters of the same role, and roles that only some have."""
    ranges: dict[str, dict[str, str]] = {}
    for study in comparison.studies:
        for name, dimension in study.space.items():
            of_role = ranges.setdefault(role(study, name), {})
            twice = (
                study.label in of_role
                or sum(role(study, other) == role(study, name) for other in study.space) > 1
            )
            of_role[f"{study.label}'s {name}" if twice else study.label] = _range(dimension)
    for what, by_label in ranges.items():
        if len(set(by_label.values())) > 1:
            yield Finding(f"the range of {what} differs between optimisers", listed(by_label))
    for what in (_RATE, _DECAY):
        without = [
            study.label
            for study in comparison.studies
            if not any(role(study, name) == what for name in study.space)
        ]
        if what in ranges and without:
            yield Finding(f"{what} is searched for only some optimisers", f"not for: {', '.join(without)}")


def not_nested(comparison: Comparison) -> Iterator[Finding]:
    """Search spaces of an optimiser that extends another one but do not contain it as a special case."""
    by_kind = {study.kind: study for study in comparison.studies if study.space}
    for kind, (base, names) in EXTENDS.items():
        if kind not in by_kind or base not in by_kind:
            continue
        larger, smaller = by_kind[kind], by_kind[base]
        lacks = []
        for name, wanted in smaller.space.items():
            searched = larger.space.get(names.get(name, name))
            if isinstance(wanted, Float) and isinstance(searched, Float) and not _within(wanted, searched):
                lacks.append(
                    f"{name} from {wanted.low:g} to {wanted.high:g}: only {searched.low:g} to "
                    f"{searched.high:g} is searched"
                )
        for name in ("xi", "weight_decay"):
            searched = larger.space.get(name)
            if name not in smaller.space and isinstance(searched, Float) and searched.low > NONE:
                lacks.append(f"{name} of 0: the least is {searched.low:g}")
        if lacks:
            yield Finding(
                f"the search space of {larger.label} does not contain {smaller.label}, which {larger.label} "
                "extends",
                "; ".join(lacks),
            )


def at_a_bound(comparison: Comparison) -> Iterator[Finding]:
    """Ends of ranges with more of the best trials than chance puts there, or with the only best run."""
    ends = [
        (study, name, dimension, upper)
        for study in comparison.studies
        for name, dimension in study.space.items()
        if isinstance(dimension, Float)
        for upper in (False, True)
        if upper or not is_natural(name, dimension.low)
    ]
    reported = []
    for study, name, dimension, upper in ends:
        values = study.best[name].dropna()
        place = values.map(dimension.share)
        near = int((place > 1 - EDGE).sum() if upper else (place < EDGE).sum())
        where = f"{study.label} {name} {dimension.high if upper else dimension.low:g}"
        if len(values) == 1 and near:
            reported.append(f"{where} (best run {values.iloc[0]:.4g})")
        elif binom.sf(near - 1, len(values), EDGE) < CHANCE / len(ends):
            reported.append(f"{where} ({near} of {len(values)})")
    if reported:
        of = "best trials" if len(comparison.recorded) else "the best run"
        yield Finding(
            f"{of} within {EDGE:.0%} of a bound of the searched range", f"bounds: {', '.join(reported)}"
        )


def momenta(comparison: Comparison) -> Iterator[Finding]:
    """Optimisers that step by a sum of gradients, compared with others that step by an average."""
    kinds: dict[bool, list[Study]] = {True: [], False: []}
    for study in comparison.studies:
        if study.kind in EUCLIDEAN or traces(study.config):
            kinds[sums_gradients(study.config, study.optimizer)].append(study)
    if kinds[True] and kinds[False]:
        sums, averages = (", ".join(study.label for study in kinds[sort]) for sort in (True, False))
        greatest = [study.space.get(name) for study in kinds[True] for name in NAMES]
        most = max((each.high for each in greatest if isinstance(each, Float)), default=0.9)
        yield Finding(
            f"momentum is a sum of gradients in {sums}, an average in {averages}",
            "at the same learning rate and momentum the sum is 1/(1 - momentum) times as large: "
            f"{1 / (1 - most):.3g} times at {most:g}",
        )


def _range(dimension: Dimension) -> str:
    if isinstance(dimension, Choice):
        return f"one of {', '.join('null' if value is None else str(value) for value in dimension.choices)}"
    if isinstance(dimension, Int):
        step = f" in steps of {dimension.step}" if dimension.step > 1 else ""
        return f"{dimension.low} to {dimension.high}{step}{' (log)' if dimension.log else ''}"
    scale = " (log of 1 - x)" if dimension.complement and dimension.log else " (log)" if dimension.log else ""
    return f"{dimension.low:g} to {dimension.high:g}{scale}"


def _within(inner: Float, outer: Float) -> bool:
    return outer.low <= inner.low and inner.high <= outer.high


def is_natural(name: str, low: float) -> bool:
    """Whether the lower end of a range is 0 or as good as 0, so that nothing lies beyond it."""
    bare = name.rpartition(".")[2]
    return low == 0 or (low <= NONE and (bare == "xi" or ROLES.get(bare) == _DECAY))
