"""``induced-metric compare``: what it asks for, and how it ends where nothing can be compared."""

from pathlib import Path

import pytest

from induced_metric.cli import commands, compare, composing
from induced_metric.errors import UserError


def test_what_a_candidate_will_record_is_known_before_it_is_trained():
    planned, space = compare._planned("regression", "lion")
    assert list(space) == ["learning_rate", "b1", "b2", "weight_decay"]
    assert planned["optimizer"]["_target_"] == "optax.lion"
    assert (planned["protocol"]["name"], planned["sampler"]["name"], planned["seed"]) == ("fair", "tpe", 0)
    assert planned["task"]["eval_splits"] == ["validation"]


@pytest.mark.parametrize(
    ("task", "optimizer", "sentence"),
    [
        (
            "regression",
            "lyon",
            "unknown optimizer 'lyon': allowed, separated by spaces, are acprop, .*; did you mean lion[?]; "
            "docs/adding.md says how",
        ),
        ("regresion", "lion", "unknown task 'regresion': allowed are .*regression"),
    ],
)
def test_an_unknown_name_ends_in_one_sentence(task, optimizer, sentence):
    with pytest.raises(UserError, match=sentence) as error:
        compare._planned(task, optimizer)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ["+search_space.momentun={low: 0.1, high: 0.9}"],
            "search_space.momentun is not a hyperparameter of lion",
        ),
        (["~optimizer.learning_rate"], "optimizer: lion() missing 1 required .* 'learning_rate'"),
        (["+optimizer.momentum=0.9"], "unknown 'optimizer.momentum': allowed under optimizer are"),
        (["optimizer._target_=builtins.dict"], "optimizer: builtins.dict must return an optax.Gradient"),
        (
            [
                "lanes.programs=1",
                "optimizer=sgd_nesterov",
                "+search_space.direction.nesterov={choices: [false, true]}",
            ],
            "direction.nesterov need 2 programs, more than lanes.programs=1",
        ),
    ],
)
def test_a_candidate_that_no_study_can_have_is_refused_before_it_is_trained(words, sentence, monkeypatch):
    chosen = composing.compose
    monkeypatch.setattr(composing, "compose", lambda given: chosen([*given, *words]))
    with pytest.raises(UserError, match=sentence.replace("()", "[(][)]")):
        compare._planned("regression", "lion")


def test_without_baselines_it_ends_before_anything_is_trained(capsys, tmp_path):
    with pytest.raises(SystemExit) as ended:
        commands.main(
            ["compare", "lion", "--task", "regression", "--against", "adamw", "--check", "--results",
             str(tmp_path / "mine"), "--baselines", str(tmp_path)]
        )  # fmt: skip
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("induced-metric compare: no confirmed baselines of regression (fair) under")
    assert said.count("\n") == 1


def test_more_studies_than_the_baselines_have_are_refused_before_any_is_trained(capsys, tmp_path):
    published = str(Path(__file__).parents[2] / "results" / "published")
    words = ["compare", "lion", "--task", "regression", "--against", "adamw", "--check"]
    words += ["--results", str(tmp_path), "--baselines", published]
    with pytest.raises(SystemExit):
        commands.main([*words, "--studies", "6"])
    assert (
        "STUDIES can be at most 5, the number of studies of the baselines, got 6" in capsys.readouterr().err
    )
    commands.main([*words, "--studies", "5"])
