"""What the PostgreSQL storage takes for granted of Optuna's ``RDBStorage``, against a real server.

Each test is one fact; where Optuna changes it, the protocol of claims has to change too.
"""

import os
import subprocess
import sys
import threading

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import TrialState, create_trial
from rdb import enqueued, numbers, opened

pytestmark = [pytest.mark.postgres, pytest.mark.slow]

DISTRIBUTION = FloatDistribution(0.0, 1.0)


# Numbers


CREATORS = """
import os, sys, threading
from optuna.storages import RDBStorage
storage = RDBStorage(os.environ["URL"], {"pool_size": 8}, skip_table_creation=True)
def create():
    for _ in range(5):
        storage.create_new_trial(int(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
threads = [threading.Thread(target=create) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""


def test_numbers_are_unique_and_without_gaps_under_8_threads_of_2_processes(url, storage, study):
    command = [sys.executable, "-c", CREATORS, str(study)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(command, env={**os.environ, "URL": url}, **pipes) for _ in range(2)]
    assert [process.stdout.readline() for process in processes] == ["ready\n"] * 2
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        process.communicate(timeout=60)
    assert [process.returncode for process in processes] == [0, 0]
    assert numbers(storage, study) == list(range(80))


def test_a_number_has_an_id_and_a_missing_number_raises_key_error(storage, study):
    first, second = storage.create_new_trial(study), storage.create_new_trial(study)
    assert storage.get_trial_id_from_study_id_trial_number(study, 0) == first
    assert storage.get_trial_id_from_study_id_trial_number(study, 1) == second
    with pytest.raises(KeyError, match="No trial with trial number 2"):
        storage.get_trial_id_from_study_id_trial_number(study, 2)


def test_a_trial_created_running_from_a_template_has_its_parameters_and_attributes_in_one_step(
    storage, study
):
    template = create_trial(
        state=TrialState.RUNNING,
        params={"xi": 0.25},
        distributions={"xi": DISTRIBUTION},
        user_attrs={"claim": "a"},
    )
    trial = storage.get_trial(storage.create_new_trial(study, template))
    assert (trial.number, trial.state) == (0, TrialState.RUNNING)
    assert (trial.params, trial.distributions) == ({"xi": 0.25}, {"xi": DISTRIBUTION})
    assert trial.user_attrs == {"claim": "a"}


# States


def test_of_all_who_claim_a_waiting_trial_one_gets_true_and_the_others_false(url, storage, study):
    claimed, start = [], threading.Barrier(8)
    trials = [enqueued(storage, study) for _ in range(5)]

    def claim(own):
        start.wait()
        claimed.extend(
            trial for trial in trials if own.set_trial_state_values(trial, state=TrialState.RUNNING)
        )
        own.remove_session()

    storages = [opened(url) for _ in range(8)]
    threads = [threading.Thread(target=claim, args=(own,)) for own in storages]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for own in storages:
        own.engine.dispose()
    assert sorted(claimed) == trials
    assert not storage.set_trial_state_values(trials[0], state=TrialState.RUNNING)


def test_a_requeued_trial_keeps_number_parameters_intermediate_values_and_attributes(url, storage, study):
    storage.create_new_trial(study)
    trial = enqueued(storage, study)
    assert storage.set_trial_state_values(trial, state=TrialState.RUNNING)
    storage.set_trial_param(trial, "xi", 0.25, DISTRIBUTION)
    storage.set_trial_intermediate_value(trial, 3, 0.5)
    storage.set_trial_user_attr(trial, "claim", "a")
    before = storage.get_trial(trial)

    assert storage.set_trial_state_values(trial, state=TrialState.WAITING)
    assert storage.get_trial(trial).state == TrialState.WAITING
    heir = opened(url)
    assert heir.set_trial_state_values(trial, state=TrialState.RUNNING)
    after = heir.get_trial(trial)
    heir.engine.dispose()
    assert (after.number, after.state) == (1, TrialState.RUNNING)
    assert after.params == before.params == {"xi": 0.25}
    assert after.intermediate_values == before.intermediate_values == {3: 0.5}
    assert after.user_attrs == before.user_attrs == {"claim": "a"}
    assert numbers(storage, study) == [0, 1]


def test_study_tell_of_a_finished_trial_raises_whoever_told_it_and_the_first_value_stays(url, storage):
    study = optuna.create_study(storage=storage, study_name="told twice")
    trial = study.ask()
    late = opened(url)
    optuna.load_study(study_name="told twice", storage=late).tell(trial.number, 1.0)
    late.engine.dispose()
    with pytest.raises(ValueError, match="Cannot tell a COMPLETE trial"):
        study.tell(trial.number, 2.0)
    assert study.trials[0].value == 1.0


@pytest.mark.parametrize("state", [TrialState.COMPLETE, TrialState.RUNNING, TrialState.WAITING])
def test_the_storage_lets_no_finished_trial_be_changed(storage, study, state):
    trial = storage.create_new_trial(study)
    storage.set_trial_state_values(trial, state=TrialState.COMPLETE, values=[1.0])
    with pytest.raises(UpdateFinishedTrialError):
        storage.set_trial_state_values(trial, state=state, values=[2.0])
    with pytest.raises(UpdateFinishedTrialError):
        storage.set_trial_user_attr(trial, "claim", "b")
    finished = storage.get_trial(trial)
    assert (finished.state, finished.value, finished.user_attrs) == (TrialState.COMPLETE, 1.0, {})


def test_a_stranger_may_tell_a_running_trial(url, storage, study):
    """Ownership is ours to check: Optuna has none."""
    trial = storage.create_new_trial(study)
    stranger = opened(url)
    assert stranger.set_trial_state_values(trial, state=TrialState.COMPLETE, values=[3.0])
    stranger.engine.dispose()
    assert storage.get_trial(trial).value == 3.0


def test_tpe_counts_running_trials_by_default(monkeypatch):
    """``constant_liar``: a running trial is among those from which the next proposal keeps away."""
    assert optuna.samplers.TPESampler()._constant_liar
    seen = []
    split = optuna.samplers._tpe.sampler._split_trials
    monkeypatch.setattr(
        optuna.samplers._tpe.sampler,
        "_split_trials",
        lambda study, trials, *rest: seen.append([t.number for t in trials]) or split(study, trials, *rest),
    )
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(n_startup_trials=2, seed=0))
    for _ in range(3):
        study.tell(study.ask({"xi": DISTRIBUTION}), 1.0)
    running = study.ask({"xi": DISTRIBUTION})
    study.ask({"xi": DISTRIBUTION})
    assert running.number in seen[-1]


# Heartbeats


def age(postgres, trial, seconds):
    """Moves a trial's heartbeat into the past of the database's clock."""
    postgres.execute(
        "UPDATE trial_heartbeats SET heartbeat = heartbeat - %s * interval '1 second' WHERE trial_id = %s",
        seconds, trial, database="contract",
    )  # fmt: skip


def test_a_running_trial_is_stale_once_its_beat_is_older_than_the_grace(postgres, beating, study):
    trial = beating.create_new_trial(study)
    beating.record_heartbeat(trial)
    assert beating._get_stale_trial_ids(study) == []
    age(postgres, trial, 100)
    assert beating._get_stale_trial_ids(study) == []
    age(postgres, trial, 100)
    assert beating._get_stale_trial_ids(study) == [trial]
    beating.record_heartbeat(trial)
    assert beating._get_stale_trial_ids(study) == []


def test_a_trial_without_a_beat_is_never_stale_nor_one_that_does_not_run(postgres, beating, study):
    beating.create_new_trial(study)
    waiting = enqueued(beating, study)
    beating.record_heartbeat(waiting)
    age(postgres, waiting, 1000)
    assert beating._get_stale_trial_ids(study) == []


def test_an_old_beat_makes_a_reclaimed_trial_stale_at_once_so_one_beats_before_claiming(
    postgres, beating, study
):
    trial = enqueued(beating, study)
    beating.record_heartbeat(trial)
    age(postgres, trial, 1000)
    beating.set_trial_state_values(trial, state=TrialState.RUNNING)
    assert beating._get_stale_trial_ids(study) == [trial]
    beating.set_trial_state_values(trial, state=TrialState.WAITING)
    beating.record_heartbeat(trial)
    beating.set_trial_state_values(trial, state=TrialState.RUNNING)
    assert beating._get_stale_trial_ids(study) == []


def test_beats_are_in_the_time_zone_of_the_connection_which_all_workers_therefore_fix(url, beating, study):
    """A reader nine hours east, or past a change to summer time, takes a live trial for stale."""
    trial = beating.create_new_trial(study)
    beating.record_heartbeat(trial)
    stale = {}
    for zone in ("UTC", "Asia/Tokyo"):
        reader = opened(url, connect_args={"options": f"-c timezone={zone}"})
        reader.heartbeat_interval, reader.grace_period = 60, 120
        stale[zone] = reader._get_stale_trial_ids(study)
        reader.engine.dispose()
    assert stale == {"UTC": [], "Asia/Tokyo": [trial]}
