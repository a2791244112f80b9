"""Workers that are killed, where it hurts most and anywhere: their heirs complete the undisturbed study."""

import json
import random
import signal
import time

import pytest
from toy_study import assert_same, files, plan, run, serving, stopping_after
from toy_workers import age, holders, lost, recorded, states, until, workers

pytestmark = [pytest.mark.postgres, pytest.mark.faults]

exhaustive = pytest.mark.exhaustive
BOUNDARIES = [
    pytest.param("create", "after", 1, marks=exhaustive),
    pytest.param("create", "after", 7),
    pytest.param("sign", "after", 1),  # of a trial that another worker gave back
    pytest.param("beat", "after", 2, marks=exhaustive),
    pytest.param("claim", "after", 1),
    pytest.param("claim", "after", 5, marks=exhaustive),
    pytest.param("report", "after", 3, marks=exhaustive),
    pytest.param("checkpoint", "after", 3, marks=exhaustive),
    pytest.param("write", "before", 1, marks=exhaustive),
    pytest.param("link", "before", 2),
    pytest.param("link", "after", 2),
    pytest.param("tell", "before", 3, marks=exhaustive),
    pytest.param("tell", "after", 3),
    pytest.param("forget", "before", 4, marks=exhaustive),
    pytest.param("fold", "before", 1, marks=exhaustive),
    pytest.param("fold curves", "after", 1),
    pytest.param("fold trials", "after", 1, marks=exhaustive),
    pytest.param("sweep", "after", 12, marks=exhaustive),
]


@pytest.mark.parametrize(("doing", "moment", "number"), BOUNDARIES)
def test_a_worker_killed_at_any_boundary_leaves_what_an_heir_completes(
    postgres, database, tmp_path, lanes, undisturbed, doing, moment, number
):
    with serving(database, worker="w0") as server:
        run(plan("halving"), files(tmp_path, server), lanes, stop=stopping_after(5))
    with workers(tmp_path, database, search="halving", server={"worker": "w1"}) as start:
        killed = start(faults=[(doing, moment, number, signal.SIGKILL)])
        assert killed.ended() == -signal.SIGKILL, killed.log()
    age(postgres, database)
    with serving(database, worker="heir") as server:
        found = run(plan("halving"), files(tmp_path, server, every=15), lanes)
    assert_same(found, undisturbed("halving"))
    assert set(lost(found).values()) <= {1}
    with serving(database, worker="late") as server:
        run(plan("halving"), files(tmp_path, server), lanes)
    assert set(states(postgres, database)) <= {"COMPLETE", "PRUNED"}
    assert sorted(path.name for path in (tmp_path / "records").iterdir()) == [
        ".identity", "curves.parquet", "trials.parquet"
    ]  # fmt: skip


def test_a_worker_killed_while_it_tells_a_new_database_leaves_what_an_heir_completes(
    postgres, database, tmp_path, lanes, undisturbed
):
    run(plan("halving", trials=6), files(tmp_path), lanes)
    with workers(tmp_path, database, search="halving") as start:
        killed = start(faults=[("create", "after", 4, signal.SIGKILL)])
        assert killed.ended() == -signal.SIGKILL, killed.log()
    assert sum(states(postgres, database).values()) == 4
    with serving(database) as server:
        assert_same(run(plan("halving"), files(tmp_path, server), lanes), undisturbed("halving"))
    assert sum(states(postgres, database).values()) == 12


def test_a_worker_of_the_same_name_goes_on_at_once_and_from_the_checkpoint(
    postgres, database, tmp_path, lanes, undisturbed
):
    with workers(tmp_path, database, search="tpe", server={"worker": "w0"}) as start:
        killed = start(faults=[("checkpoint", "after", 5, signal.SIGKILL)])
        assert killed.ended() == -signal.SIGKILL, killed.log()
    running = states(postgres, database)["RUNNING"]
    events = []
    with serving(database, worker="w0", grace=3600) as server:
        found = run(plan("tpe"), files(tmp_path, server), lanes, on_progress=events.append)
    assert_same(found, undisturbed("tpe"))
    assert len(lost(found)) == running
    assert events[-1].trained < 12 - 15 * 2 / 45


@pytest.mark.parametrize(
    ("search", "kills"),
    [
        ("halving", 5),
        pytest.param("random", 30, marks=exhaustive),
        pytest.param("tpe", 30, marks=exhaustive),
        pytest.param("halving", 30, marks=exhaustive),
    ],
)
def test_workers_killed_at_random_moments_record_the_undisturbed_study(
    postgres, database, tmp_path, lanes, undisturbed, search, kills
):
    trials = 20 + 2 * kills
    chance = random.Random(f"{search} {kills}")
    settings = {"search": search, "trials": trials, "pause": 0.02}
    killed = 0
    with workers(tmp_path, database, **settings) as start:

        def another(number):
            # Half of them begin with what their predecessor left, the others leave that to the reaper.
            name = f"w{number}" if number % 2 else f"w{number}-{killed}"
            return start(server={"worker": name, "grace": 3})

        running = [another(number) for number in range(4)]
        for killed in range(1, kills + 1):
            number = chance.randrange(4)
            if killed % 4:  # the others die while they start, or wait
                until(lambda: holders(postgres, database))
                number = int(chance.choice(sorted(holders(postgres, database) or {f"w{number}"}))[1])
            time.sleep(chance.uniform(0, 0.3))
            assert recorded(tmp_path) < trials, f"all is done after {killed - 1} kills"
            running[number].kill()
            running[number] = another(number)
        for worker in running:
            assert worker.ended(300) == 0, worker.log()
    found = files(tmp_path).records.read()
    assert_same(found, undisturbed(search, trials))
    assert lost(found)


def test_a_trial_that_kills_its_workers_is_recorded_as_failed_with_the_reason_and_the_study_completes(
    postgres, database, tmp_path, lanes, undisturbed
):
    with workers(tmp_path, database, storage={"claims": 3}, server={"worker": "w0"}) as start:
        for _ in range(3):
            killed = start(prepare=_deadly_third_trial)
            assert killed.ended() == -signal.SIGKILL, killed.log()
        assert start(prepare=_deadly_third_trial).ended() == 0
    found = files(tmp_path).records.read()
    assert list(found.trials["trial"]) == list(range(12))
    assert list(found.trials["state"]) == ["complete"] * 3 + ["failed"] + ["complete"] * 8
    failed = found.trials.loc[3]
    assert json.loads(failed["provenance"])["failed"] == "3 workers were lost while they trained it"
    assert (failed["value"], failed["epochs"], failed["best_epoch"]) == (1e30, 0, -1)
    assert not len(found.curves[found.curves["trial"] == 3])
    others, expected = (r.trials[r.trials["trial"] != 3] for r in (found, undisturbed("random")))
    assert list(others["value"]) == list(expected["value"])
    assert states(postgres, database) == {"COMPLETE": 11, "FAIL": 1}
    with serving(database) as server:  # and is not tried again
        assert run(plan(), files(tmp_path, server), lanes).trials.equals(found.trials)


def _deadly_third_trial():
    """Trial 3 kills the process that trains it, as one does that takes all of the memory."""
    from toy_workers import send_oneself

    from induced_metric.training.trial import Trial

    hear = Trial.hear

    def heard(trial, report):
        if trial.number == 3:
            send_oneself(signal.SIGKILL)
        return hear(trial, report)

    Trial.hear = heard
