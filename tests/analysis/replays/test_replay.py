"""Recorded searches under other rules: cut, selected, ranked, and what is said of it."""

import json

import numpy as np
import pytest
import synthetic

from induced_metric.analysis import runs
from induced_metric.analysis.replays.pruning import Pruner, successive_halving
from induced_metric.analysis.replays.replay import Rules, agreements, ranking, replay, replay_table
from induced_metric.errors import UserError
from induced_metric.records import Records

OPTIMIZERS = ("adam", "sgd", "muon")
HALVING = Pruner(
    name="halving", rule=successive_halving(min_resource=5, reduction_factor=3), rungs=(5, 15), in_flight=2
)


@pytest.fixture(params=["test/loss", "test/accuracy"])
def searches(tmp_path, request):
    for sampler in ("tpe", "random"):
        for optimizer in OPTIMIZERS:
            synthetic.write_study(
                tmp_path, optimizer, trials=20, epochs=30, sampler=sampler, objective=request.param
            )
    return runs.load_samplers("regression", results=tmp_path)


def of(searches, sampler, optimizer):
    trials, curves = searches[sampler]
    return Records(
        trials[trials["optimizer"] == optimizer].reset_index(drop=True),
        curves[curves["optimizer"] == optimizer],
    )


def test_without_other_rules_it_is_what_is_recorded(searches):
    for sampler in searches:
        best = runs.top(searches[sampler].trials, 5)
        for optimizer in OPTIMIZERS:
            study = of(searches, sampler, optimizer)
            found = replay(study, Rules())
            direction = study.trials["direction"].iloc[0]
            expected = best.loc[best["optimizer"] == optimizer, "value"].mean()
            assert found.mean(5, direction) == pytest.approx(expected)
            # One was stopped, one diverged: neither can be among the best.
            assert (found.trials, len(found.values), found.stopped) == (20, 18, 1)
    table = ranking(searches, Rules())
    assert (table["rank"] == table["new_rank"]).all()
    assert (table["epochs"] == 1).all()
    assert agreements(table) == {"random": pytest.approx(1), "tpe": pytest.approx(1)}


def test_trials_and_epochs_are_cut_and_the_last_epoch_is_another_value(searches):
    study = of(searches, "tpe", "sgd")
    objective, direction = study.trials[["objective", "direction"]].iloc[0]
    minimize = direction == "minimize"
    whole = study.curves.pivot_table(index="trial", columns="epoch", values=objective)
    curves = whole.loc[:6, :9]
    best = curves.min(axis=1) if minimize else curves.max(axis=1)
    cut = replay(study, Rules(trials=7, epochs=10))
    assert cut.values == pytest.approx(np.sort(best))
    assert (cut.trials, cut.epochs) == (7, 70)
    last = replay(study, Rules(trials=7, select="last"))
    assert last.values == pytest.approx(np.sort(whole.loc[:6, 29]))
    assert last.values.tolist() != replay(study, Rules(trials=7)).values.tolist()


def test_a_trial_that_diverged_or_was_stopped_later_had_not_yet(searches):
    study = of(searches, "random", "adam")
    assert len(replay(study, Rules(epochs=29)).values) == len(replay(study, Rules()).values) + 2


def test_stopped_trials_count_only_where_the_rule_says_so(searches):
    study = of(searches, "random", "adam")
    found = replay(study, Rules(pruner=HALVING))
    assert found.stopped > 5
    assert len(found.values) <= 20 - found.stopped
    ranked = Pruner(**{**vars(HALVING), "ranks_stopped": True})
    assert len(replay(study, Rules(pruner=ranked)).values) > len(found.values)
    assert found.epochs < 20 * 30


def test_an_optimiser_of_which_every_trial_failed_at_once_has_no_rank(searches):
    trials, curves = searches["random"]
    lost = trials["optimizer"] == "sgd"
    trials = trials.assign(state=trials["state"].mask(lost, "failed"), epochs=trials["epochs"].mask(lost, 0))
    failed = {"random": Records(trials, curves[curves["optimizer"] != "sgd"])}
    for rules in (Rules(), Rules(epochs=10, pruner=HALVING)):
        table = replay_table("regression", failed, rules)
        row = table.cells[table.data["optimizer"] == "sgd"].iloc[0]
        assert row[["Rank", "New rank", "Epochs used", "Stopped"]].tolist() == ["–", "–", "–", "0"]
        assert not table.bold.loc[table.data["optimizer"] == "sgd", "New rank"].any()


def test_the_table_says_how_the_ranking_moves_and_what_it_cannot_know(searches):
    table = replay_table("regression", searches, Rules(trials=10, epochs=8, top=2, pruner=HALVING))
    assert len(table.cells) == len(OPTIMIZERS) * 2
    assert "Kendall's τ" in table.notes[0]
    (adaptive,) = [note for note in table.notes if "would have proposed other trials" in note]
    assert adaptive.startswith("tpe:")  # random search proposes the same whatever it sees
    table = replay_table("regression", searches, Rules(pruner=Pruner(**{**vars(HALVING), "rungs": (40,)})))
    assert any("first judges after 40 epochs" in note for note in table.notes)
    # Nor does a pruner on record make its proposals depend on results.
    trials, curves = searches["random"]
    configs = [json.dumps(json.loads(text) | {"pruner": {"name": "halving"}}) for text in trials["config"]]
    pruned = searches | {"random": Records(trials.assign(config=configs), curves)}
    assert adaptive in replay_table("regression", pruned, Rules(epochs=8)).notes
    # Fewer trials alone change nothing of what was proposed.
    table = replay_table("regression", searches, Rules(trials=10))
    assert not any("proposed" in note for note in table.notes)


@pytest.mark.parametrize(
    ("rules", "sentence"),
    [
        ({"trials": 0}, "trials must be >= 1, got 0"),
        ({"select": "median"}, "select must be best or last, got median"),
    ],
)
def test_rules_out_of_range_are_refused(rules, sentence):
    with pytest.raises(UserError, match=sentence):
        Rules(**rules)


def test_a_budget_beyond_the_record_is_refused(searches):
    with pytest.raises(UserError, match="has 20 trials of"):
        ranking(searches, Rules(trials=21))


def test_the_records_are_not_changed(searches):
    before = {name: study.trials.copy() for name, study in searches.items()}
    ranking(searches, Rules(epochs=5, pruner=HALVING))
    assert all(study.trials.equals(before[name]) for name, study in searches.items())
