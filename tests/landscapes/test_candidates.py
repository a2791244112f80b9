"""The candidates of ``conf/landscapes.yaml``: their grids, and the settings that they draw."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from induced_metric.landscapes import LANDSCAPES
from induced_metric.landscapes.candidates import cases, duplicates
from induced_metric.space import Float

PUBLISHED = Path(__file__).parents[2] / "results" / "published" / "landscapes"

SIZES = {
    "adam": 360,
    "sgd": 72,
    "sgd_metric": 288,
    "sgd_log_metric": 288,
    "sgd_rms": 1440,
    "muon": 1080,
}


@pytest.mark.parametrize(("name", "size"), SIZES.items())
def test_sizes_of_the_grid(candidates, name, size):
    columns = candidates[name].configurations()
    assert {len(column) for column in columns.values()} == {size}


def test_duplicates_are_those_published(candidates):
    repeated = {name: int(duplicates(c.configurations()).sum()) for name, c in candidates.items()}
    # 1e-5 is one learning rate of nine; Muon has one β of three twice as well.
    assert repeated == {
        "adam": 40,
        "sgd": 8,
        "sgd_metric": 32,
        "sgd_log_metric": 32,
        "sgd_rms": 160,
        "muon": 1080 - 8 * 2 * 40,
    }


def test_the_settings_drawn_are_those_recorded(candidates):
    recorded = pd.read_parquet(PUBLISHED / "fair_settings.parquet")
    recorded = recorded[(recorded["function"] == "beale") & (recorded["tolerance"] == "notebook")]
    for name, candidate in candidates.items():
        own = recorded[(recorded["optimizer"] == name) & (recorded["offset"] == 0)]
        for hyperparameter, values in candidate.draws(128, 0).items():
            # A last bit, since processors differ in the power of two doubles.
            np.testing.assert_allclose(values, own[hyperparameter], rtol=4e-16)


def test_momentum_convention_is_one_for_all(candidates):
    sgd = candidates["sgd"]
    draws = sgd.draws(8, 0)
    averaged = draws["learning_rate"] / (1 - draws["momentum"])
    low, high = sgd.search_space["learning_rate"].ends
    assert np.all((low <= averaged) & (averaged <= high))
    assert not np.allclose(averaged, draws["learning_rate"])
    # One that is not searched counts all the same.
    fixed = replace(sgd, search_space={"learning_rate": Float(1.0, 2.0)}, fixed={"momentum": 0.75})
    assert np.all(fixed.draws(8, 0)["learning_rate"] <= 0.5)


def test_only_the_control_sees_raised_functions(candidates):
    both = cases({"booth": LANDSCAPES["booth"]}, list(candidates.values()), controls=True)
    raised = [case for case in both if case.offset]
    assert [case.identity for case in raised] == [
        {"function": "booth", "optimizer": "sgd_log_metric", "offset": 1.0}
    ]
    assert raised[0].raised.minimum == raised[0].landscape.minimum + 1
    assert len(cases({"booth": LANDSCAPES["booth"]}, list(candidates.values()), controls=False)) == 6


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"grid": {"xi": (1.0,)}}, "grid must name hyperparameters among learning_rate, momentum, got 'xi'"),
        ({"search_space": {"xi": Float(0.0, 1.0)}}, "search_space must name hyperparameters among"),
        ({"fixed": {"beta": 0.0}}, "fixed must name hyperparameters among"),
        ({"momentum": "beta1"}, "momentum must name hyperparameters among"),
        ({"grid": {"momentum": ()}}, r"grid\.momentum must have at least one value"),
        ({"offsets": ()}, "offsets must have at least one value"),
    ],
)
def test_what_the_optimizer_does_not_have_is_refused(candidates, changed, sentence):
    with pytest.raises(ValueError, match=sentence):
        replace(candidates["sgd"], **changed)
