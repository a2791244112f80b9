"""A study: what is told, recorded, pruned, refused, and how it goes on after a kill."""

import functools
import itertools
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optuna
import pytest

from induced_metric.errors import PassingError, UserError
from induced_metric.lanes import Lanes
from induced_metric.records import RecordStore, StudyKey
from induced_metric.space import Float
from induced_metric.studies import journal
from induced_metric.studies.journal import Journal, JournalStorage
from induced_metric.studies.plan import StudyPlan, trial_seed
from induced_metric.studies.running import run_studies
from induced_metric.studies.storage import StudyFiles
from induced_metric.studies.wandb_hyperband import WandbHyperbandPruner
from induced_metric.studies.wandb_search import WandbBayesSampler
from induced_metric.training.checkpoints import Checkpoints
from induced_metric.training.trial import Goal

pytestmark = pytest.mark.slow

EPOCHS = 45  # three looks at a trial that no pruner judges


def toy_lanes(engine=Lanes, **options):
    """A 'training' whose loss falls towards (x - 2)^2 and blows up for x > 9."""

    def advance(state, h):
        loss = (h["x"] - 2) ** 2 + h["offset"] + 1 / (1 + state)
        return state + 1, {"test/loss": jnp.where((h["x"] > 9) & (state > 1), jnp.nan, loss)}

    return engine(lambda h, seed: jnp.float32(0.0), advance, hyperparameters=["x", "offset"], **options)


@pytest.fixture(scope="module")
def lanes():
    with toy_lanes(steps_per_dispatch=3) as lanes:
        yield lanes


def plan(**changes):
    settings = {
        "key": StudyKey("paper", "toy", "random", "sgd"),
        "search_space": {"x": Float(0.0, 10.0)},
        "fixed": {"offset": 0.5},
        "goal": Goal("test/loss", "minimize", 1e30, EPOCHS),
        "trials": 20,
        "seed": 3,
        "create_sampler": optuna.samplers.RandomSampler,
        "config": {"task": {"epochs": EPOCHS}, "seed": 3},
    }
    return StudyPlan(**{**settings, **changes})


def where(directory, every=0):
    return StudyFiles(
        storage=JournalStorage(directory / "toy.journal"),
        records=RecordStore(directory / "records"),
        checkpoints=Checkpoints(directory / "checkpoints", every=every),
    )


def run(directory, lanes, *, every=0, on_progress=lambda _: None, stop=lambda: False, **changes):
    events = []
    study = (
        plan(**changes),
        where(directory, every),
        lambda event: events.append(event) or on_progress(event),
    )
    run_studies([study], lanes, stop=stop)
    return RecordStore(directory / "records"), events


def told(directory):
    storage = optuna.storages.JournalStorage(
        optuna.storages.journal.JournalFileBackend(str(directory / "toy.journal"))
    )
    return optuna.load_study(study_name="paper-toy-random-sgd", storage=storage).trials


def test_every_trial_is_recorded_and_told_alike(tmp_path, lanes):
    store, events = run(tmp_path, lanes)
    trials, curves = store.trials(), store.curves()
    assert list(trials["trial"]) == list(range(20))
    assert (trials["state"] == "complete").all()
    for trial, row in zip(told(tmp_path), trials.to_dict("records"), strict=True):
        assert trial.state is optuna.trial.TrialState.COMPLETE
        assert trial.value == row["value"]
        assert trial.params["x"] == row["x"]
        assert row["offset"] == 0.5
        assert row["seed"] == trial_seed(3, trial.number)
        curve = curves[curves["trial"] == trial.number]
        assert list(curve["epoch"]) == list(range(row["epochs"]))
        assert curve["seconds"].sum() == pytest.approx(row["seconds"])
        if not row["diverged"]:
            assert row["value"] == curve["test/loss"].min()
            assert row["best_epoch"] == np.argmin(curve["test/loss"])
    assert events[0].finished == 0
    assert events[-1].finished == events[-1].total == 20
    assert events[-1].best == trials.loc[~trials["diverged"], "value"].min()


def test_a_diverged_trial_is_finished_with_the_worst_value(tmp_path, lanes):
    space = {"x": Float(9.1, 10.0)}
    store, events = run(tmp_path, lanes, search_space=space, trials=4)
    trials = store.trials()
    assert trials["diverged"].all()
    assert (trials["state"] == "complete").all()
    assert (trials["value"] == 1e30).all()
    assert (trials["best_epoch"] == -1).all()
    assert (trials["epochs"] == 3).all()
    assert events[-1].diverged == 4
    assert events[-1].best is None


def test_trials_counts_the_total_and_running_again_continues(tmp_path, lanes):
    run(tmp_path, lanes, trials=7)
    store, events = run(tmp_path, lanes, trials=7)
    assert [event.finished for event in events] == [7]
    store, _ = run(tmp_path, lanes, trials=12)
    assert list(store.trials()["trial"]) == list(range(12))


def test_random_search_does_not_depend_on_interruptions(tmp_path, lanes):
    whole, _ = run(tmp_path / "whole", lanes, trials=12)
    run(tmp_path / "parts", lanes, trials=5)
    parts, _ = run(tmp_path / "parts", lanes, trials=12)
    columns = ["trial", "x", "seed", "value"]
    assert whole.trials()[columns].equals(parts.trials()[columns])


TWO = {
    "x": Float(0.0, 10.0),
    "offset": Float(0.1, 1.0, log=True),
}
TPE = {
    "create_sampler": functools.partial(optuna.samplers.TPESampler, multivariate=True, constant_liar=True),
    "in_flight": 8,
    "search_space": TWO,
    "fixed": {},
}
PROPOSALS = ["trial", "x", "offset", "seed", "value", "state", "epochs"]


@pytest.fixture(scope="module")
def tpe(tmp_path_factory, lanes):
    """A study of 40 trials that nothing disturbed."""
    store, _ = run(tmp_path_factory.mktemp("tpe"), lanes, trials=40, **TPE)
    return store.trials()[PROPOSALS]


def test_tpe_proposes_from_what_it_was_told(tmp_path, lanes, tpe):
    drawn, _ = run(tmp_path / "random", lanes, trials=40, search_space=TWO, fixed={})
    equal = tpe["x"] == drawn.trials()["x"]
    # Before ten have finished nothing is modelled: that is so for the first sixteen, with eight under way.
    assert list(equal) == [True] * 16 + [False] * 24
    other, _ = run(tmp_path / "other", lanes, trials=40, seed=4, **TPE)
    assert not (other.trials()["x"] == tpe["x"]).any()


@pytest.mark.parametrize(
    "options",
    [
        {"devices": 1, "width": 1, "queue": 1, "steps_per_dispatch": 1},
        {"devices": 1, "width": 16, "queue": 2, "steps_per_dispatch": 9},
        {"devices": 2, "width": 3, "queue": 1, "steps_per_dispatch": 2},
        {"devices": 2, "width": 20, "queue": 3, "steps_per_dispatch": 4, "layout": "vmap"},
    ],
    ids=lambda options: "-".join(map(str, options.values())),
)
def test_proposals_do_not_depend_on_the_lanes(tmp_path, tpe, options):
    devices = jax.devices()[: options.pop("devices")]
    with toy_lanes(devices=devices, **options) as lanes:
        store, _ = run(tmp_path, lanes, trials=40, **TPE)
    assert store.trials()[PROPOSALS].equals(tpe)


@pytest.mark.parametrize("devices", [1, pytest.param(2, marks=pytest.mark.exhaustive), 16])
def test_proposals_and_verdicts_do_not_depend_on_the_number_of_devices(tmp_path, devices):
    """Each in a process of its own, whose CPU is so many devices."""
    code = (
        "import sys; from induced_metric import xla; xla.configure(devices=int(sys.argv[1]), cache=False)\n"
        "from pathlib import Path; import jax; import test_study\n"
        "assert len(jax.devices()) == int(sys.argv[1])\n"
        "test_study.pruned_study(Path(sys.argv[2]))"
    )
    where = [str(tmp_path), str(devices)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*sys.path, str(Path(__file__).parent)])}
    environment.pop("XLA_FLAGS", None)
    subprocess.run([sys.executable, "-c", code, where[1], where[0]], check=True, env=environment)
    here = pruned_study(tmp_path / "here")
    assert 0 < (here["state"] == "pruned").sum() < len(here)
    assert RecordStore(tmp_path / "records").trials()[PROPOSALS].equals(here)


def pruned_study(directory):
    """Searched by TPE and judged after every 9 epochs."""
    with toy_lanes(steps_per_dispatch=3) as lanes:
        settings = {"pruner": WandbHyperbandPruner(min_iter=9, eta=3), "rungs": [9, 18, 27, 36]}
        store, _ = run(directory, lanes, trials=40, **settings, **TPE)
    return store.trials()[PROPOSALS]


def test_no_more_trials_are_under_way_than_the_study_says(tmp_path):
    most = []

    def look(_):
        states = [trial.state for trial in told(tmp_path)]
        most.append(states.count(optuna.trial.TrialState.RUNNING))

    with toy_lanes(width=20, steps_per_dispatch=3) as lanes:
        run(tmp_path, lanes, trials=40, on_progress=look, **TPE)
    assert max(most) == 8


def test_an_interrupted_study_is_the_undisturbed_one(tmp_path, lanes, tpe):
    for dispatches in (3, 40, 27, 1000):
        stops = iter([False] * dispatches)
        store, _ = run(tmp_path, lanes, trials=40, stop=lambda stops=stops: next(stops, True), **TPE)
    assert store.trials()[PROPOSALS].equals(tpe)
    assert store.curves().groupby("trial").size().tolist() == store.trials()["epochs"].tolist()


def test_what_is_searched_as_its_complement_is_the_same_to_the_last_bit(tmp_path, lanes):
    """1 − (1 − v) is seldom v, and the sampler was told v."""
    small = {"offset": Float(0.0, 0.9997, log=True, complement=True), "x": Float(0.0, 9.0)}
    settings = {**TPE, "search_space": small, "fixed": {}, "trials": 30}
    run(tmp_path / "whole", lanes, **settings)
    for dispatches in (130, 60, 1000):  # after 16 and 24 trials
        stops = iter([False] * dispatches)
        store, _ = run(tmp_path / "stopped", lanes, stop=lambda stops=stops: next(stops, True), **settings)
    once, again = (
        {trial.number: trial.params for trial in told(tmp_path / where)} for where in ("whole", "stopped")
    )
    assert once == again
    assert any(1 - (1 - params["offset"]) != params["offset"] for params in once.values())
    assert [1 - params["offset"] for _, params in sorted(once.items())] == store.trials()["offset"].tolist()


def test_what_was_trained_is_kept_where_the_storage_fails(tmp_path, lanes, tpe, monkeypatch):
    looks = iter([False] * 50)

    def silent(self, *, waiting):
        if next(looks, True):
            raise PassingError("no answer")

    with monkeypatch.context() as patch:
        patch.setattr(journal._OpenJournal, "look", silent)
        with pytest.raises(PassingError):
            run(tmp_path, lanes, trials=40, **TPE)
    kept = {path.name: int(next(path.iterdir()).stem) for path in (tmp_path / "checkpoints").iterdir()}
    assert len(kept) == len(jax.devices())
    assert sum(kept.values()) > 0
    recorded = len(where(tmp_path).records.trials())
    store, events = run(tmp_path, lanes, trials=40, **TPE)
    assert store.trials()[PROPOSALS].equals(tpe)
    assert events[-1].trained == pytest.approx(40 - recorded - sum(kept.values()) / EPOCHS)


def test_a_stop_keeps_every_trial_of_a_dispatch(tmp_path, lanes):
    """It may come at any moment: also while the first of them is being told."""
    asked = []

    def stop():
        asked.append(True)
        return len(asked) > 5

    converging = {"x": Float(0.0, 9.0)}
    run(tmp_path, lanes, trials=8, stop=stop, search_space=converging, in_flight=8)
    kept = [int(next(path.iterdir()).stem) for path in (tmp_path / "checkpoints").iterdir()]
    assert len(kept) == 8
    # Nothing of a dispatch of two lanes and three epochs is lost; the first look is before any.
    assert sum(kept) == 3 * 2 * (len(asked) - 1)


def test_a_study_that_is_given_more_trials_is_the_larger_one(tmp_path, lanes, tpe):
    for trials in (13, 30, 20, 40):
        store, events = run(tmp_path, lanes, trials=trials, **TPE)
        assert events[-1].finished == trials
    assert store.trials()[PROPOSALS].equals(tpe)


def test_a_study_without_its_journal_is_the_undisturbed_one(tmp_path, lanes, tpe):
    stops = iter([False] * 20)
    run(tmp_path, lanes, trials=40, stop=lambda: next(stops, True), **TPE)
    (tmp_path / "toy.journal").unlink()
    store, _ = run(tmp_path, lanes, trials=40, **TPE)
    assert store.trials()[PROPOSALS].equals(tpe)


def test_studies_in_the_same_lanes_are_as_if_alone(tmp_path, tpe):
    def study(name, seed):
        return (
            plan(trials=40, seed=seed, key=StudyKey("paper", "toy", name, "sgd"), **TPE),
            where(tmp_path / name),
            lambda _: None,
        )

    with toy_lanes(width=5, steps_per_dispatch=3) as lanes:
        run_studies([study("a", 3), study("b", 4), study("c", 3)], lanes)
        alone, _ = run(tmp_path / "alone", lanes, trials=40, seed=4, **TPE)
    a, b, c = (RecordStore(tmp_path / name / "records").trials()[PROPOSALS] for name in "abc")
    assert a.equals(tpe)
    assert c.equals(tpe)
    assert b.equals(alone.trials()[PROPOSALS])


def test_a_changed_configuration_is_refused_with_the_difference(tmp_path, lanes):
    run(tmp_path, lanes, trials=3)
    with pytest.raises(UserError, match=r"seed: 3 -> absent; task\.epochs: 45 -> 10") as error:
        run(tmp_path, lanes, trials=3, config={"task": {"epochs": 10}})
    assert "\n" not in str(error.value)


def test_a_journal_without_its_records_is_refused(tmp_path, lanes):
    store, _ = run(tmp_path, lanes, trials=3)
    (store.directory / "trials.parquet").unlink()
    with pytest.raises(UserError, match=r"3 finished trials .* whose records are gone"):
        run(tmp_path, lanes, trials=5)


def test_a_lost_journal_is_made_again_from_the_records(tmp_path, lanes):
    store, _ = run(tmp_path, lanes, trials=9)
    before = store.trials()
    (tmp_path / "toy.journal").unlink()
    store, _ = run(tmp_path, lanes, trials=12)
    assert store.trials()[:9].equals(before)
    assert [trial.value for trial in told(tmp_path)] == list(store.trials()["value"])


def test_a_torn_journal_line_is_cut(tmp_path, lanes):
    run(tmp_path, lanes, trials=5)
    with (tmp_path / "toy.journal").open("ab") as file:
        file.write(b'{"op_code": 6, "worker')
    store, _ = run(tmp_path, lanes, trials=8)
    assert list(store.trials()["trial"]) == list(range(8))
    assert len(told(tmp_path)) == 8


def test_progress_counts_the_epochs_under_way_and_not_those_of_an_earlier_process(tmp_path, lanes):
    _, events = run(tmp_path / "whole", lanes, trials=6)
    assert events[0].trained == 0
    assert any(event.running and 0 < event.trained < 1 for event in events)
    assert events[-1].trained == events[-1].finished == 6
    stops = iter([False] * 2)
    run(tmp_path / "parts", lanes, trials=6, stop=lambda: next(stops, True))
    _, events = run(tmp_path / "parts", lanes, trials=6)
    assert events[-1].finished == 6
    assert events[-1].trained < 6


def test_two_processes_cannot_run_one_study(tmp_path, lanes):
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=_slow_study, args=(tmp_path,))
    process.start()
    try:
        while process.is_alive() and not len(RecordStore(tmp_path / "records").trials()):
            time.sleep(0.01)
        with pytest.raises(UserError, match="another process is running"):
            run(tmp_path, lanes, trials=1)
        assert process.is_alive()
    finally:
        process.kill()
        process.join()


@pytest.mark.parametrize("every", [0, 2])
@pytest.mark.exhaustive
def test_a_stopped_trial_goes_on_where_it_was(tmp_path, lanes, every):
    whole, _ = run(tmp_path / "whole", lanes, trials=10)
    # Stop after every look at a trial: each run of the study moves every lane by one dispatch.
    for _ in range(40):
        looks = iter([False])  # the one before the first dispatch
        run(tmp_path / "parts", lanes, trials=10, every=every, stop=lambda looks=looks: next(looks, True))
    parts = RecordStore(tmp_path / "parts" / "records")
    columns = ["trial", "x", "seed", "value", "epochs", "diverged"]
    assert parts.trials()[columns].equals(whole.trials()[columns])
    curves = ["trial", "epoch", "test/loss"]
    assert parts.curves()[curves].equals(whole.curves()[curves])
    assert not list((tmp_path / "parts" / "checkpoints").iterdir())


@pytest.mark.parametrize("settings", [{}, TPE], ids=["random", "tpe"])
@pytest.mark.exhaustive
def test_a_kill_between_record_and_checkpoint_leaves_none(tmp_path, lanes, monkeypatch, settings):
    monkeypatch.setattr(Checkpoints, "remove", lambda *_: None)  # what a kill there comes to
    stops = iter([False] * 3)
    run(tmp_path, lanes, trials=10, every=2, stop=lambda: next(stops, True), **settings)
    run(tmp_path, lanes, trials=10, every=2, **settings)
    kept = tmp_path / "checkpoints"
    assert len(list(kept.iterdir())) >= 5
    monkeypatch.undo()
    run(tmp_path, lanes, trials=10, every=2, **settings)
    assert not list(kept.iterdir())


HYPERBAND = {
    "pruner": optuna.pruners.HyperbandPruner(min_resource=3, max_resource=EPOCHS, reduction_factor=3),
    "rungs": [3, 9, 27],
    "in_flight": 8,
}
PUBLISHED = {"pruner": WandbHyperbandPruner(min_iter=9, eta=3), "rungs": [9, 18, 27, 36], "in_flight": 8}


def test_hyperband_prunes_at_the_rungs_only(tmp_path, lanes):
    store, events = run(tmp_path, lanes, trials=40, **HYPERBAND)
    trials, curves = store.trials(), store.curves()
    pruned = trials[trials["state"] == "pruned"]
    assert 0 < len(pruned) < 40
    assert set(pruned["epochs"]) == {3, 9, 27}
    assert events[-1].pruned == len(pruned)
    for _, row in pruned.iterrows():
        assert row["value"] == curves.loc[curves["trial"] == row["trial"], "test/loss"].min()
    by_state = {trial.number: trial.state for trial in told(tmp_path)}
    assert all(by_state[number] is optuna.trial.TrialState.PRUNED for number in pruned["trial"])


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_the_worse_are_pruned(tmp_path, lanes, direction):
    """With one trial under way, a verdict is of the values of those before."""
    worst = 1e30 if direction == "minimize" else -1e30
    space = {"x": Float(2.0, 9.0)}  # the loss rises with x
    settings = {**PUBLISHED, "rungs": [9], "in_flight": 1}
    store, _ = run(
        tmp_path, lanes, goal=Goal("test/loss", direction, worst, EPOCHS), search_space=space, **settings
    )
    trials = store.trials()
    seen = []
    for row in trials.to_dict("records"):
        seen.append(row["x"] if direction == "minimize" else -row["x"])
        assert (row["state"] == "pruned") == (seen[-1] > sorted(seen)[len(seen) // 3])
    assert 0 < (trials["state"] == "pruned").sum() < 20


class KilledError(Exception):
    """The process dies here, as far as its files are concerned."""


def die_at(monkeypatch, owner, method, after):
    """Makes the ``after``-th call of a method the last one; whether it has its effect alternates."""
    calls = itertools.count(1)
    original = getattr(owner, method)

    def dying(*arguments):
        number = next(calls)
        if number < after or after % 2:
            original(*arguments)
        if number >= after:
            raise KilledError

    monkeypatch.setattr(owner, method, dying)


SEARCHES = {
    "random": {},
    "tpe": TPE,
    "tpe, optuna's hyperband": {**TPE, **HYPERBAND},
    "random, published hyperband": PUBLISHED,
    "published": {
        **TPE,
        **PUBLISHED,
        "create_sampler": functools.partial(
            WandbBayesSampler,
            max_history=100,
            max_running=95,
            candidates=50,
            nu=1.5,
            restarts=0,
            noise=1e-7,
            stopped="worst",
        ),
    },
}


@pytest.mark.parametrize("journal", ["kept", "lost"])
@pytest.mark.parametrize("name", SEARCHES)
@pytest.mark.exhaustive
def test_a_study_killed_at_any_record_or_line_is_the_undisturbed_one(
    tmp_path, lanes, monkeypatch, name, journal
):
    settings = {"search_space": TWO, "fixed": {}, "trials": 30, **SEARCHES[name]}
    whole, _ = run(tmp_path / "whole", lanes, **settings)
    if "rungs" in settings:
        assert 5 < (whole.trials()["state"] == "pruned").sum() < 30
    kills = 0
    for attempt in itertools.count():
        with monkeypatch.context() as patch:
            if attempt % 3:
                die_at(patch, RecordStore, "append", 1 + attempt % 2)
            else:
                die_at(patch, Journal, "append_logs", 20 + 13 * attempt)
            try:
                run(tmp_path / "killed", lanes, every=4, **settings)
                break
            except KilledError:
                kills += 1
        if journal == "lost":
            (tmp_path / "killed" / "toy.journal").unlink(missing_ok=True)
    assert kills >= 6
    killed = RecordStore(tmp_path / "killed" / "records")
    assert killed.trials()[PROPOSALS].equals(whole.trials()[PROPOSALS])
    curves = ["trial", "epoch", "test/loss"]
    assert killed.curves()[curves].equals(whole.curves()[curves])


def test_a_trial_leaves_its_lane_at_a_rung_until_its_turn(tmp_path, lanes):
    """With one lane for eight trials, none would come to its rung otherwise."""
    whole, _ = run(tmp_path / "whole", lanes, trials=40, **PUBLISHED)
    trained = []

    class Counting(Lanes):
        def run(self, ask, tell, **options):
            super().run(ask, lambda news: trained.extend(news) or tell(news), **options)

    with toy_lanes(Counting, devices=jax.devices()[:1], width=1, queue=1, steps_per_dispatch=9) as one:
        store, _ = run(tmp_path / "one", one, trials=40, **PUBLISHED)
    assert store.trials()[PROPOSALS].equals(whole.trials()[PROPOSALS])
    # Nothing was trained past the rung at which it was stopped.
    assert sum(len(report.seconds) for report in trained) == store.trials()["epochs"].sum()


def test_a_stop_keeps_the_epochs_of_trials_that_wait_at_a_rung(tmp_path):
    """One lane for eight trials: all but one wait outside the lanes when the study is stopped."""
    trained = []

    class Counting(Lanes):
        def run(self, ask, tell, **options):
            super().run(ask, lambda news: trained.extend(news) or tell(news), **options)

    with toy_lanes(Counting, devices=jax.devices()[:1], width=1, queue=1, steps_per_dispatch=9) as one:
        run(tmp_path, one, trials=40, stop=lambda: len(trained) >= 30, **PUBLISHED)
        assert len(list((tmp_path / "checkpoints").iterdir())) > 1
        store, _ = run(tmp_path, one, trials=40, **PUBLISHED)
    assert sum(len(report.seconds) for report in trained) == store.trials()["epochs"].sum()


def test_rungs_are_met_whatever_the_dispatch_length(tmp_path):
    with toy_lanes(steps_per_dispatch=8) as lanes:
        store, _ = run(tmp_path, lanes, trials=40, **HYPERBAND)
    trials = store.trials()
    assert set(trials.loc[trials["state"] == "pruned", "epochs"]) == {3, 9, 27}


def test_maximising_takes_the_highest_value(tmp_path, lanes):
    store, events = run(tmp_path, lanes, trials=10, goal=Goal("test/loss", "maximize", -1e30, EPOCHS))
    trials = store.trials()
    curves = store.curves().groupby("trial")["test/loss"].max()
    good = trials[~trials["diverged"]]
    assert list(good["value"]) == list(curves[good["trial"]])
    assert events[-1].best == good["value"].max()


def test_seeds_of_trials_are_shared_by_studies_and_spread(lanes):
    seeds = {trial_seed(study, number) for study in range(3) for number in range(500)}
    assert len(seeds) == 1500
    assert max(seeds) < 2**32
    assert trial_seed(0, 7) == 23012616  # as on record


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"trials": 0}, "trials must be >= 1"),
        ({"seed": -1}, "seed must be >= 0"),
        ({"fixed": {"value": 1.0}}, "a hyperparameter cannot be called 'value'"),
        ({"in_flight": 0}, "in_flight must be >= 1, got 0"),
        ({"rungs": [3]}, "in_flight must be a number where a pruner compares trials, got null"),
    ],
)
def test_a_plan_that_cannot_be_carried_out_is_refused(changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        plan(**changes)


def _slow_study(directory):
    """In a process of its own: a study that takes some seconds."""
    with toy_lanes(steps_per_dispatch=3) as lanes:
        run(directory, lanes, trials=150, on_progress=lambda _: time.sleep(0.02), **TPE)


@pytest.mark.exhaustive
def test_killed_three_times_no_trial_is_lost_or_twice(tmp_path, lanes):
    context = multiprocessing.get_context("spawn")
    kills = 0
    for attempt in range(40):
        process = context.Process(target=_slow_study, args=(tmp_path,))
        process.start()
        store = RecordStore(tmp_path / "records")
        begun = len(store.trials())
        # Kill once this process has finished some trials, at another moment each time.
        while process.is_alive() and len(store.trials()) < begun + 5 + 3 * attempt:
            time.sleep(0.01)
        if kills < 3 and process.is_alive():
            os.kill(process.pid, signal.SIGKILL)
            kills += 1
        process.join()
        if process.exitcode == 0:
            break
    assert kills == 3
    undisturbed, _ = run(tmp_path / "undisturbed", lanes, trials=150, **TPE)
    assert RecordStore(tmp_path / "records").trials()[PROPOSALS].equals(undisturbed.trials()[PROPOSALS])
    store = RecordStore(tmp_path / "records")
    assert sorted(path.name for path in store.directory.iterdir()) == ["curves.parquet", "trials.parquet"]
    trials = store.trials()
    assert list(trials["trial"]) == list(range(150))
    assert (
        store.curves().groupby("trial").size().reindex(range(150)).equals(trials.set_index("trial")["epochs"])
    )
    states = [trial.state for trial in told(tmp_path)]
    assert states == [optuna.trial.TrialState.COMPLETE] * 150
    # A trial that was trained again had its own hyperparameters and seed.
    for trial, row in zip(told(tmp_path), trials.to_dict("records"), strict=True):
        assert trial.params["x"] == row["x"]
        assert row["seed"] == trial_seed(3, trial.number)
        assert json.loads(row["config"])["seed"] == 3
