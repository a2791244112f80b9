import dataclasses
import io
import json
import re
from pathlib import Path

import pandas as pd
import pytest
import rich.console
import synthetic

from induced_metric import records
from induced_metric.analysis import draws, runs, statistics
from induced_metric.analysis.rendering import Table
from induced_metric.analysis.searches import agreement, tables, targets
from induced_metric.cli import views
from induced_metric.records import published


@pytest.fixture(scope="module")
def table(ours) -> pd.DataFrame:
    return tables.compare("regression", ours, n=5)


@pytest.fixture(scope="module")
def shown(ours) -> Table:
    return tables.best_runs_table("regression", ours, n=5)


def test_rows_follow_the_paper_and_name_their_source(table) -> None:
    assert table["optimizer"].unique().tolist() == published.optimizers()
    assert table.loc[table["optimizer"] == "adam", "source"].tolist() == ["published", "tpe", "random"]
    assert table.loc[table["optimizer"] == "muon", "source"].tolist() == ["published", "tpe"]
    # The random study has 5 trials, of which one was pruned and one diverged.
    assert table.loc[table["optimizer"] == "adam", "n"].tolist() == [50, 5, 3]


def test_numbers_are_those_of_the_statistics(table, ours) -> None:
    expected = statistics.summary(ours["tpe"], 5).loc["sgd_rms"]
    row = table[(table["optimizer"] == "sgd_rms") & (table["source"] == "tpe")].iloc[0]
    shared = [
        "metric_mean",
        "metric_std",
        "epoch_mean",
        "epoch_std",
        "best_metric",
        "best_epoch",
        "best_seconds",
    ]
    assert row[shared].tolist() == expected[shared].tolist()
    assert row["pruned"] == row["diverged"] == 1


def test_markdown_has_the_published_columns_and_marks_the_best(shown) -> None:
    lines = shown.markdown().splitlines()
    assert [cell.strip() for cell in lines[0].strip("|").split("|")] == [
        "Optimiser",
        "Source",
        "n",
        "Min test loss mean",
        "Std",
        "Epoch mean",
        "Epoch std",
        "Best min test loss",
        "(epoch: s)",
    ]
    assert (
        "| ADAM | published | 50 | 0.039413 | 0.005714 | 152.6 | 47.3 | **0.021170** | (184: 0.21) |" in lines
    )
    # The paper's best mean is SGD_RMS's, its best run Adam's.
    assert any(line.startswith("| SGD_RMS | published | 50 | **0.035900**") for line in lines)
    for source in ("published", "tpe", "random"):
        rows = [line for line in lines if f"| {source} |" in line]
        assert sum(line.count("**") for line in rows) == 4
    assert len({line.count("|") for line in lines}) == 1


def test_accuracy_is_maximised(results) -> None:
    ours = runs.load_samplers("mnist", results=results)
    shown = tables.best_runs_table("mnist", ours, n=50)
    table, lines = shown.data, shown.markdown().splitlines()
    assert "Max test accuracy mean" in lines[0]
    assert any(line.startswith("| MUON | published | 50 | **0.979844**") for line in lines)
    tpe = table[table["source"] == "tpe"].set_index("optimizer")
    best = tpe["metric_mean"].idxmax()
    assert any(line.startswith(f"| {best.upper()} | tpe | 4 | **") for line in lines)
    assert "Table 2" in shown.title
    assert "the best test accuracy of a run" in shown.title


def test_a_task_or_an_optimizer_that_is_not_in_the_paper_has_ours_alone(ours) -> None:
    trials, curves = ours["random"]
    renamed = {"adam": "induced_muon", "sgd": "a_new_one"}
    other = ours["random"]._replace(
        trials=trials.assign(task="small", optimizer=trials["optimizer"].map(renamed)),
        curves=curves.assign(optimizer=curves["optimizer"].map(renamed)),
    )
    table = tables.compare("small", {"random": other}, n=2)
    assert table["optimizer"].tolist() == ["a_new_one", "induced_muon"]
    assert table["source"].tolist() == ["random", "random"]
    assert "Table" not in tables.caption("small", table)


def test_studies_of_different_objectives_do_not_share_a_table(ours, results) -> None:
    other = records.load("mnist", results=results)
    with pytest.raises(ValueError, match=r"got test/accuracy \(maximize\), test/loss \(minimize\)"):
        tables.compare("regression", {"tpe": ours["tpe"], "random": other}, n=2)


def test_remarks_tell_what_is_left_out_and_what_is_short(table, ours) -> None:
    notes = "\n".join(tables.remarks(table, ours))
    assert (
        "random: 5 trials per optimiser, on cpu; left out: pruned: adam 1, sgd 1; diverged: adam 1" in notes
    )
    assert "adam (random) 3" in notes
    assert "different hardware. Rank by epochs" in notes


def test_what_was_stopped_early_and_ranked_is_not_said_to_be_left_out(ours) -> None:
    config = '{"pruner": {"name": "wandb_hyperband", "ranks_stopped": true}}'
    records = {"tpe": ours["tpe"]._replace(trials=ours["tpe"].trials.assign(config=config))}
    (note, *_) = tables.remarks(tables.compare("regression", records, n=5), records)
    assert "ranked by the best of the epochs they ran: adam 1, adamw 1" in note
    assert "left out: diverged: adam 1" in note
    assert "pruned" not in note


def config(**sampler: object) -> str:
    create = {"_target_": "optuna.samplers.TPESampler", "n_startup_trials": 4}
    return json.dumps({"sampler": {"name": "tpe", "create": create, **sampler}})


@pytest.mark.parametrize(
    ("sampler", "warned"),
    [({}, True), ({"in_flight": 6}, True), ({"in_flight": 5}, False), ({"create": {}}, False)],
)
def test_a_search_that_ended_before_it_began_to_model_is_said_to_be_random(ours, sampler, warned) -> None:
    # Eight trials an optimizer, four of them to start with; eight in flight where nobody recorded it.
    records = {"tpe": ours["tpe"]._replace(trials=ours["tpe"].trials.assign(config=config(**sampler)))}
    for notes in (
        tables.remarks(tables.compare("regression", records, n=5), records),
        targets.time_to_target_table("regression", records, n=2).notes,
    ):
        said = [note for note in notes if "all 8 trials of each optimiser are random draws" in note]
        assert len(said) == warned
    one = records["tpe"].trials.copy()
    one.loc[one["optimizer"] != "sgd", "config"] = config(in_flight=0)
    notes = draws.warnings({"tpe": ours["tpe"]._replace(trials=one)})
    assert [note.startswith("tpe: all 8 trials of sgd are random") for note in notes] == [True] * warned


def test_luck_that_is_shared_is_said(ours) -> None:
    trials = ours["random"].trials
    own = tables.remarks(tables.compare("regression", ours, n=2), ours)
    # Another range, the same draw: what counts is the order.
    shared = trials.assign(
        learning_rate=1e-3 * (trials["trial"] + 1) * (1 + 9 * (trials["optimizer"] == "sgd"))
    )
    records = {"random": ours["random"]._replace(trials=shared)}
    notes = tables.remarks(tables.compare("regression", records, n=2), records)
    assert ["share their luck" in " ".join(found) for found in (own, notes)] == [False, True]
    assert not draws.shared_draws(shared.assign(seed=shared["seed"] + (shared["optimizer"] == "sgd")))
    assert not draws.shared_draws(shared[shared["optimizer"] == "sgd"])


def test_an_optimizer_without_a_complete_trial_shows_dashes(ours) -> None:
    records = ours["random"]
    lost = records._replace(trials=records.trials.assign(diverged=records.trials["optimizer"] == "sgd"))
    shown = tables.best_runs_table("regression", {"random": lost}, n=2)
    assert "| SGD | random | 0 | – | – | – | – | – | – |" in shown.markdown()


@pytest.mark.parametrize(
    ("task", "objective", "number", "columns", "row"),
    [
        (
            "mnist",
            "test/accuracy",
            2,
            "Max test accuracy mean",
            "| SGD | published | 50 | 0.978186 | 0.000744 | 102.9 | 48.9 | 0.980252 | (28: 2.81) |",
        ),
        (
            "cifar10",
            "test/accuracy",
            3,
            "Best max test accuracy",
            "| SGD_RMS | published | 50 | 0.826309 | 0.021731 | 171.0 | 127.4 | **0.870226** | (323: 3094) |",
        ),
        (
            "shakespeare",
            "validation/perplexity",
            4,
            "Best min validation perplexity",
            "| MUON | published | 50 | 4.446662 | 0.032109 | 196.3 | 31.2 | 4.355860 | (155: 41.01) |",
        ),
    ],
)
def test_tables_of_the_networks(tmp_path, task, objective, number, columns, row) -> None:
    for optimizer in published.optimizers():
        synthetic.write_study(tmp_path, optimizer, trials=8, epochs=12, task=task, objective=objective)
    shown = tables.best_runs_table(task, runs.load_samplers(task, results=tmp_path), n=2)
    lines = shown.markdown().splitlines()
    assert f"(Table {number} of the paper): the best {objective.replace('/', ' ')} of a run" in shown.title
    assert columns in lines[0]
    assert row in lines
    assert [line.split(" | ")[1] for line in lines[2:]] == ["published", "tpe"] * 7
    console = rich.console.Console(file=io.StringIO(), width=80)
    console.print(shown.terminal())
    assert "…" not in console.file.getvalue()
    # A title row of two lines and a line for each row and between the optimizers: nothing is wrapped.
    assert len(console.file.getvalue().rstrip().splitlines()) == 3 + 14 + 6


def test_the_terminal_fits_eighty_columns(shown) -> None:
    console = rich.console.Console(file=io.StringIO(), width=80)
    console.print(shown.terminal())
    printed = console.file.getvalue()
    assert "…" not in printed
    row = "SGD_LOG_METRIC published 50 0.057149 0.008967 167.0 33.0 0.031528 (198: 0.23)"
    assert row in re.sub(" +", " ", printed)
    assert printed.count("SGD_RMS") == 1


def test_words_in_brackets_are_shown_as_they_are(shown) -> None:
    cells = shown.cells.assign(Source="[tpe]").rename(columns={"Source": "[of]"})
    bracketed = dataclasses.replace(
        shown, cells=cells, bold=cells[["[of]"]] == "[tpe]", title="A [red] title", notes=["a [bold] note"]
    )
    file = io.StringIO()
    console = rich.console.Console(file=file, width=90, force_terminal=True, highlight=False)
    views.say_table(console, bracketed)
    for words in ("A [red] title", "a [bold] note", "[of]", "\x1b[1m[tpe]"):
        assert words in file.getvalue()


def test_written_files_are_complete_and_deterministic(shown, table, tmp_path) -> None:
    paths = shown.write(tmp_path / "one" / "paper-regression")
    again = shown.write(tmp_path / "two" / "paper-regression")
    assert [path.name for path in paths] == [f"paper-regression.{kind}" for kind in ("md", "csv", "tex")]
    assert [path.read_bytes() for path in paths] == [path.read_bytes() for path in again]
    read = pd.read_csv(paths[1])
    assert read["metric_mean"].tolist() == table["metric_mean"].tolist()
    assert read.loc[0, "pruned"] != read.loc[0, "pruned"]  # the paper does not say
    assert shown.title in paths[0].read_text()
    assert shown.notes[0] in paths[0].read_text()


def test_latex_names_each_optimizer_once_and_escapes(shown) -> None:
    text = dataclasses.replace(shown, title="100% of a_b", notes=["c_d"]).latex()
    assert text.count(r"SGD\_LOG\_METRIC") == 1
    assert r"\caption{100\% of a\_b}" in text
    assert not re.search(r"(?<!\\)[_%]", text)
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert {row.count("&") for row in rows} == {8}
    assert r"\begin{tabular}{llrrrrrrr}" in text
    assert r"\begin{tabular}{lrrrrrrrr}" in dataclasses.replace(shown, words=1).latex()


def test_under_other_rules_the_papers_numbers_stand_nowhere(tmp_path: Path) -> None:
    for name in ("adam", "sgd"):
        synthetic.write_study(tmp_path, name, protocol="fair", objective="validation/loss")
        synthetic.write_study(tmp_path, name, protocol="fair", objective="validation/loss", sampler="random")
    ours = runs.load_samplers("regression", protocol="fair", results=tmp_path)
    made = tables.best_runs_table("regression", ours, n=2)
    assert set(made.data["source"]) == {"random", "tpe"}
    assert "paper" not in made.title
    assert "published" not in made.title
    assert agreement.agreement_table("regression", ours, n=2) is None
