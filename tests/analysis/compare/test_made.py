"""What is said of a comparison: verdicts on the candidate's pairs, its settings, a page."""

import re

import pandas as pd
import pytest
from tuned import write

from induced_metric import records
from induced_metric.analysis import compare
from induced_metric.analysis.compare import ranges
from induced_metric.analysis.compare.made import answer
from induced_metric.studies.compatibility import differences


@pytest.fixture
def made(mine, baselines) -> compare.Made:
    evidence = compare.read(
        "regression",
        ["lion"],
        ["adamw", "sgd"],
        protocol="fair",
        results=mine,
        baselines=baselines,
        differences=differences,
    )
    evidence.remarks.append("A remark.")
    return compare.make(evidence)


def test_verdicts_are_on_the_candidate_over_the_seeds_that_both_have(made) -> None:
    table = made.tables["verdicts"]
    assert table.data[["optimizer", "other", "verdict"]].to_numpy().tolist() == [
        ["lion", "adamw", "better"], ["lion", "sgd", "better"],
    ]  # fmt: skip
    assert table.cells["n"].tolist() == ["2×15", "2×15"]
    assert any("Holm over 2 pairs" in note for note in table.notes)
    assert "A remark." in table.notes
    assert made.tables["confirmed"].data["optimizer"].tolist() == ["adamw", "sgd", "lion"]


def test_the_verdicts_are_said_in_words_first(made, tmp_path) -> None:
    assert made.answer == "LION: better than ADAMW, SGD."
    *_, page = made.write(tmp_path, "it")
    assert page.read_text(encoding="utf-8").index(made.answer) < page.read_text(encoding="utf-8").index(
        "<table"
    )
    pairs = [("lion", "adamw", "undecided"), ("lion", "sgd", "worse"), ("yogi", "sgd", "undecided")]
    verdicts = pd.DataFrame(pairs, columns=["optimizer", "other", "verdict"])
    assert answer(verdicts) == "LION: worse than SGD; undecided against ADAMW. YOGI: undecided against SGD."


def test_the_best_settings_are_placed_in_the_ranges_and_bounds_stand_out(mine, tmp_path) -> None:
    write(tmp_path / "edge", "sgd", "tpe", 12, rate=99.0)
    searches = {}
    for results, name in ((mine, "lion"), (tmp_path / "edge", "sgd")):
        searches[name] = {"tpe": records.load("regression", protocol="fair", sampler="tpe", results=results)}
    inside = ranges.ranges_table("regression", searches["lion"], ["lion"])
    place = dict(zip(inside.cells["Hyperparameter"], inside.cells["Place in the range"], strict=True))
    assert place == {"learning_rate": "57%", "beta1": "28%"}
    assert not inside.bold["Place in the range"].any()
    assert inside.notes == []
    at_end = ranges.ranges_table("regression", searches["sgd"], ["sgd"])
    assert at_end.bold["Place in the range"].tolist() == [True, False]
    assert at_end.notes == ["A better setting may lie beyond the range of learning_rate."]


def test_the_page_has_all_tables_and_figures_and_needs_nothing_else(made, tmp_path) -> None:
    paths = list(made.write(tmp_path, "fair-regression-compare-lion"))
    assert all(path.exists() for path in paths)
    text = paths[-1].read_text(encoding="utf-8")
    assert paths[-1].name == "fair-regression-compare-lion.html"
    found = re.findall(r'<section id="(\w+)">', text)
    assert found[:4] == ["verdicts", "confirmed", "values", "tuning"]
    assert "LION against tuned baselines: regression, protocol fair" in text
    for table in made.tables.values():
        assert text.count("</tr>") >= len(table.cells)
    assert text.count("<svg") == len(made.figures)
    assert "<script" not in text
    assert re.findall(r'(?:src|href)="(?!#)', text) == []
    list(made.write(tmp_path / "again", "fair-regression-compare-lion"))
    assert (tmp_path / "again" / paths[-1].name).read_text(encoding="utf-8") == text
