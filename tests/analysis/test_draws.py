"""Several studies of one search taken as one, and whose trials a figure shows."""

import json

import pandas as pd

from induced_metric.analysis import draws
from induced_metric.records import Records

STARTUP = json.dumps({"sampler": {"create": {"n_startup_trials": 10}, "in_flight": 8}})


def study(sampler: str, trials: int, task: str = "regression") -> Records:
    """So many trials of two optimizers, of two epochs each."""
    key = pd.DataFrame({"optimizer": ["adam", "sgd"]}).merge(pd.DataFrame({"trial": range(trials)}), "cross")
    curves = key.merge(pd.DataFrame({"epoch": [0, 1]}), "cross")
    # The seed of the search differs, so the configuration does.
    config = STARTUP[:-1] + f', "seed": "{sampler}"}}'
    columns = {"sampler": sampler, "task": task, "protocol": "fair", "config": config}
    return Records(key.assign(**columns), curves)


def test_studies_taken_as_one_are_numbered_through_with_their_curves() -> None:
    ours = {name: study(name, 3) for name in ("tpe", "random", "tpe-seed1")}
    pooled = draws.pooled(ours)
    assert list(pooled) == ["tpe", "random"]
    trials, curves = pooled["tpe"]
    assert trials.groupby("optimizer")["trial"].apply(list).to_dict() == {
        "adam": [0, 1, 2, 3, 4, 5], "sgd": [0, 1, 2, 3, 4, 5],
    }  # fmt: skip
    assert trials.loc[trials["trial"] > 2, "sampler"].unique().tolist() == ["tpe-seed1"]
    assert (curves.groupby(["optimizer", "trial"]).size() == 2).all()
    assert len(curves) == 24
    assert pooled["random"] is ours["random"]


def test_a_family_has_the_confirmations_of_its_studies_with_all_that_was_found_and_without() -> None:
    for sampler in ("tpe", "tpe-seed1", "tpe-seed1-confirmed", "tpe-confirmed-without_schedule.warmup"):
        assert draws.family(sampler) == "tpe"
    assert draws.family("tpe-without_xi") == "tpe-without_xi"


def test_a_figure_says_whose_trials_it_shows() -> None:
    one, other, random = (study(name, 3).trials for name in ("tpe", "tpe-seed1", "random"))
    assert draws.origin(one) == "regression (our runs, protocol fair, tpe)"
    assert draws.origin(one, other) == "regression (our runs, protocol fair, tpe, 2 studies)"
    assert draws.origin(one, random) == "regression (our runs, protocol fair)"
    elsewhere = study("tpe", 3, task="mnist").trials
    assert draws.origin(one, elsewhere) == "2 tasks (our runs, protocol fair, tpe)"
    assert draws.origin(one, other, elsewhere) == "2 tasks (our runs, protocol fair, tpe, 1 to 2 studies)"


def test_studies_taken_as_one_that_ended_before_they_modelled_anything_are_warned_of() -> None:
    short, long = ({name: study(name, number) for name in ("tpe", "tpe-seed1")} for number in (16, 17))
    (warning,) = draws.warnings(draws.pooled(short))
    assert warning.startswith("tpe: all 16 trials of each optimiser are random draws")
    assert not draws.warnings(draws.pooled(long))
