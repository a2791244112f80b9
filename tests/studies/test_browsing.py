"""The records as Optuna's tools see them."""

import json

import numpy as np
import optuna
import pytest
import synthetic
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from induced_metric.records import RecordStore, StudyKey
from induced_metric.studies.browsing import Browsed

RANGES = {
    "learning_rate": {"low": 1e-5, "high": 1.0, "log": True},
    "momentum": {"low": 0.5, "high": 0.999, "log": True, "complement": True},
    "xi": {"low": 0.1, "high": 1.0},  # another optimizer's
    "task": {"width": {"type": "int", "low": 8, "high": 64, "step": 8}},
    "schedule": {"kind": {"choices": ["cosine", None]}},
}
LAYERS = {"layers": {"choices": [[32, 32, 1], [64, 1]]}}


def add(results, number, ranges=RANGES, **changes):
    row, curve = synthetic.trial(number, optimizer="sgd", epochs=100, diverged=changes.get("diverged", False))
    config = json.dumps(json.loads(row["config"]) | {"search_space": ranges})
    row |= {"config": config, "task.width": 16, "schedule.kind": "cosine", **changes}
    RecordStore(StudyKey("paper", "regression", "tpe", "sgd").directory(results)).publish(row, curve)
    return row, curve


def shown(browsed):
    return optuna.load_study(study_name="paper-regression-tpe-sgd", storage=browsed.storage)


def test_a_trial_is_shown_with_its_number_value_hyperparameters_and_curve(tmp_path):
    provenance = {"worker": "node-1", "lost": 2}
    rows = [add(tmp_path, number, provenance=json.dumps(provenance)) for number in range(3)]
    browsed = Browsed(tmp_path)
    assert browsed.refresh() == 3
    study = shown(browsed)
    assert study.metric_names == ["test/loss"]
    assert study.best_value == min(row["value"] for row, _ in rows)
    for number, (trial, (row, curve)) in enumerate(zip(study.trials, rows, strict=True)):
        assert (trial.number, trial.state, trial.value) == (number, TrialState.COMPLETE, row["value"])
        names = ("learning_rate", "momentum", "task.width", "schedule.kind")
        assert trial.params == {name: row[name] for name in names}
        assert trial.distributions == {
            "learning_rate": FloatDistribution(1e-5, 1.0, log=True),
            "momentum": FloatDistribution(0.5, 0.999),
            "task.width": IntDistribution(8, 64, step=8),
            "schedule.kind": CategoricalDistribution(["cosine", None]),
        }
        assert trial.user_attrs["seed"] == row["seed"]
        assert {name: trial.user_attrs[name] for name in provenance} == provenance
        assert {0, 99} <= trial.intermediate_values.keys()
        assert len(trial.intermediate_values) == 40
        assert trial.intermediate_values[99] == curve["test/loss"][99]
        assert trial.duration.total_seconds() == pytest.approx(row["seconds"], abs=1e-5)


def test_lists_that_were_chosen_from_are_shown_as_the_text_on_record(tmp_path):
    add(tmp_path, 0, ranges={"task": LAYERS}, **{"task.layers": "[64, 1]"})
    browsed = Browsed(tmp_path)
    browsed.refresh()
    (trial,) = shown(browsed).trials
    assert trial.params == {"task.layers": "[64, 1]"}
    assert trial.distributions == {"task.layers": CategoricalDistribution(["[32, 32, 1]", "[64, 1]"])}


def test_records_that_come_late_take_the_place_that_was_kept(tmp_path):
    browsed = Browsed(tmp_path)
    for number in (2, 0):
        add(tmp_path, number)
    assert browsed.refresh() == 2
    states = [trial.state for trial in shown(browsed).trials]
    assert states == [TrialState.COMPLETE, TrialState.RUNNING, TrialState.COMPLETE]
    row, _ = add(tmp_path, 1, value=-1.0)
    assert (browsed.refresh(), browsed.refresh()) == (1, 0)
    assert [trial.number for trial in shown(browsed).trials] == [0, 1, 2]
    assert (shown(browsed).best_trial.number, shown(browsed).best_value) == (1, -1.0)
    assert shown(browsed).trials[1].params["learning_rate"] == row["learning_rate"]


def test_what_has_no_value_leaves_the_figures_alone(tmp_path):
    worst = float(np.finfo(np.float32).max)
    add(tmp_path, 0, diverged=True, value=worst)
    add(tmp_path, 1, state="pruned")
    add(tmp_path, 2, state="failed", value=worst)
    browsed = Browsed(tmp_path)
    browsed.refresh()
    diverged, pruned, failed = shown(browsed).trials
    assert (diverged.state, diverged.value, diverged.intermediate_values) == (TrialState.FAIL, None, {})
    assert diverged.user_attrs["diverged"]
    assert (pruned.state, pruned.value) == (TrialState.PRUNED, None)
    assert len(pruned.intermediate_values) == 40
    assert failed.state is TrialState.FAIL


def test_studies_of_a_task_can_be_chosen(tmp_path):
    synthetic.write_study(tmp_path, "adam", trials=3, epochs=2)
    synthetic.write_study(tmp_path, "adam", trials=3, epochs=2, task="mnist", objective="test/accuracy")
    browsed = Browsed(tmp_path, task="mnist")
    browsed.refresh()
    (study,) = optuna.get_all_study_summaries(browsed.storage)
    assert (study.study_name, study.direction.name) == ("paper-mnist-tpe-adam", "MAXIMIZE")
