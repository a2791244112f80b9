"""Rules about what was spent on each optimiser, and how its trials ended."""

from collections.abc import Iterator

from induced_metric.analysis import draws, runs, style
from induced_metric.analysis.fairness.comparison import Comparison, Finding, listed

AT_THE_END = 0.5
"""The rule ``last_epoch`` reports an optimiser if at least this share of its best trials have their best
epoch in the last hundredth of all epochs."""
MANY = 0.02
"""The rule ``lost`` reports a search in which some optimiser lost more than this share of its trials."""


def budgets(comparison: Comparison) -> Iterator[Finding]:
    """Numbers of trials, of studies or of epochs that differ between optimisers."""
    recorded = {study.label: study for study in comparison.studies if len(study.trials)}
    numbers = {
        "trials": {label: f"{len(study.trials):,}" for label, study in recorded.items()},
        "studies": {label: str(study.studies) for label, study in recorded.items()},
        "epochs of a trial": {
            label: str(study.setting("task", "epochs", "?")) for label, study in recorded.items()
        },
    }
    for what, by_label in numbers.items():
        if len(set(by_label.values())) > 1:
            yield Finding(f"the number of {what} differs between optimisers", listed(by_label))


def random_draws(comparison: Comparison) -> Iterator[Finding]:
    """Searches that ended before the sampler proposed any trial from a model."""
    trials = comparison.recorded
    if not comparison.searches or trials.empty:
        return
    for _, rows in trials.groupby("sampler", sort=False):
        for group in draws.unmodelled(rows):
            whose = "" if group.every else f" of {', '.join(map(style.label, group.optimizers))}"
            yield Finding(
                f"all trials{whose} are random draws, not proposals of the sampler's model",
                f"{group.trials} trials: {group.startup} start-up trials and {group.in_flight} in flight",
            )


def last_epoch(comparison: Comparison) -> Iterator[Finding]:
    """Optimisers that were still improving when their epochs ended."""
    reported = {}
    for study in comparison.studies if comparison.searches else ():
        epochs = study.setting("task", "epochs")
        if epochs is None or study.best.empty:
            continue
        # The published best run alone says less than the mean over the best 50, where that is known.
        column = "mean_epoch" if "mean_epoch" in study.best else "best_epoch"
        late = (study.best[column] >= 0.99 * (epochs - 1)).mean()
        if late >= AT_THE_END:
            mean = study.best[column].mean()
            reported[study.label] = (
                f"mean {mean:g} of {epochs - 1}"
                if column == "mean_epoch"
                else f"{late:.0%} of the best trials"
            )
    if reported:
        yield Finding("the best epoch is in the last hundredth of all epochs", listed(reported))


def bands(comparison: Comparison) -> Iterator[Finding]:
    """Early stopping, and best epochs that pile up just before the epochs at which it judged."""
    stopped = {study.label: study.setting("pruner", "name") for study in comparison.studies}
    by = sorted({str(name) for name in stopped.values() if name})
    trials = comparison.recorded
    if trials.empty:
        if by:
            yield Finding("trials were stopped early", f"by {', '.join(by)}")
        return
    early = (trials["state"] == "pruned").groupby(trials["optimizer"]).mean()
    if early.any():
        shares = {study.label: f"{early[study.optimizer]:.0%}" for study in comparison.studies}
        yield Finding("trials were stopped early", listed(shares))
    for study in comparison.studies:
        epochs = study.setting("task", "epochs", 0)
        rungs = [rung for rung in study.setting("pruner", "rungs", ()) if 2 < rung < epochs]
        full = study.best[study.best["best_epoch"] >= 0]
        if not rungs or len(full) < 2 or not comparison.searches:
            continue
        # A trial that is stopped at a rung has its best epoch just before it; epochs count from 0.
        window = {rung - back for rung in rungs for back in (1, 2)}
        share, chance = full["best_epoch"].isin(window).mean(), len(window) / epochs
        if share > max(5 * chance, 0.25):
            yield Finding(
                f"{study.label}: best epochs pile up just before the rungs of early stopping",
                f"{share:.0%} of the best {len(full)}, {chance:.0%} by chance; rungs "
                f"{', '.join(map(str, rungs[:4]))}{' ...' if len(rungs) > 4 else ''}",
            )


def lost(comparison: Comparison) -> Iterator[Finding]:
    """Trials that diverged or failed: a mean without them flatters an optimiser that loses many."""
    reported, most = {}, 0.0
    for study in comparison.studies:
        if study.trials.empty:
            continue
        gone = int((~runs.eligible(study.trials) & (study.trials["state"] != "pruned")).sum())
        most = max(most, gone / len(study.trials))
        if gone:
            reported[study.label] = f"{gone:,} of {len(study.trials):,}"
    if most > (MANY if comparison.searches else 0):
        yield Finding("trials diverged or failed", listed(reported))
