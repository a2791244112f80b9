"""A database that fails a study's workers in the middle: sessions that end, a server that starts anew."""

import pytest
from toy_study import assert_same, files, plan, run, serving
from toy_workers import interrupt

pytestmark = [pytest.mark.postgres, pytest.mark.slow]

MOMENTS = [
    ("create", "before"),
    ("create", "after"),
    ("sign", "after"),
    ("beat", "after"),
    ("claim", "before"),
    ("claim", "after"),
    ("report", "before"),
    ("report", "after"),
    ("link", "after"),
    ("tell", "before"),
    ("tell", "after"),
    ("fold", "before"),
    ("fold", "after"),
]


@pytest.mark.parametrize("moment", MOMENTS, ids=" ".join)
def test_a_session_that_ends_at_any_moment_costs_nothing(
    postgres, database, tmp_path, lanes, undisturbed, monkeypatch, moment
):
    doing, when = moment
    ended = []

    def end():
        ended.append(postgres.terminate_connections(database.rpartition("/")[2]))

    number = 1 if doing == "fold" else 4
    interrupt(doing, when, number, end, monkeypatch.setattr)
    with serving(database, worker="w0") as server:
        found = run(plan("halving"), files(tmp_path, server), lanes)
    assert ended == [1]
    assert_same(found, undisturbed("halving"))
    assert not any("lost" in text for text in found.trials["provenance"])
