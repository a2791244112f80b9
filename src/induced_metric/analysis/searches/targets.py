"""Time to target: how many trials reached a value of the objective, and how soon."""

from collections.abc import Mapping, Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Context

import pandas as pd

from induced_metric.analysis import draws, runs, style
from induced_metric.analysis.rendering import MISSING, Table, fixed, leads, seconds
from induced_metric.analysis.runs import top
from induced_metric.analysis.searches.tables import PUBLISHED, SECONDS
from induced_metric.records import Records, published

TIMES = ["fewest_epochs", "fewest_seconds", "best_epochs", "best_seconds", "median_epochs", "median_seconds"]


def typical_best(ours: Mapping[str, Records], n: int) -> float:
    """The target of a task that names none: what a typical best run of a typical optimiser reaches.

    Returns:
        The median over the optimisers of the median of each one's best ``n`` runs, rounded to three
        significant digits towards the easier side.

    Raises:
        ValueError: if there is no complete trial.
    """
    trials = pd.concat([study.trials for study in ours.values()])
    best = top(trials, n)
    if best.empty:
        raise ValueError("there is no complete trial to take a target from")
    _, direction = runs.objective(ours)
    easier = ROUND_CEILING if direction == "minimize" else ROUND_FLOOR
    middle = best.groupby("optimizer")["value"].median()
    # With an even number of optimisers, take the worse of the two in the middle, which was reached.
    typical = middle.quantile(0.5, interpolation="higher" if direction == "minimize" else "lower")
    return float(Context(prec=3, rounding=easier).create_decimal_from_float(float(typical)))


def first_reached(records: Records, target: float) -> pd.DataFrame:
    """When each trial first reached the target.

    Returns:
        ``optimizer``, ``trial``, ``epochs`` and ``seconds`` up to the end of that epoch. A trial that never
        reached the target has no row.
    """
    curves, key = records.curves, ["optimizer", "trial"]
    objective, direction = runs.objective({"": records})
    if objective not in curves:  # every trial failed before its first epoch
        return pd.DataFrame(columns=[*key, "epochs", "seconds"])
    at_target = curves[objective] <= target if direction == "minimize" else curves[objective] >= target
    curves = curves.assign(epochs=curves["epoch"] + 1, seconds=curves.groupby(key)["seconds"].cumsum())
    return curves.loc[at_target, [*key, "epochs", "seconds"]].drop_duplicates(key)


def time_to_target(records: Records, target: float, n: int) -> pd.DataFrame:
    """How soon the trials of each optimiser reached the target.

    Every finished trial counts, pruned and diverged ones too: they may have reached the target before that.

    Returns:
        One row per optimiser: the number of ``finished`` trials and how many of them ``reached`` the target;
        the ``fewest_epochs`` and the ``fewest_seconds`` that any of them needed; those of the best run,
        ``best_epochs`` and ``best_seconds``; and ``median_epochs`` and ``median_seconds`` over the best ``n``
        runs, where a run that never reached the target counts as slower than all that did. NaN where it was
        not reached. Seconds are device seconds from the start.
    """
    trials, key = records.trials, ["optimizer", "trial"]
    successes = first_reached(records, target)

    def of_best(count: int) -> pd.DataFrame:
        best = top(trials, count)[key].merge(successes, on=key, how="left").fillna(float("inf"))
        median = best.groupby("optimizer")[["epochs", "seconds"]].median()
        return median.replace(float("inf"), float("nan"))

    table = pd.DataFrame({"finished": trials.groupby("optimizer", sort=False).size()})
    table["reached"] = successes.groupby("optimizer").size()
    for name, times in (
        ("fewest", successes.groupby("optimizer")[["epochs", "seconds"]].min()),
        ("best", of_best(1)),
        ("median", of_best(n)),
    ):
        table[[f"{name}_epochs", f"{name}_seconds"]] = times
    return table.fillna({"reached": 0}).astype({"reached": int})


def compare(
    task: str,
    ours: Mapping[str, Records],
    targets: Sequence[float],
    *,
    n: int,
) -> pd.DataFrame:
    """``time_to_target`` of every sampler, beside the published seconds where the paper has them.

    Those stand beside ours only if ours follow its rules (``runs.as_published``).

    Returns:
        ``optimizer``, ``source`` (``published``, then the samplers), ``target``, the columns of
        ``time_to_target``, ``objective`` and ``direction``; sorted by target, then as in ``tables.compare``.
    """
    objective, direction = runs.objective(ours)
    quoted = published.time_to_target(task).assign(source=PUBLISHED)
    sources = [quoted[quoted["target"].isin(targets)]] if runs.as_published(ours) else []
    for target in targets:
        for sampler, records in ours.items():
            times = time_to_target(records, target, n).reset_index()
            sources.append(times.assign(source=sampler, target=target))
    table = pd.concat([source for source in sources if not source.empty], ignore_index=True)
    number = table["target"].map({target: number for number, target in enumerate(targets)})
    table = style.in_order(table.assign(_number=number)).sort_values("_number", kind="stable")
    table = table[["optimizer", "source", "target", "finished", "reached", *TIMES]]
    # Nullable: the paper does not say how many of its trials reached the target.
    table = table.astype({"finished": "Int64", "reached": "Int64"})
    return table.assign(objective=objective, direction=direction).reset_index(drop=True)


def time_to_target_table(
    task: str,
    ours: Mapping[str, Records],
    *,
    n: int,
    targets: Sequence[float] | None = None,
) -> Table:
    """The time to target of a task, ready to be shown or written.

    Args:
        task: name of the task.
        ours: our records, by sampler.
        n: how many of the best trials the medians are over.
        targets: values of the objective; by default those of ``targets.csv``, else ``typical_best``.
    """
    notes = []
    if not targets:
        named = published.targets(task)
        notes = [f"Target {target:g}: {origin}." for target, origin in named.items()]
        targets = named.index.tolist()
    if not targets:
        targets = [typical_best(ours, n)]
        notes = [
            f"Target {targets[0]:g}: the median over the optimisers of the median of their {n} best runs, "
            "rounded."
        ]
    table = compare(task, ours, targets, n=n)
    reached = table["reached"].astype(str) + "/" + table["finished"].astype(str)
    cells = {
        "Optimiser": table["optimizer"].map(style.label),
        "Source": table["source"],
        "Target": table["target"].map("{:g}".format),
        "Reached": reached.mask(table["reached"].isna(), MISSING),
    }
    times = {
        "Fewest epochs": fixed(table["fewest_epochs"], 0),
        "Fewest s": seconds(table["fewest_seconds"]),
        "Best run epochs": fixed(table["best_epochs"], 0),
        "Best run s": seconds(table["best_seconds"]),
        "Median epochs": fixed(table["median_epochs"], 1),
        "Median s": seconds(table["median_seconds"]),
    }
    source = table["source"] + table["target"].astype(str)
    bold = {
        header: leads(table[name], source)
        for header, name in zip(times, TIMES, strict=True)
        if name.endswith("_epochs")
    }
    metric = style.words(table["objective"].iloc[0])
    side = "at most" if table["direction"].iloc[0] == "minimize" else "at least"
    title = (
        f"Time to a {metric} of {side} the target on the {task} task: how many of all finished trials "
        "reached the target, including pruned and diverged ones; the fewest epochs and seconds that any of "
        f"them needed; those of the run with the best {metric}; and the median of the {n} best runs, where a "
        f"run that never reached the target counts as slower than all that did. {MISSING}: not reached. "
        "Bold: the fewest epochs of each source."
    )
    if (table["source"] == PUBLISHED).any():
        notes.append("The paper does not say which run its seconds belong to; probably the best.")
    notes += [*draws.warnings(ours), SECONDS]
    return Table(table, pd.DataFrame(cells | times), pd.DataFrame(bold), title, notes)
