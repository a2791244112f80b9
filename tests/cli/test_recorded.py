"""A study by its name, among all that are recorded."""

from types import SimpleNamespace

import pandas as pd
import pytest

from induced_metric.cli import recorded, sweep
from induced_metric.errors import UserError
from induced_metric.records import StudyKey


def test_of_many_studies_the_nearest_are_named(tmp_path):
    names = [*(f"other{number}" for number in range(20)), "adam", "adamw"]
    for name in names:
        directory = StudyKey("paper", "regression", "tpe", name).directory(tmp_path)
        directory.mkdir(parents=True)
        (directory / "trials.parquet").touch()
    assert recorded.study_key("paper/regression/tpe/adam", tmp_path).optimizer == "adam"
    with pytest.raises(UserError) as error:
        recorded.study_key("paper/regression/tpe/adamx", tmp_path)
    said = (
        "of the 22 recorded studies the nearest are paper/regression/tpe/adam, paper/regression/tpe/adamw, "
    )
    assert said in str(error.value)
    assert len(str(error.value)) < 500


def test_where_none_is_recorded_none_is_named(tmp_path):
    with pytest.raises(UserError, match=r"write protocol/task/sampler/optimizer; there are none$"):
        recorded.study_key("paper/regression/tpe/adam", tmp_path)


def test_failed_trials_that_run_again_get_lanes():
    plan = SimpleNamespace(trials=10, in_flight=None)
    recorded = pd.DataFrame({"trial": range(10), "state": ["complete"] * 6 + ["failed"] * 3 + ["pruned"]})
    assert sweep._at_once(plan, recorded, again=False) == 0
    assert sweep._at_once(plan, recorded, again=True) == 3
    assert sweep._at_once(SimpleNamespace(trials=12, in_flight=2), recorded, again=True) == 2
    assert sweep._at_once(plan, pd.DataFrame(), again=True) == 10


def test_recorded_trials_that_are_not_wanted_any_more_take_no_lanes():
    """A larger study that was stopped may have recorded higher numbers before lower ones."""
    recorded = pd.DataFrame({"trial": [0, 1, 7, 8, 9], "state": "complete"})
    assert sweep._at_once(SimpleNamespace(trials=5, in_flight=None), recorded, again=False) == 3
