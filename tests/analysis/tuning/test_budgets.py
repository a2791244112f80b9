"""Three budgets: what each allows, and the orders that they turn round."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from induced_metric import records
from induced_metric.analysis.confirmations import confirmed
from induced_metric.analysis.tuning import budgets
from induced_metric.analysis.tuning.budgets import EPOCHS, SECONDS, TRIALS, Outcome
from induced_metric.analysis.tuning.costs import read_costs
from induced_metric.records import CONFIRMED, FIXED, Records

PUBLISHED = Path(__file__).parents[3] / "results" / "published"
NONE = pd.Series(dtype=float)


TWO = {"adam": [9, 8, 7, 6, 5, 4, 3, 2, 1.5, 1], "sgd": [3.0] * 10}


def tuned(seeds: int = 30, losses: Mapping[str, Sequence[float]] = TWO) -> dict[str, Records]:
    """Adam is ahead after ten epochs, SGD after five."""
    rng = np.random.default_rng(0)
    trials, curves = [], []
    for name, curve in losses.items():
        for seed in range(seeds):
            values = np.array(curve) + 0.1 * rng.normal()
            trials.append(
                {"optimizer": name, "trial": seed, "seed": seed, "state": "complete", "diverged": False,
                 "value": values.min(), "best_epoch": int(values.argmin()), "epochs": 10,
                 "objective": "test/loss", "direction": "minimize", "config": "{}", "provenance": "{}",
                 "protocol": "paper"}
            )  # fmt: skip
            columns = {"epoch": range(10), "seconds": 1.0, "test/loss": values}
            curves.append(pd.DataFrame({"optimizer": name, "trial": seed, **columns}))
    return {FIXED: Records(pd.DataFrame(trials), pd.concat(curves, ignore_index=True))}


def test_a_trial_cut_short_has_the_best_value_up_to_there() -> None:
    (study,) = tuned().values()
    cut = budgets.best_within(study, {"adam": 5, "sgd": 10}).trials
    adam, whole = (table[table["optimizer"] == "adam"] for table in (cut, study.trials))
    np.testing.assert_allclose(adam["value"], whole["value"] + 4)
    assert set(adam["best_epoch"]) == {4}
    assert set(adam["epochs"]) == {5}
    sgd = [table[table["optimizer"] == "sgd"]["value"].tolist() for table in (cut, study.trials)]
    assert sgd[0] == sgd[1]


def confirmations(seeds: int = 30) -> tuple[dict[str, Records], dict[str, Records]]:
    """Of which validation chose the epoch, and test is lowest in another; and the search before them."""
    (study,) = tuned(seeds).values()
    rng = np.random.default_rng(1)
    curves = study.curves.assign(**{"validation/loss": rng.uniform(1, 2, len(study.curves))})
    key = ["optimizer", "trial"]
    chosen = curves.sort_values("validation/loss").drop_duplicates(key).set_index(key)
    chosen = chosen.loc[pd.MultiIndex.from_frame(study.trials[key])]
    config = json.dumps({"task": {"objective": "validation/loss"}})
    trials = study.trials.assign(
        config=config, value=chosen["test/loss"].to_numpy(), best_epoch=chosen["epoch"].to_numpy()
    )
    searched = study.trials.assign(
        config=config, objective="validation/loss", value=chosen["validation/loss"].to_numpy()
    )
    return {f"random{CONFIRMED}": Records(trials, curves)}, {"random": Records(searched, curves)}


def test_of_a_confirmation_validation_chooses_the_epoch() -> None:
    ours, searches = confirmations()
    (study,) = ours.values()
    lowest = study.curves.groupby(["optimizer", "trial"])["test/loss"].min().to_numpy()
    assert (study.trials["value"] > lowest).any()
    whole = budgets.best_within(study, {"adam": 10, "sgd": 10}).trials
    pd.testing.assert_frame_equal(whole[study.trials.columns], study.trials, check_dtype=False)
    cut = budgets.best_within(study, {"adam": 5, "sgd": 5})
    at = cut.trials.merge(cut.curves, left_on=["optimizer", "trial", "best_epoch"],
                          right_on=["optimizer", "trial", "epoch"])  # fmt: skip
    assert at["value"].tolist() == at["test/loss"].tolist()
    best = cut.curves.groupby(["optimizer", "trial"])["validation/loss"].min()
    assert at["validation/loss"].tolist() == best.tolist()

    found = budgets.outcomes(ours, searches, NONE)[EPOCHS].values
    means = confirmed.standings("regression", ours, searches).set_index("optimizer")["mean"]
    np.testing.assert_allclose(found[means.index], means)


def test_the_metric_of_a_search_is_named_where_it_is_another() -> None:
    ours, searches = confirmations()
    table = budgets.budgets_table("regression", ours, searches, NONE)
    assert "test loss" in table.title
    assert "Equal trials (validation loss)" in table.cells
    assert "Equal trials (validation loss)" in table.bold
    same = {"random": next(iter(ours.values()))}
    assert "Equal trials" in budgets.budgets_table("regression", ours, same, NONE).cells


def test_a_training_that_failed_without_a_curve_counts_as_lost() -> None:
    (study,) = tuned(2).values()
    failed = (study.trials["optimizer"] == "adam") & (study.trials["trial"] == 1)
    trials = study.trials.assign(
        state=study.trials["state"].mask(failed, "failed"),
        value=study.trials["value"].mask(failed, 3e38),
        best_epoch=study.trials["best_epoch"].mask(failed, -1),
        epochs=study.trials["epochs"].mask(failed, 0),
    )
    curves = study.curves[(study.curves["optimizer"] != "adam") | (study.curves["trial"] != 1)]
    cut = budgets.best_within(Records(trials, curves), {"adam": 5, "sgd": 5}).trials
    assert cut["best_epoch"].tolist()[:2] == [4, -1]
    assert cut["value"].tolist()[1] == 3e38
    assert cut["state"].tolist() == ["complete", "failed", "complete", "complete"]


def test_what_diverges_later_has_not_diverged_yet() -> None:
    (study,) = tuned(2).values()
    lost = study.trials["trial"] == 0
    trials = study.trials.assign(
        diverged=lost, value=study.trials["value"].mask(lost, 3e38), epochs=np.where(lost, 6, 10)
    )
    curves = study.curves[(study.curves["trial"] == 1) | (study.curves["epoch"] < 6)].copy()
    curves.loc[(curves["trial"] == 0) & (curves["epoch"] == 5), "test/loss"] = np.nan
    before = budgets.best_within(Records(trials, curves), {"adam": 5, "sgd": 5}).trials
    assert not before["diverged"].any()
    assert before["value"].max() < 10
    after = budgets.best_within(Records(trials, curves), {"adam": 6, "sgd": 6}).trials
    assert after["diverged"].tolist() == [True, False] * 2
    assert after.loc[after["diverged"], "value"].tolist() == [3e38] * 2


def test_equal_seconds_turn_an_order_round_that_equal_epochs_have() -> None:
    found = budgets.outcomes(tuned(), {}, pd.Series({"adam": 2.0, "sgd": 1.0}))
    assert list(found) == [EPOCHS, SECONDS]
    assert found[SECONDS].allowed.to_dict() == {"adam": 5, "sgd": 10}
    assert found[EPOCHS].leads == {("adam", "sgd")}
    assert found[SECONDS].leads == {("sgd", "adam")}
    turned = budgets.reversals(found, minimize=True)
    assert turned.to_dict("records") == [
        {"optimizer": "adam", "other": "sgd", "ahead": EPOCHS, "behind": SECONDS, "decided": True}
    ]
    table = budgets.budgets_table("regression", tuned(), {}, pd.Series({"adam": 2.0, "sgd": 1.0}))
    note = "both orders are significant: ADAM leads SGD at equal epochs, but not at equal device seconds."
    assert f"Reversals where {note}" in table.notes
    assert table.cells["Epochs in these seconds"].tolist() == ["5", "10"]


def test_only_the_pairs_of_the_verdicts_have_leads() -> None:
    """All pairs of many optimisers would need a correction that leaves little of the verdicts."""
    levels = {"adamw": 2.0, "sgd": 4.0, "lion": 6.0, "yogi": 8.0}
    found = budgets.outcomes(tuned(losses={name: [level] * 10 for name, level in levels.items()}), {}, NONE)
    assert found[EPOCHS].leads == {("adamw", "sgd"), ("adamw", "lion"), ("adamw", "yogi")}


def test_many_reversals_that_may_be_chance_are_counted_not_listed() -> None:
    names = [f"p{k}" for k in range(5)]
    flat = {EPOCHS: np.arange(5.0), SECONDS: -np.arange(5.0)}
    found = {budget: budgets.Outcome(pd.Series(values, names), set(), pd.Series(5, names))
             for budget, values in flat.items()}  # fmt: skip
    rows = budgets.reversals(found, minimize=True)
    assert len(rows) == 10
    assert "at most one of the two orders is known to be significant: 10, so" in budgets._reversed_note(
        rows, decided=False
    )
    assert "P0 leads P1" in budgets._reversed_note(rows[:6], decided=False)
    assert "P0 leads P4" in budgets._reversed_note(rows, decided=True)


def test_without_costs_nothing_is_said_of_seconds() -> None:
    for costs, whose in ((NONE, ""), (pd.Series({"adam": 2.0}), " for SGD")):
        assert SECONDS not in budgets.outcomes(tuned(), {}, costs)
        table = budgets.budgets_table("regression", tuned(), {}, costs)
        assert (
            f"No cost per epoch is on record{whose}, so there is no comparison at equal device seconds."
            in table.notes
        )
        assert "No order is reversed." in table.notes


def test_a_reversal_within_the_error_is_named_as_one() -> None:
    names = ["adam", "sgd"]
    found = {
        EPOCHS: Outcome(pd.Series([1.0, 2.0], names), {("adam", "sgd")}, pd.Series(5, names)),
        TRIALS: Outcome(pd.Series([2.0, 1.0], names), set(), pd.Series(5, names)),
    }
    assert budgets.reversals(found, minimize=True)["decided"].tolist() == [False]
    assert budgets.reversals(found, minimize=False)["optimizer"].tolist() == ["sgd"]
    same = found | {TRIALS: found[EPOCHS]}
    assert budgets.reversals(same, minimize=True).empty


def test_costs_are_read_from_their_table(tmp_path) -> None:
    path = tmp_path / "costs.csv"
    assert read_costs(path, "regression").empty
    path.write_text("task,optimizer,seconds_per_epoch\nregression,adam,0.5\nmnist,adam,2\n")
    assert read_costs(path, "regression").to_dict() == {"adam": 0.5}
    path.write_text("task,optimizer,seconds_per_epoch\nregression,adam,0\n")
    with pytest.raises(ValueError, match="must be > 0, got 0"):
        read_costs(path, "regression")
    path.write_text("task,optimizer\nregression,adam\n")
    with pytest.raises(ValueError, match="there is no seconds_per_epoch"):
        read_costs(path, "regression")


def test_the_published_settings_and_the_random_search_disagree_on_muon() -> None:
    ours = {FIXED: records.load("regression", sampler=FIXED, results=PUBLISHED)}
    searches = {"random": records.load("regression", sampler="random", results=PUBLISHED)}
    found = budgets.outcomes(ours, searches, NONE)
    assert found[TRIALS].allowed["adam"] == 100
    turned = budgets.reversals(found, minimize=True)
    decided = turned[turned["decided"]]
    assert set(decided["other"]) == {"muon"}
    assert set(decided["optimizer"]) == {"sgd_metric", "sgd_log_metric"}
