"""Where studies stand, by their records."""

from dataclasses import dataclass

import pandas as pd

from induced_metric.analysis.progress.occupancy import occupancy, pause, timed

_RECENT = 50  # finished trials, whose speed is that of a study


@dataclass(frozen=True, kw_only=True)
class WorkerStatus:
    """What the records of a study say of one worker.

    Attributes:
        worker: its name; empty where a study has but one.
        finished: trials that it recorded.
        reclaimed: those of them that it took over when another worker was lost.
        failed: those of them that nobody could train.
        last_finished: when it recorded the last, in seconds since 1970.
    """

    worker: str
    finished: int
    reclaimed: int
    failed: int
    last_finished: float


@dataclass(frozen=True, kw_only=True)
class RecordedStatus:
    """What the records of a study say of it.

    Attributes:
        finished: trials that are recorded.
        complete: those of them that ran all their epochs; those that diverged are among them.
        pruned: those that a pruner ended.
        failed: those that nobody could train.
        diverged: those with a metric that was not finite.
        reclaimed: those that were taken over when a worker was lost.
        objective: what is optimised; None where nothing is recorded.
        direction: ``minimize`` or ``maximize``; None likewise.
        best: value; None before the first trial that has one.
        occupancy: of its lanes; as of ``occupancy.occupancy``.
        trials_per_second: by the last trials; None where none has finished for longer than any took.
        last_finished: when, in seconds since 1970; None where nothing is recorded.
        workers: by name.
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
    """Where a study stands.

    Args:
        trials: its records.
        now: seconds since 1970.
        beside: the records of all studies that share its lanes, its own among them; only its own by default.
    """
    if trials.empty:
        return RecordedStatus()
    known = timed(trials)
    states = known["state"].value_counts()
    first = known.iloc[0]
    valued = known.loc[~known["diverged"] & (known["state"] != "failed"), "value"]
    best = None if valued.empty else float(valued.min() if first["direction"] == "minimize" else valued.max())
    return RecordedStatus(
        finished=len(known),
        complete=int(states.get("complete", 0)),
        pruned=int(states.get("pruned", 0)),
        failed=int(states.get("failed", 0)),
        diverged=int(known["diverged"].sum()),
        reclaimed=int((known["lost"] > 0).sum()),
        objective=first["objective"],
        direction=first["direction"],
        best=best,
        occupancy=occupancy(known if beside is None else timed(beside)),
        trials_per_second=speed(known, now=now),
        last_finished=float(known["ended"].max()),
        workers=tuple(
            WorkerStatus(
                worker=str(name),
                finished=len(its),
                reclaimed=int((its["lost"] > 0).sum()),
                failed=int((its["state"] == "failed").sum()),
                last_finished=float(its["ended"].max()),
            )
            for name, its in known.groupby("worker")
        ),
    )


def speed(trials: pd.DataFrame, *, now: float) -> float | None:
    """Trials that finish in a second, by the last ones and the time that has passed since.

    Args:
        trials: as ``timed`` returns them.
        now: seconds since 1970.
    """
    longest = pause(trials)
    times = trials.sort_values("ended")
    stays = (times["ended"].diff() > longest).cumsum()  # a pause is not how long a trial takes
    stay = times[stays == stays.iloc[-1]]
    if now - stay["ended"].iloc[-1] > longest:
        return None
    # Lanes begin together and so end together: counted from the first end on, a few would seem fast.
    since = stay["begun"].min() if len(stay) <= _RECENT else stay["ended"].iloc[-_RECENT - 1]
    return float(min(len(stay), _RECENT) / max(now - since, 1e-9))
