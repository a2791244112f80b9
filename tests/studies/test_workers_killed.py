"""Workers that are killed where it hurts: whoever goes on, the study is the undisturbed one."""

import signal
import time

import pytest
from toy_study import assert_same, files, plan, run, serving
from toy_workers import workers

pytestmark = [pytest.mark.postgres, pytest.mark.slow]


BOUNDARIES = [
    ("create", "after", 1),
    ("create", "after", 7),
    ("sign", "after", 3),  # between the two attributes of a second claim
    ("beat", "after", 2),
    ("claim", "after", 1),
    ("claim", "after", 5),
    ("checkpoint", "after", 2),
    ("write", "before", 1),
    ("link", "before", 2),
    ("link", "after", 2),
    ("tell", "before", 3),
    ("tell", "after", 3),
    ("forget", "before", 4),
    ("fold", "before", 1),
    ("fold curves", "after", 1),
    ("fold trials", "after", 1),
    ("sweep", "after", 14),
]


def aged(postgres, url, seconds=3600):
    """Moves all heartbeats into the past of the database's clock."""
    postgres.execute(
        "UPDATE trial_heartbeats SET heartbeat = heartbeat - %s * interval '1 second'",
        seconds, database=url.rpartition("/")[2],
    )  # fmt: skip


@pytest.mark.parametrize("boundary", BOUNDARIES, ids=lambda boundary: " ".join(map(str, boundary)))
def test_a_worker_killed_at_any_boundary_leaves_what_an_heir_completes(
    postgres, database, tmp_path, lanes, undisturbed, boundary
):
    t=time.time()
    with workers(tmp_path, database, search="halving") as start:
        killed = start(server={"worker": "w0"}, faults=[(*boundary, signal.SIGKILL)])
        assert killed.ended() == -signal.SIGKILL, killed.log()
        print(time.time()-t)
    aged(postgres, database)
    with serving(database, worker="heir") as server:
        found = run(plan("halving"), files(tmp_path, server, every=15), lanes)
    print(time.time()-t)
    assert_same(found, undisturbed("halving"))
