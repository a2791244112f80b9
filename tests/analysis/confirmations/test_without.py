"""The same winners with a hyperparameter and without: who is paired with whom, and what follows."""

import json

import numpy as np
import pytest
import synthetic
import tuned

from induced_metric.analysis import making
from induced_metric.analysis.confirmations import hierarchy, verdicts, without, without_figure, without_table
from induced_metric.records import CONFIRMED, WITHOUT, Records

SEEDS = 12
STUDIES = ("tpe", "tpe-seed1")
FOUND = {"sgd_metric": (2e-7, 4e-6), "sgd_rms": (3e-8, 250.0)}


def config(trial: int) -> str:
    return json.dumps({"source": {"sampler": "tpe", "trial": trial, "value": 0.1}})


@pytest.fixture
def searches() -> dict[str, Records]:
    return {
        name: synthetic.joined(
            *(synthetic.study_of(each, np.array([0.9, 0.1, 0.5]), sampler=name) for each in FOUND)
        )
        for name in STUDIES
    }


@pytest.fixture
def ours() -> dict[str, Records]:
    """To SGD_METRIC xi does nothing, and SGD_RMS doubles its loss without; a seed does alike to both."""
    rng = np.random.default_rng(0)
    found: dict[str, Records] = {}
    for place, name in enumerate(STUDIES):
        seeds = rng.normal(scale=0.3, size=SEEDS)
        noise = rng.normal(scale=1e-3, size=(3, SEEDS))
        own = {"config": config(place), "first_seed": 50}
        sampler = name + CONFIRMED
        value = np.exp(np.log(0.2) + seeds)
        found[sampler] = synthetic.joined(
            *(
                synthetic.study_of(each, value, sampler=sampler, xi=FOUND[each][place], **own)
                for each in FOUND
            )
        )
        sampler += f"{WITHOUT}xi"
        same, doubled = value * np.exp(noise[0]), 2 * value * np.exp(noise[1])
        found[sampler] = synthetic.joined(
            synthetic.study_of("sgd_metric", same, sampler=sampler, xi=0.0, **own),
            synthetic.study_of("sgd_rms", doubled, sampler=sampler, xi=0.0, **own),
        )
    return found


def replaced(ours, sampler, **columns):
    """The records with other columns in one study."""
    study = ours[sampler]
    return {**ours, sampler: Records(study.trials.assign(**columns), study.curves)}


def test_a_winner_is_paired_with_itself_on_the_same_seed(ours, searches) -> None:
    table = without.compare(ours, searches).set_index("optimizer")
    assert table["verdict"].to_dict() == {"sgd_metric": "equivalent", "sgd_rms": "better"}
    assert table["studies"].tolist() == [2, 2]
    assert table["seeds"].tolist() == [SEEDS] * 2
    rms = table.loc["sgd_rms"]
    assert rms["difference"] == pytest.approx(-np.log(2), abs=1e-3)
    assert rms["mean_without"] / rms["mean"] == pytest.approx(2, abs=5e-3)
    assert (rms["superiority"], rms["changed"]) == (1, 2)
    assert (rms["least"], rms["most"]) == (3e-8, 250.0)
    pairs = [
        np.log(ours[f"{name}{CONFIRMED}"].trials.query("optimizer == 'sgd_rms'")["value"].to_numpy())
        - np.log(ours[f"{name}{CONFIRMED}{WITHOUT}xi"].trials.query("optimizer == 'sgd_rms'")["value"])
        for name in STUDIES
    ]
    found = hierarchy.estimate(np.array(pairs))
    assert (rms["low"], rms["high"]) == pytest.approx(found.interval(1 - 0.05 / 2))
    p = [hierarchy.estimate(np.array(pairs)).p_value(), 1.0]
    assert rms["p"] == pytest.approx(verdicts.holm(np.array(p))[0])
    # The seeds vary three hundred times as much as the differences: unpaired, nothing could be equivalent.
    shuffled = {
        name: Records(study.trials.assign(seed=study.trials["seed"].to_numpy()[::-1]), study.curves)
        if WITHOUT in name
        else study
        for name, study in ours.items()
    }
    assert without.compare(shuffled, searches).set_index("optimizer").loc["sgd_metric", "verdict"] == (
        "undecided"
    )


def test_what_is_greater_is_better_where_that_is_the_direction(ours, searches) -> None:
    accuracy = {
        name: Records(
            study.trials.assign(direction="maximize", value=np.log(study.trials["value"])), study.curves
        )
        for name, study in ours.items()
    }
    table = without.compare(accuracy, searches).set_index("optimizer")
    assert not table["logarithmic"].any()
    rms = table.loc["sgd_rms"]
    assert (rms["superiority"], rms["verdict"]) == (0, "worse")
    assert rms["difference"] == pytest.approx(-np.log(2), abs=1e-3)


def test_bit_identical_trainings_are_equivalent(ours, searches) -> None:
    for name in STUDIES:
        plain = ours[name + CONFIRMED]
        reduced = plain.trials.assign(xi=0.0, sampler=f"{name}{CONFIRMED}{WITHOUT}xi")
        ours[f"{name}{CONFIRMED}{WITHOUT}xi"] = Records(reduced, plain.curves)
    table = without.compare(ours, searches)
    assert (table[["difference", "low", "high", "changed"]] == 0).all(axis=None)
    assert (table["superiority"] == 0.5).all()
    assert (table["verdict"] == "equivalent").all()


def test_a_study_that_was_trained_one_way_alone_is_left_out(ours, searches) -> None:
    del ours[f"tpe{CONFIRMED}{WITHOUT}xi"]
    table = without.compare(ours, searches)
    assert table["studies"].tolist() == [1, 1]
    assert table["most"].tolist() == [4e-6, 250.0]
    assert table["least"].tolist() == [4e-6, 250.0]
    rendered = without_table.without_table("regression", ours, searches)
    assert rendered is not None
    assert any("seeds alone" in note for note in rendered.notes)
    del ours[f"tpe-seed1{CONFIRMED}{WITHOUT}xi"]
    assert without_table.without_table("regression", ours, searches) is None


def test_the_seeds_are_those_of_both(ours, searches) -> None:
    sampler = f"tpe{CONFIRMED}{WITHOUT}xi"
    trials = ours[sampler].trials
    ours[sampler] = Records(trials[trials["seed"] < 55], ours[sampler].curves)
    assert without.compare(ours, searches)["seeds"].tolist() == [5, 5]
    # One seed has no error: such a study is under way.
    ours[sampler] = Records(trials[trials["seed"] < 51], ours[sampler].curves)
    table = without.compare(ours, searches)
    assert (table["studies"].tolist(), table["seeds"].tolist()) == ([1, 1], [SEEDS] * 2)


def test_another_winner_is_refused(ours, searches) -> None:
    sampler = f"tpe-seed1{CONFIRMED}{WITHOUT}xi"
    with pytest.raises(ValueError, match=rf"winner of sgd_metric differs between {sampler} and tpe-seed1"):
        without.compare(replaced(ours, sampler, config=config(9)), searches)


def test_what_diverges_without_it_counts_as_the_worst_and_is_said(ours, searches) -> None:
    for name in STUDIES:
        trials = ours[f"{name}{CONFIRMED}{WITHOUT}xi"].trials
        lost = trials["optimizer"] == "sgd_rms"
        trials.loc[lost, ["diverged", "value"]] = [True, float(np.finfo(np.float32).max)]
    table = without.compare(ours, searches).set_index("optimizer")
    assert table["lost_without"].to_dict() == {"sgd_metric": 0, "sgd_rms": 2 * SEEDS}
    assert table.loc["sgd_rms", "mean_without"] == pytest.approx(0.9)
    rendered = without_table.without_table("regression", ours, searches)
    assert rendered is not None
    assert rendered.notes[-1].startswith("Diverged or failed: SGD_RMS 0 with and 24 without.")


def test_the_table_says_what_was_found_and_what_follows(ours, searches) -> None:
    table = without_table.without_table("regression", ours, searches)
    assert table is not None
    shown = table.cells.set_index("Optimiser")
    assert shown.loc["SGD_METRIC", "xi found"] == "2e-07 to 4e-06"
    assert shown.loc["SGD_RMS", ["Verdict", "n", "Changed"]].tolist() == ["better", f"2×{SEEDS}", "2 of 2"]
    assert shown.loc["SGD_RMS", "Ratio"].startswith(("0.499", "0.500", "0.501"))
    assert "as a ratio of geometric means; below 1, xi makes them better" in table.title
    assert "Holm over 2 optimisers" in table.notes[0]


def test_the_figure_has_a_point_for_each_winner_marked_where_it_changes(ours, searches) -> None:
    figure = without_figure.without_figure(ours, searches)
    assert figure is not None
    (dots,) = figure.axes[0].collections
    widths, shares = dots.get_linewidths(), dots.get_array()
    points = {
        tuple(map(float, place)): (float(share), width > 1)
        for place, share, width in zip(dots.get_offsets(), shares, widths, strict=True)
    }
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["SGD_METRIC", "SGD_RMS"]
    assert points[3e-8, 1.0] == points[250.0, 1.0] == (1.0, True)
    assert {place for place, _ in points} == {2e-7, 4e-6, 3e-8, 250.0}
    table = without.by_winner(ours, without.collect(ours, searches))
    assert sum(thick for _, thick in points.values()) == table["changed"].sum()
    assert f"over {SEEDS} seeds" in figure.get_supxlabel()
    assert figure.get_suptitle().startswith("regression (our runs, protocol paper, tpe, 2 studies)")
    del ours[f"tpe{CONFIRMED}{WITHOUT}xi"], ours[f"tpe-seed1{CONFIRMED}{WITHOUT}xi"]
    assert without_figure.without_figure(ours, searches) is None


@pytest.mark.slow
def test_on_record_it_is_a_table_of_its_own_and_changes_no_other(tmp_path) -> None:
    for task in ("regression", "mnist"):
        for optimizer in ("adamw", "sgd", "lion"):
            for sampler in tuned.STUDIES:
                tuned.write(tmp_path, optimizer, sampler, 6, task=task)
                tuned.write(tmp_path, optimizer, sampler + CONFIRMED, 5, task=task)

    def made():
        return dict(making.make("tables", "regression", protocol="fair", results=tmp_path))

    before = made()
    assert "fair-tasks-tpe-overview" in {stem.name for stem in before}
    for task in ("regression", "mnist"):
        for sampler in tuned.STUDIES:
            for name in ("beta1", "learning_rate"):
                reduced = f"{sampler}{CONFIRMED}{WITHOUT}{name}"
                tuned.write(tmp_path, "lion", reduced, 5, task=task)
    after = made()
    assert [stem.name for stem in after if stem not in before] == [
        "fair-regression-tpe-beta1-without",
        "fair-regression-tpe-learning_rate-without",
    ]
    for stem, table in before.items():
        assert table._repr_markdown_() == after[stem]._repr_markdown_()
    for planned in making.plan("tables", "regression", protocol="fair", results=tmp_path):
        made_of = {**planned.material.ours, **planned.material.searches}
        assert any(WITHOUT in name for name in made_of) == (planned.report.name == "without")
