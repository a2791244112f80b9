"""Lane occupancy and speed, against lanes that are simulated."""

import heapq
import json
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from induced_metric.analysis.progress.occupancy import occupancy, timed
from induced_metric.analysis.progress.status import recorded_status, speed

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC).timestamp()
LANES = 4  # of a place


def place(works, *, share=1.0, start=NOON):
    """The seconds and ends of trials that a place trains, all its lanes at once, for a share of the time."""
    waiting, lanes, ended, now, served = list(works), [], [], start, 0.0
    while waiting or lanes:
        while waiting and len(lanes) < LANES:
            work = waiting.pop(0)
            heapq.heappush(lanes, (served + work, work))  # a lane is served as much as every other
        until, work = heapq.heappop(lanes)
        now += (until - served) * (len(lanes) + 1) / share
        served = until
        ended.append((work, now))
    return ended


def records(*places, worker=None, **facts):
    """Records of the trials of a worker's places."""
    known = {"lanes": {"layout": "map", "width": 2, "queue": 2, "places": len(places)}, "devices": 2, **facts}
    rows = [
        {
            "seconds": work,
            "finished": datetime.fromtimestamp(end, UTC).isoformat(timespec="milliseconds"),
            "provenance": json.dumps(known | ({"worker": worker} if worker else {})),
        }
        for ended in places
        for work, end in ended
    ]
    return pd.DataFrame(rows)


def share_of(*frames):
    return occupancy(timed(pd.concat(frames, ignore_index=True)))


@pytest.fixture
def works():
    """The seconds of trials, very different ones."""
    rng = np.random.default_rng(0)
    return lambda number=150: rng.uniform(0.5, 3.0, number).tolist()


@pytest.mark.parametrize("share", [1.0, 0.8, 0.5])
def test_occupancy_is_the_share_of_the_time_in_which_places_train(works, share):
    assert share_of(records(place(works(), share=share), place(works(), share=share))) == pytest.approx(
        share, abs=0.01
    )


def test_an_idle_place_counts(works):
    busy = place(works(300))
    assert share_of(records(busy, busy[:1])) == pytest.approx(0.5, abs=0.02)


def test_the_last_trials_do_not_count(works):
    """One that begins last and takes long leaves the other lanes empty."""
    assert share_of(records(place([*works(), 100.0]), place(works()))) > 0.98


def test_a_pause_does_not_count(works):
    evening, morning = place(works()), place(works(), start=NOON + 40_000)
    assert share_of(records(evening + morning)) == pytest.approx(1, abs=0.02)


def test_workers_count_by_their_places_and_times(works):
    late = records(place(works(), share=0.4, start=NOON + 5000), worker="b")
    assert share_of(records(place(works()), worker="a"), late) == pytest.approx(2 / (1 + 1 / 0.4), abs=0.02)


def test_a_study_that_runs_is_judged_by_what_is_recorded(works):
    """What lanes have under way has no record, and must not seem to be missing."""
    ended = sorted(place(works(60)), key=lambda trial: trial[1])
    assert share_of(records(ended[:40])) == pytest.approx(1, abs=0.02)


def test_places_of_records_that_do_not_name_them_follow_from_the_devices(works):
    old = {"lanes": {"layout": "map", "width": 2, "queue": 2}, "devices": 4}
    busy = [place(works()) for _ in range(2)]
    assert share_of(records(*busy, **old, data_parallel=2)) == pytest.approx(1, abs=0.01)
    assert share_of(records(*busy, **old)) == pytest.approx(0.5, abs=0.01)


def test_what_cannot_be_known_is_not_guessed(works):
    assert share_of(records(place(works(2 * LANES)))) is None
    unknown = records(place(works()))
    unknown["provenance"] = json.dumps({"devices": 2})
    assert share_of(unknown) is None


def steady(number, *, since=NOON, every=2.0):
    """A trial every so many seconds."""
    return records([(every / LANES, since + every * (k + 1)) for k in range(number)])


def test_speed_is_that_of_the_last_trials():
    slow, fast = steady(100, every=10.0), steady(100, since=NOON + 1000, every=0.5)
    trials = timed(pd.concat([slow, fast], ignore_index=True))
    assert speed(trials, now=NOON + 1050) == pytest.approx(2)


def test_speed_falls_while_nothing_ends_and_is_unknown_once_nobody_seems_to_train():
    trials = timed(steady(10))
    assert speed(trials, now=NOON + 20) == pytest.approx(0.5)
    assert speed(trials, now=NOON + 40) == pytest.approx(0.25)
    assert speed(trials, now=NOON + 81) is None


def test_speed_takes_no_pause_for_a_slow_trial():
    trials = timed(pd.concat([steady(10), steady(10, since=NOON + 10_000)], ignore_index=True))
    assert speed(trials, now=NOON + 10_020) == pytest.approx(0.5)


def test_of_nothing_nothing_is_known():
    status = recorded_status(pd.DataFrame(), now=NOON)
    assert (status.finished, status.best, status.workers) == (0, None, ())
