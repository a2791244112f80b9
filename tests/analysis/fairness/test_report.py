"""The findings as a table, under other tables, and on the paper's own study."""

from pathlib import Path

import pytest
from planted import compared, study

from induced_metric.analysis import fairness, making
from induced_metric.analysis.fairness import paper
from induced_metric.records import published

PUBLISHED = Path(__file__).parents[3] / "results" / "published"
TASKS = ("regression", "mnist", "cifar10", "shakespeare")


def of_paper(task):
    table = fairness.lint(paper.comparison(task, {}))
    return {rule: " | ".join(own["found"] + ": " + own["numbers"]) for rule, own in table.groupby("rule")}


@pytest.mark.parametrize("task", TASKS)
def test_the_published_study_is_linted_too(task) -> None:
    found = of_paper(task)
    split = "validation" if task == "shakespeare" else "test"
    assert f"the {split} split, which is reported, also chose" in found["selection"]
    assert "SGD 0.1 to 0.99" in found["unequal spaces"]
    assert "100 times at 0.99" in found["momentum"]
    assert "hyperband" in found["early stopping"]


def test_what_the_published_numbers_show_of_single_tasks() -> None:
    shakespeare, cifar10 = of_paper("shakespeare"), of_paper("cifar10")
    assert "SGD_LOG_METRIC learning_rate 1 (best run 0.9961)" in shakespeare["bound"]
    assert "SGD mean 247.9 of 249" in shakespeare["last epoch"]
    assert "MUON 1e-05 to 1 (log)" in shakespeare["unequal spaces"]
    assert "Muon updates 68.251% of 842,817" in shakespeare["Muon's share"]
    assert "Muon updates 0.046% of 11,178,762" in cifar10["Muon's share"]
    assert "0.004 on 9,216 examples" in cifar10["sampling error"]
    assert "last epoch" not in cifar10


def test_a_task_of_ones_own_has_no_published_study() -> None:
    assert paper.comparison("mnist_small", {}) is None
    assert published.spaces("mnist_small") == {}


def test_what_two_sources_share_is_one_row() -> None:
    both = [
        compared({"muon": study("muon", trials=30, sampler=name)}, sampler=name) for name in ("random", "tpe")
    ]
    found = fairness.findings(both)
    assert len(found) == 2
    table = fairness.fairness_table("regression", found)
    assert table.data["source"].tolist() == ["random, tpe"]
    assert "budget: more trials, studies or epochs find better values." in table.notes
    assert any("selection" in note for note in table.notes if note.startswith("Rules without findings"))


def test_a_note_names_the_rules_that_fired_for_its_sources_and_optimizers_alone() -> None:
    found = [compared({"muon": study("muon", trials=30)})]
    everyone = [each.optimizer for each in found[0].studies]
    (note,) = fairness.notes(found, {"random"}, everyone, "fair-regression-fairness")
    assert note == (
        "Fairness linter: 1 finding on the studies compared here: budget. Details: fair-regression-fairness."
    )
    assert fairness.notes(found, {"tpe"}, everyone, "fair-regression-fairness") == []
    alike = [name for name in everyone if name != "muon"]
    assert alike
    assert fairness.notes(found, {"random"}, alike, "fair-regression-fairness") == []
    assert fairness.notes(found, {"random"}, ["lion"], "fair-regression-fairness") == []


@pytest.mark.slow
def test_a_repeated_search_alone_has_the_note_too() -> None:
    asked = {"samplers": ["tpe-seed1"], "protocol": "fair", "results": PUBLISHED}
    made = {stem.name: table for stem, table in making.make("tables", "shakespeare_small", **asked)}
    for name in ("fair-shakespeare_small", "fair-shakespeare_small-time_to_target"):
        assert made[name].notes[-1].startswith("Fairness linter:")


@pytest.mark.slow
def test_every_table_that_compares_has_the_note_and_the_list_the_table() -> None:
    made = {stem.name: table for stem, table in making.make("tables", "mnist_small", results=PUBLISHED)}
    linted = made.pop("paper-mnist_small-fairness")
    assert {"selection", "momentum", "bound"} <= set(linted.data["rule"])
    for name, table in made.items():
        if "paper-tasks" not in name:
            assert table.notes[-1].startswith("Fairness linter:")
            assert table.notes[-1].endswith("paper-mnist_small-fairness.")
