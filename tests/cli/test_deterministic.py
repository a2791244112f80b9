"""``deterministic=true``: whoever goes on, or trains a recorded trial again, has the lanes of the record."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import jax
import pandas as pd
import pytest

import induced_metric
from induced_metric import records
from induced_metric.cli import build, recorded, verify
from induced_metric.errors import UserError
from induced_metric.lanes import engine
from induced_metric.lanes.facts import device_facts, lane_facts
from induced_metric.lanes.placement import Placement
from induced_metric.records import RecordStore, StudyKey
from induced_metric.studies.verify import changed

ROOT = Path(__file__).parents[2]
SETTINGS = [
    "task.train_examples=64",
    "task.test_examples=32",
    "task.batch_size=16",
    "task.widths=[4,1]",
    "task.epochs=5",
    "lanes.devices=2",
    "sampler=random",
    "optimizer=sgd",
    "deterministic=true",
]
SGD = StudyKey("paper", "regression", "random", "sgd")
LANES = ["lanes.layout=vmap", "lanes.width=3"]


@pytest.fixture
def pair(tiny_task):
    return build.Pairing(
        name="sgd",
        task=tiny_task, task_of=lambda: tiny_task, optimizer=induced_metric.sgd, schedule=None,
        hyperparameters={"learning_rate": 0.1, "momentum": 0.9}, search_space={}, published_best=None,
    )  # fmt: skip


def facts_of(pair, placement):
    """What a record says of the lanes of a placement."""
    with pair.lanes(placement) as lanes:
        return {"versions": {"jax": jax.__version__}, **device_facts(), **lane_facts(lanes)}


def test_a_width_that_is_asked_for_is_kept_however_few_the_trials(pair):
    where = Placement(layout="vmap", width=6)
    for trials, queue in ((1, 1), (60, 2)):
        facts = facts_of(pair, where.for_trials(trials, exact=True))["lanes"]
        assert (facts["layout"], facts["width"], facts["queue"]) == ("vmap", 6, queue)
    assert facts_of(pair, where.for_trials(1))["lanes"]["width"] == 1


@pytest.mark.parametrize("first", [{"layout": "vmap", "width": 6}, {}], ids=["vmapped", "as a CPU has them"])
def test_the_lanes_of_a_record_are_had_again_however_few_the_trials_are(pair, first):
    facts = facts_of(pair, Placement(**first).for_trials(24, exact=True))
    again = facts_of(pair, Placement().for_trials(1, exact=True).after(facts))
    for name in ("layout", "width", "steps"):
        assert again["lanes"][name] == facts["lanes"][name]
    # As often as it goes on.
    assert facts_of(pair, Placement().for_trials(1, exact=True).after(again)) == again
    # How many devices there are changes no bit; another device, or JAX, has others anyway.
    elsewhere = Placement(layout="map").for_trials(1, exact=True)
    assert elsewhere.after(facts | {"devices": 99}).before == facts["lanes"]
    for other in ({"device": "another"}, {"versions": {"jax": "0.1"}}):
        assert elsewhere.after(facts | other) == elsewhere


def test_what_was_measured_and_what_fitted_is_kept_with_the_lanes(pair):
    measured = {"layout": "vmap", "width": 8, "rates": {"map 1": 5.0, "vmap 8": 20.0}, "most": 64}
    kept = {"measured": measured, "asked": 8, "fits": 4}
    facts = facts_of(pair, Placement(layout="vmap", width=4).for_trials(9, exact=True))
    facts["lanes"] |= kept | {"steps": 40}
    for asked in ("auto", 8, 4):
        where = Placement(width=asked).for_trials(2, exact=True).after(facts)
        with pair.lanes(where) as lanes:
            assert lanes.width == 4
            assert lanes.facts == kept | {"steps": 40}
            # A step of all lanes takes 0.4 s on one device, so a dispatch has two of the 40 that it may have.
            assert lanes.steps_per_dispatch == max(1, int(1.0 / (0.4 * len(jax.devices()))))
    with pair.lanes(replace(where, steps_per_dispatch=1)) as lanes:
        assert (lanes.steps_per_dispatch, lanes.facts["steps"]) == (1, 40)


@pytest.mark.parametrize("asked", [{"width": 5}, {"layout": "map"}])
def test_other_lanes_than_those_of_the_records_are_refused(pair, asked):
    facts = facts_of(pair, Placement(layout="vmap", width=6).for_trials(24, exact=True))
    with pytest.raises(
        ValueError, match="layout and width must be auto, or vmap and 6, with which the determ"
    ):
        pair.lanes(Placement(**asked).for_trials(1, exact=True).after(facts))


@pytest.mark.parametrize(
    ("settings", "refused"),
    [
        ({}, True),
        ({"width": 64}, True),
        ({"layout": "vmap"}, True),
        ({"layout": "vmap", "width": 64}, False),
        ({"layout": "map"}, False),
    ],
)
def test_workers_of_a_deterministic_study_do_not_each_measure_its_lanes(pair, monkeypatch, settings, refused):
    where = Placement(**settings)
    known = where.for_trials(9, exact=True).after(facts_of(pair, where.for_trials(9)))
    agree = recorded.check_agreed
    agree(where.for_trials(9, exact=True))  # a CPU measures nothing
    monkeypatch.setattr(engine, "default_layout", lambda: "vmap")
    agree(where.for_trials(9))
    agree(known)
    with (
        pytest.raises(UserError, match="would measure which are the fastest")
        if refused
        else contextlib.nullcontext()
    ):
        agree(where.for_trials(9, exact=True))


def test_studies_that_share_lanes_were_begun_in_the_same_or_are_refused():
    def study(*provenance):
        return SimpleNamespace(provenances=lambda: reversed(provenance))

    def made(width, deterministic=True):
        return {"lanes": {"layout": "vmap", "width": width}, "deterministic": deterministic}

    last = recorded.last
    one, other, none = study(made(4), made(8), made(2, False)), study(made(4)), study()
    assert last([none, one], deterministic=True) == made(8)
    assert last([none, one, other], deterministic=False) == made(2, False)
    assert last([none, study(made(2, False))], deterministic=True) is None
    with pytest.raises(
        UserError, match=r"were begun in lanes that differ \(vmap 4, vmap 8\): run them one by"
    ):
        last([none, one, other], deterministic=True)


def test_a_width_of_vmapped_lanes_or_an_accelerator_without_determinism_counts_as_a_change():
    def facts(layout, width, **more):
        return {"lanes": {"layout": layout, "width": width}, "device": "cpu", **more}

    assert changed(facts("vmap", 64), facts("vmap", 3)) == ["lanes.width 64 -> 3"]
    assert changed(facts("map", 2), facts("map", 1)) == []
    assert changed(facts("map", 2), facts("vmap", 2))[0] == "lanes.layout map -> vmap"
    card = facts("vmap", 8, device="NVIDIA H200")
    assert changed(card, card) == ["not deterministic, on an accelerator"]
    assert changed(card | {"deterministic": True}, card | {"deterministic": True}) == []


def started(*words, **environment):
    command = [sys.executable, *words]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=ROOT, env=os.environ | environment
    )
    return done.returncode, done.stdout, done.stderr


def sweep(results, *arguments):
    return started("sweeps/sweep.py", *SETTINGS, f"results={results}", *arguments)


def provenance(results, optimizer="sgd"):
    """Of each record of a study."""
    trials, _ = records.load("regression", sampler="random", optimizers=[optimizer], results=results)
    return [json.loads(text) for text in trials.sort_values("trial")["provenance"]]


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    """A deterministic study in three vmapped lanes, which went on with two trials left and nothing said."""
    results = tmp_path_factory.mktemp("results")
    for arguments in (["trials=5", *LANES], ["trials=6"]):
        code, _, complained = sweep(results, *arguments)
        assert (code, complained) == (0, "")
    return results


@pytest.fixture
def results(tmp_path, studies):
    """A copy to change."""
    return shutil.copytree(studies, tmp_path / "results")


@pytest.mark.slow
def test_a_study_that_goes_on_keeps_its_lanes_and_refuses_others(results):
    every = provenance(results)
    assert all(facts["deterministic"] for facts in every)
    assert [(facts["lanes"]["layout"], facts["lanes"]["width"]) for facts in every] == [("vmap", 3)] * 6
    assert len({facts["lanes"]["steps"] for facts in every}) == 1
    code, _, complained = sweep(results, "trials=7", "lanes.width=2")
    assert (code, len(complained.splitlines())) == (2, 1)
    assert "lanes: layout and width must be auto, or vmap and 3" in complained
    # What is not deterministic goes on as ever.
    code, _, complained = sweep(results, "trials=7", "deterministic=false")
    assert (code, complained) == (0, "")
    assert provenance(results)[6]["lanes"]["layout"] == "map"
    assert "steps" not in provenance(results)[6]["lanes"]


@pytest.mark.slow
def test_what_trains_a_recorded_trial_again_takes_lanes_and_flag_from_the_record(results):
    code, printed, complained = started(
        "-m", "induced_metric", "trial", "--results", str(results), "--study", "/".join(SGD), "--trial", "5"
    )
    assert (code, complained) == (0, "")
    # Were flags, layout or width others, it would say so behind it.
    assert printed.splitlines()[-1] == "bit-identical to the record in all 5 epochs"


@pytest.mark.slow
def test_a_verify_of_deterministic_records_runs_in_their_lanes_and_apart_from_others(results):
    code, printed, complained = started(
        "-m", "induced_metric", "verify", "--results", str(results), "--share", "0.3"
    )
    assert (code, complained) == (0, "")
    assert "2 trials of 1 studies" in printed
    assert "what differs from the records" not in printed
    assert "left out" not in printed
    code, _, complained = sweep(results, "optimizer=adam", "trials=2", "deterministic=false")
    assert (code, complained) == (0, "")
    verify_ = ["-m", "induced_metric", "verify", "--results", str(results), "--share", "1"]
    code, printed, _ = started(*verify_)
    assert code == 0
    assert "left out: 6 trials of deterministic=true, which --deterministic draws from" in printed
    assert "random/adam" in printed
    assert "random/sgd" not in printed
    code, printed, _ = started(*verify_, "--deterministic")
    assert code == 0
    assert "random/sgd" in printed
    assert "random/adam" not in printed
    code, _, complained = started(*verify_, "--deterministic", "--study", "paper/regression/random/adam")
    assert (code, len(complained.splitlines())) == (2, 1)
    assert "no matching record under" in complained


@pytest.mark.slow
def test_train_repeats_a_deterministic_trial_in_the_lanes_that_it_is_given(results, tmp_path):
    trials, curves = records.load("regression", sampler="random", optimizers=["sgd"], results=results)
    row = trials.query("trial == 4").iloc[0]
    numbers = [f"optimizer.{name}={float(row[name])!r}" for name in ("learning_rate", "momentum")]
    single = [word for word in SETTINGS if not word.startswith("sampler=")]
    code, _, complained = started(
        "train.py", *single, *LANES, *numbers, f"seed={row['seed']}", f"results={tmp_path / 'single'}",
        "tracking=disabled",
    )  # fmt: skip
    assert (code, complained) == (0, "")
    store = RecordStore(StudyKey("paper", "regression", "single", "sgd").directory(tmp_path / "single"))
    again, curve = store.read()
    facts = json.loads(again["provenance"].iloc[0])
    assert (facts["lanes"]["layout"], facts["lanes"]["width"]) == ("vmap", 3)
    before = curves.query("trial == 4")
    pd.testing.assert_series_equal(
        curve["test/loss"].reset_index(drop=True), before["test/loss"].reset_index(drop=True)
    )


def test_records_of_one_program_are_trained_together_by_the_lanes_they_were_made_in(studies):
    rows = RecordStore(SGD.directory(studies)).read()
    exact, others = verify.parted({SGD: rows})
    assert (list(exact), others) == ([SGD], {})
    assert len(verify.together(exact)) == 1
    narrow = rows.trials.copy()
    facts = json.loads(narrow["provenance"].iloc[0])
    facts["lanes"]["width"] = 2
    narrow.loc[narrow.index[0], "provenance"] = json.dumps(facts)
    assert len(verify.together({SGD: rows._replace(trials=narrow)})) == 2
    facts["deterministic"] = False
    narrow.loc[narrow.index[0], "provenance"] = json.dumps(facts)
    exact, others = verify.parted({SGD: rows._replace(trials=narrow)})
    assert (len(exact[SGD].trials), len(others[SGD].trials)) == (5, 1)
    assert not recorded.deterministic(narrow["provenance"].iloc[0])
