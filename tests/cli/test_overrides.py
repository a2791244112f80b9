"""What Hydra refuses of a command line is one sentence; older names of settings are understood."""

import re
import sys

import pytest
from omegaconf import OmegaConf

from induced_metric.cli import app, overrides

EACH = "add -m to train a trial of each, or search with sweeps/sweep.py"


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("lanes.lanes=3", "lanes.width=3"),
        ("++lanes.lanes=auto", "++lanes.width=auto"),
        ("~lanes.lanes", "~lanes.width"),
        ("lanes.width=3", "lanes.width=3"),
        ("task.evaluated=[test]", "task.eval_splits=[test]"),
        ("task.width=64", "task.embed_dim=64"),
        ("+search_space.task.width={low: 8}", "+search_space.task.embed_dim={low: 8}"),
        ("++search_space.task.width.low=8", "++search_space.task.embed_dim.low=8"),
        ("task.evaluated_sequences=3", "task.evaluated_sequences=3"),
        ("task.widths=[4]", "task.widths=[4]"),
        ("results=lanes.lanes=3", "results=lanes.lanes=3"),
        ("lanes.lanes_=3", "lanes.lanes_=3"),
        ("-m", "-m"),
        ("", ""),
    ],
)
def test_older_names_of_settings_are_taken_for_the_ones_of_today(given, meant):
    assert overrides.renamed(["task=shakespeare", given], "config") == ["task=shakespeare", meant]


@pytest.mark.parametrize(
    "words",
    [
        ["task=regression", "task.width=3"],  # which has widths, but no embedding
        ["task.width=3"],
        ["task=no_such", "task.width=3"],
    ],
)
def test_an_older_name_is_left_alone_where_the_task_has_not_todays(words):
    assert overrides.renamed(words, "config") == words


def test_what_a_task_of_ones_own_has_under_an_older_name_stays(monkeypatch):
    own = OmegaConf.create({"task": {"width": 3, "embed_dim": 8, "eval_splits": ["test"]}})
    monkeypatch.setattr(overrides, "_composed", lambda words, config: own)
    given = ["task.width=4", "task.evaluated=[train]"]
    assert overrides.renamed(given, "config") == ["task.width=4", "task.eval_splits=[train]"]


@pytest.fixture
def said(tmp_path, monkeypatch, capsys):
    """Runs an entry point that trains nothing; returns the sentence with which it refuses its words."""

    def run(config, *words):
        monkeypatch.setenv("HYDRA_FULL_ERROR", "1")  # as the entry points set it, and undone afterwards
        monkeypatch.setattr(sys, "argv", [f"{config}.py", *words, f"results={tmp_path}"])
        with pytest.raises(SystemExit) as ended:
            app.run(lambda cfg: None, config)
        assert ended.value.code == 2
        (line,) = capsys.readouterr().err.splitlines()
        return line.removeprefix(f"{config}.py: ")

    return run


@pytest.mark.parametrize("group", ["task", "sampler", "pruner", "protocol", "storage", "launcher"])
def test_an_unknown_choice_is_named_beside_several_optimizers_too(said, group):
    line = said("sweep", "optimizer=adam,sgd", f"{group}=foo")
    assert line.startswith(f"unknown {group} 'foo': allowed are ")


def test_a_misspelt_choice_is_corrected(said):
    assert said("sweep", "optimizer=sgd_rmss,adam").endswith(", yogi; did you mean sgd_rms?")
    assert said("sweep", "task=regresion").endswith("; did you mean regression?")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["trails=3"], "unknown 'trails': allowed are seed, .*; did you mean trials?"),
        (["epochs=3"], "unknown 'epochs': allowed are seed, .*; did you mean task.epochs?"),
        (["lanes.widht=3"], "unknown 'lanes.widht': allowed under lanes are .*; did you mean width?"),
        (["optimizer.momentum=0.3"], "unknown 'optimizer.momentum': allowed under optimizer are .* eps"),
        (["+search_space.xi.low=1"], "search_space.xi.low has a value already: write it without the [+]"),
    ],
)
def test_so_is_what_else_is_wrong_beside_several_optimizers(said, words, sentence):
    assert re.fullmatch(sentence.replace("?", "[?]"), said("sweep", "optimizer=sgd,adam", *words))


@pytest.mark.parametrize(
    ("config", "word", "sentence"),
    [
        ("config", "optimizer=adam,sgd", f": {EACH}"),
        ("config", "seed=0,1", f": {EACH}"),
        ("config", "optimizer.xi=range(1,3)", f": {EACH}"),
        ("config", "task.widths=4,1", f": {EACH}; a list is written task.widths=[4,1]"),
        ("landscapes", "seed=0,1", ""),
    ],
)
def test_several_values_where_one_is_taken_say_how_to_train_each(said, config, word, sentence):
    assert said(config, word) == f"{word} has several values, and this takes one{sentence}"


def test_several_values_do_not_hide_what_else_is_wrong(said):
    assert said("config", "optimizer=adam,sgd", "task=foo").startswith("unknown task 'foo'")
