"""How far studies have come, according to their records."""

from dataclasses import dataclass

import pandas as pd

from induced_metric.analysis.progress.occupancy import occupancy, pause, timed

_RECENT = 50  # the number of last finished trials that the speed of a study is computed from


@dataclass(frozen=True, kw_only=True)
class WorkerStatus:
    """What the records of a study say about one worker.

    Attributes:
        worker: its name; empty where a study has only one.
        finished: the number of trials that it recorded.
        reclaimed: how many of them it took over when another worker was lost.
        failed: how many of them no worker could train.
        last_finished: when it recorded the last one, in seconds since 1970.
    """

    worker: str
    finished: int
    reclaimed: int
    failed: int
    last_finished: float


@dataclass(frozen=True, kw_only=True)
class RecordedStatus:
    """What the records of a study say about it.

    Attributes:
        finished: the number of recorded trials.
        complete: how many of them ended by themselves, including those that diverged.
        pruned: how many a pruner ended.
        failed: how many no worker could train.
        diverged: how many had a metric that was not finite.
        reclaimed: how many were taken over when a worker was lost.
        objective: the metric that is optimised; None where nothing is recorded.
        direction: ``minimize`` or ``maximize``; None where nothing is recorded.
        best: the best value; None before the first trial that has one.
        occupancy: the occupancy of its lanes (``occupancy.occupancy``).
        trials_per_second: the speed of the last trials (``speed``); None where nothing is recorded, or none
            has finished for longer than a trial takes.
        last_finished: when the last trial finished, in seconds since 1970; None where nothing is recorded.
        workers: the workers, by name.
    """

    finished: int = 0
    complete: int = 0
    pruned: int = 0
    failed: int = 0
    diverged: int = 0
    reclaimed: int = 0
    objective: str | None = None
    direction: str | None = None
    best: float | None = None
    occupancy: float | None = None
    trials_per_second: float | None = None
    last_finished: float | None = None
    workers: tuple[WorkerStatus, ...] = ()


def recorded_status(
    trials: pd.DataFrame, *, now: float, beside: pd.DataFrame | None = None
) -> RecordedStatus:
    """How far a study has come.

    Args:
        trials: its records.
        now: the present time, in seconds since 1970.
        beside: the records of all studies that share its lanes, including its own; only its own by default.
    """
    if trials.empty:
        return RecordedStatus()
    rows = timed(trials)
    states = rows["state"].value_counts()
    example = rows.iloc[0]
    valued = rows.loc[~rows["diverged"] & (rows["state"] != "failed"), "value"]
    best = (
        None if valued.empty else float(valued.min() if example["direction"] == "minimize" else valued.max())
    )
    return RecordedStatus(
        finished=len(rows),
        complete=int(states.get("complete", 0)),
        pruned=int(states.get("pruned", 0)),
        failed=int(states.get("failed", 0)),
        diverged=int(rows["diverged"].sum()),
        reclaimed=int((rows["lost"] > 0).sum()),
        objective=example["objective"],
        direction=example["direction"],
        best=best,
        occupancy=occupancy(rows if beside is None else timed(beside)),
        trials_per_second=speed(rows, now=now),
        last_finished=float(rows["ended"].max()),
        workers=tuple(
            WorkerStatus(
                worker=str(name),
                finished=len(of_worker),
                reclaimed=int((of_worker["lost"] > 0).sum()),
                failed=int((of_worker["state"] == "failed").sum()),
                last_finished=float(of_worker["ended"].max()),
            )
            for name, of_worker in rows.groupby("worker")
        ),
    )


def speed(trials: pd.DataFrame, *, now: float) -> float | None:
    """Trials finished per second, from the last ones and the time that has passed since then.

    Args:
        trials: the trials, as returned by ``timed``.
        now: the present time, in seconds since 1970.

    Returns:
        None where no trial has finished for longer than ``pause``.
    """
    longest = pause(trials)
    ordered = trials.sort_values("ended")
    stretches = (ordered["ended"].diff() > longest).cumsum()  # a pause says nothing about speed
    stretch = ordered[stretches == stretches.iloc[-1]]
    if now - stretch["ended"].iloc[-1] > longest:
        return None
    # Lanes begin together and so end together: a few trials, counted from the first end, would seem too fast.
    since = stretch["begun"].min() if len(stretch) <= _RECENT else stretch["ended"].iloc[-_RECENT - 1]
    return float(min(len(stretch), _RECENT) / max(now - since, 1e-9))
