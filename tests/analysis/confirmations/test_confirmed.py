"""Confirmations: whose they are, what the search promised, and their tables."""

import json
from pathlib import Path

import numpy as np
import pytest
import synthetic

from induced_metric import records
from induced_metric.analysis import making
from induced_metric.analysis.confirmations import confirmed, confirmed_tables
from induced_metric.records import CONFIRMED, FIXED, Records, RecordStore, StudyKey

PUBLISHED = Path(__file__).parents[3] / "results" / "published"
SEEDS = 12


@pytest.fixture
def searches() -> dict[str, Records]:
    """Two studies of two optimizers, of which the second found less."""
    return {
        name: synthetic.joined(
            synthetic.study_of("adam", np.array([0.9, best, 0.5]), sampler=name),
            synthetic.study_of("sgd", np.array([0.9, 2 * best, 0.5]), sampler=name),
        )
        for name, best in (("tpe", 0.1), ("tpe-seed1", 0.12))
    }


@pytest.fixture
def ours() -> dict[str, Records]:
    """Their winners from the same fresh seeds."""
    noise = np.random.default_rng(0).normal(scale=0.01, size=(2, SEEDS))
    return {
        f"{name}{CONFIRMED}": synthetic.joined(
            synthetic.study_of("adam", 0.15 + noise[place], sampler=f"{name}{CONFIRMED}", first_seed=50),
            synthetic.study_of("sgd", 0.3 + noise[place][::-1], sampler=f"{name}{CONFIRMED}", first_seed=50),
        )
        for place, name in enumerate(("tpe", "tpe-seed1"))
    }


def test_every_training_belongs_to_the_study_that_chose_it(ours, searches) -> None:
    table = confirmed.collect(ours, searches)
    assert set(table["study"]) == {"tpe", "tpe-seed1"}
    assert len(table) == 2 * 2 * SEEDS


def test_optimism_is_what_the_search_saw_beyond_what_it_is_worth(ours, searches) -> None:
    table = confirmed.standings("regression", ours, searches).set_index("optimizer")
    adam = table.loc["adam"]
    assert adam["mean"] == pytest.approx(0.15, abs=0.01)
    assert adam["low"] < adam["mean"] < adam["high"]
    assert adam["searched"] == pytest.approx(np.sqrt(0.1 * 0.12))
    assert adam["optimism"] == pytest.approx(adam["searched"] - adam["mean"])
    assert table["studies"].tolist() == [2, 2]
    unknown = confirmed.standings("regression", ours, {"tpe": searches["tpe"]}).set_index("optimizer")
    assert np.isnan(unknown.loc["adam", "optimism"])


def test_a_study_half_done_counts_the_seeds_that_all_have(ours, searches) -> None:
    half = {
        name: study._replace(trials=study.trials.groupby("optimizer").head(SEEDS // 2))
        for name, study in ours.items()
        if name != f"tpe{CONFIRMED}"
    }
    table = confirmed.standings("regression", {**ours, **half}, searches).set_index("optimizer")
    assert (table["seeds"] == SEEDS // 2).all()
    assert table.loc["adam", "optimism"] == pytest.approx(
        table.loc["adam", "searched"] - table.loc["adam", "mean"]
    )


def test_optimism_compares_the_metric_that_the_search_chose_by(ours, searches) -> None:
    before = confirmed.standings("regression", ours, searches).set_index("optimizer")
    for study in searches.values():
        study.trials["objective"] = "validation/loss"
    read = {}
    for name, (trials, _) in ours.items():
        curves = trials[["optimizer", "trial"]].assign(epoch=trials["best_epoch"], seconds=0.0)
        curves["validation/loss"] = (trials["value"] / 2).astype(np.float32)
        read[name] = Records(trials.assign(objective="test/loss"), curves)
    table = confirmed.standings("regression", read, searches).set_index("optimizer")
    assert table["mean"].tolist() == before["mean"].tolist()
    expected = before["optimism"] + before["mean"] / 2
    assert table["optimism"].to_numpy() == pytest.approx(expected.to_numpy(), abs=1e-7)


@pytest.mark.parametrize(("kind", "values"), [("loss", (0.2, 5.0)), ("accuracy", (0.7, -0.1))])
def test_being_lost_is_no_better_than_the_worst_that_was_reached(searches, kind, values) -> None:
    """A training may end worse than anything that a search has seen."""
    usual, bad = values
    name = f"tpe{CONFIRMED}"
    options = {"objective": "test/accuracy", "direction": "maximize"} if kind == "accuracy" else {}
    study = synthetic.study_of(
        "adam", np.array([usual, usual, bad, usual]), sampler=name, first_seed=50, **options
    )
    study.trials.loc[study.trials["trial"] == 3, "diverged"] = True
    table = confirmed.collect({name: study}, searches if kind == "loss" else {}).set_index("seed")
    assert table["lost"].tolist() == [False, False, False, True]
    assert table["value"].iloc[3] == table["value"].iloc[2] == pytest.approx(bad)


def test_what_diverged_counts_as_the_worst(ours, searches) -> None:
    name = f"tpe{CONFIRMED}"
    trials = ours[name].trials
    trials.loc[trials.index[0], ["diverged", "value"]] = [True, float(np.finfo(np.float32).max)]
    table = confirmed.collect(ours, searches)
    assert table["lost"].sum() == 1
    assert table.loc[table["lost"], "value"].item() == pytest.approx(0.9)
    rendered = confirmed_tables.confirmed_table("regression", ours, searches)
    assert any(
        "ADAM 1. Each counts as 0.9: the median over the optimisers" in note for note in rendered.notes
    )


def test_the_verdict_names_its_margin_its_method_and_its_n(ours, searches) -> None:
    table = confirmed_tables.verdicts_table("regression", ours, searches)
    assert table is not None
    assert table.cells[["Optimiser", "Against", "Verdict", "n"]].iloc[0].tolist() == [
        "ADAM", "SGD", "better", f"2×{SEEDS}",
    ]  # fmt: skip
    text = " ".join(table.notes)
    assert "a fifth of the median standard deviation of the logarithm over seeds" in text
    assert "Holm over 1 pair." in text
    assert "so they include the luck of the search" in text


def test_the_margin_is_the_one_that_the_protocol_of_the_records_states(ours, searches) -> None:
    config = json.dumps({"protocol": {"name": "fair", "margin": 5.0}})
    stated = {name: Records(x.trials.assign(config=config), x.curves) for name, x in ours.items()}
    table = confirmed_tables.verdicts_table("regression", stated, searches)
    assert table is not None
    assert table.cells["Verdict"].tolist() == ["equivalent"]
    assert "margin of 5 (stated beforehand, of the logarithm)" in table.notes[0]
    assert confirmed.stated_margin(ours) is None


def test_the_interval_of_an_accuracy_stays_below_one(ours, searches) -> None:
    def accurate(studies) -> dict[str, Records]:
        facts = {"objective": "test/accuracy", "direction": "maximize"}
        spread = {"value": lambda trials: 1 - trials["value"] * (1 + 5 * trials["sampler"].str.contains("1"))}
        return {name: study._replace(trials=study.trials.assign(**facts, **spread))
                for name, study in studies.items()}  # fmt: skip

    table = confirmed.standings("mine", accurate(ours), accurate(searches))
    assert (table["mean"] < table["high"]).all()
    assert (table["high"] == 1).any()


def test_one_optimizer_has_a_standing_and_no_verdict(ours, searches) -> None:
    alone = {name: Records(x.trials[x.trials["optimizer"] == "adam"], x.curves) for name, x in ours.items()}
    assert len(confirmed_tables.confirmed_table("regression", alone, searches).data) == 1
    assert confirmed_tables.verdicts_table("regression", alone, searches) is None


def test_the_published_settings_are_worth_less_than_the_search_saw() -> None:
    fixed = {FIXED: records.load("regression", sampler=FIXED, results=PUBLISHED)}
    searches = {"random": records.load("regression", sampler="random", results=PUBLISHED)}
    table = confirmed.standings("regression", fixed, searches).set_index("optimizer")
    assert (table["optimism"] < 0).all()
    assert table.loc["adam", "mean"] == pytest.approx(0.0325, abs=1e-4)
    assert table["seeds"].tolist() == [100] * 7
    changed = {FIXED: fixed[FIXED]._replace(trials=fixed[FIXED].trials.assign(protocol="paper_new_bits"))}
    other = confirmed.standings("regression", changed, searches)
    assert other["mean"].notna().all()
    assert other[["searched", "optimism"]].isna().all(axis=None)  # of another data set: no luck
    verdict = confirmed_tables.verdicts_table("regression", fixed, searches)
    assert verdict is not None
    assert any("seeds alone" in note for note in verdict.notes)


def test_confirmations_on_record_are_reports_and_no_searches(tmp_path, searches, ours) -> None:
    for sampler, study in (searches | ours).items():
        for name, own in study.trials.groupby("optimizer"):
            store = RecordStore(StudyKey("paper", "regression", sampler, str(name)).directory(tmp_path))
            rows = own.dropna(axis=1).to_dict("records")
            curves = [synthetic.trial(int(r["trial"]), optimizer=str(name), epochs=2)[1] for r in rows]
            store.append([{str(key): value for key, value in row.items()} for row in rows], curves)
    assert records.searches("regression", results=tmp_path) == ["tpe", "tpe-seed1"]
    assert records.confirmations("regression", results=tmp_path) == list(ours)
    names = [stem.name for stem, _ in making.make("tables", "regression", results=tmp_path)]
    expected = [
        "paper-regression-tpe-confirmed",
        "paper-regression-tpe-verdicts",
        "paper-regression-tpe-overview",
        "paper-regression-tpe-last_epoch",
        "paper-regression-tpe-budgets",
    ]
    assert [name for name in names if "-tpe-" in name] == expected
