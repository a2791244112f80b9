"""Every table and figure of the list, as the commands write them."""

import pytest
import synthetic
import tuned

from induced_metric.analysis import making, reports, runs
from induced_metric.analysis.confirmations import seeds
from induced_metric.cli import commands
from induced_metric.records import CONFIRMED, FIXED, SINGLE

pytestmark = pytest.mark.slow


def test_tables_are_written_and_shown(results, capsys) -> None:
    commands.main(["tables", "--task", "regression", "--results", str(results), "--best", "50"])
    shown = capsys.readouterr().out
    assert "0.035900" in shown
    assert shown.index("Summary statistics") < shown.index("Time to a test loss of at most the target")
    assert f"wrote {results / 'tables/paper-regression.md'}" in shown
    assert {path.name for path in (results / "tables").glob("paper-regression*")} == {
        f"paper-regression{name}.{kind}"
        for name in (
            "",
            "-agreement",
            "-differences",
            "-fairness",
            "-time_to_target",
            "-tuning",
            "-tuning_differences",
        )
        for kind in ("md", "csv", "tex")
    }
    assert "| ADAM | tpe | 6 |" in (results / "tables/paper-regression.md").read_text()
    assert "| ADAM | random | 3 |" in (results / "tables/paper-regression.md").read_text()


def test_by_default_the_best_are_a_quarter_of_the_trials_of_the_samplers_asked_for(results, capsys) -> None:
    commands.main(["tables", "--task", "regression", "--results", str(results), "--samplers", "tpe"])
    table = (results / "tables/paper-regression.csv").read_text()
    assert "adam,tpe,2," in table
    assert "random" not in table


def test_targets_are_those_asked_for(results, capsys) -> None:
    commands.main(["tables", "--task", "regression", "--results", str(results), "--targets", "0.1", "0.2"])
    lines = (results / "tables/paper-regression-time_to_target.md").read_text().splitlines()
    rows = [line.split(" | ") for line in lines if line.startswith("| ADAM |")]
    assert [row[2] for row in rows] == ["0.1", "0.1", "0.2", "0.2"]


def test_figures_are_written_for_every_sampler(results) -> None:
    commands.main(["figures", "--task", "mnist", "--results", str(results)])
    assert {path.name for path in (results / "figures").glob("paper-mnist-*")} == {
        f"paper-mnist-{name}.{kind}"
        for name in (
            "tpe-best_curves", "tpe-best_histograms", "tpe-learning_rate", "best_scatter", "reached", "tuning"
        )
        for kind in ("pdf", "png")
    }  # fmt: skip
    assert (results / "figures/paper-tasks-tpe-reached.png").exists()


def test_a_line_in_the_list_is_a_table_more(results, monkeypatch) -> None:
    mine = reports.Report(
        "tables", "mine", "search", lambda m: seeds.seeds_table(m.task, m.only) if "tpe" in m.ours else None
    )
    monkeypatch.setattr(reports, "REPORTS", (*reports.REPORTS, mine))
    names = [stem.name for stem, _ in making.make("tables", "regression", results=results)]
    assert names[-2:] == [
        "paper-tasks-tpe-reached",
        "paper-regression-tpe-mine",
    ]


def test_what_searches_nothing_is_shown_where_asked_for_alone(tmp_path) -> None:
    for sampler in (SINGLE, FIXED, "random"):
        synthetic.write_study(tmp_path, "adam", trials=5, epochs=4, sampler=sampler)
        synthetic.write_study(tmp_path, "sgd", trials=5, epochs=4, sampler=sampler)

    def names(kind, **options):
        return [stem.name for stem, _ in making.make(kind, "regression", results=tmp_path, **options)]

    assert not [name for name in names("figures") if SINGLE in name or FIXED in name]
    seeds_alone = ["-seeds", "-seeds_confirmed", "-seeds_verdicts", "-seeds_last_epoch", "-seeds_budgets"]
    tables = [
        "",
        "-differences",
        "-time_to_target",
        "-tuning",
        "-tuning_differences",
        *seeds_alone,
        "-fairness",
    ]
    assert names("tables") == [f"paper-regression{name}" for name in tables]
    assert f"paper-regression-{SINGLE}-best_curves" in names("figures", samplers=[SINGLE])
    assert list(runs.load_samplers("regression", [SINGLE, "random"], results=tmp_path)) == [SINGLE, "random"]


def test_a_table_that_cannot_be_made_yet_does_not_keep_the_others_from_being_made(tmp_path, capsys) -> None:
    for optimizer in ("adamw", "sgd"):
        tuned.write(tmp_path, optimizer, "tpe", 12)
        tuned.write(tmp_path, optimizer, f"tpe{CONFIRMED}", 1)
    commands.main(["tables", "--task", "regression", "--protocol", "fair", "--results", str(tmp_path)])
    shown = capsys.readouterr().out
    stem = tmp_path / "tables" / "fair-regression-tpe-confirmed"
    assert f"{stem} was not made: a standard error needs at least 2 seeds, got 1\n" in shown
    assert not stem.with_suffix(".md").exists()
    assert (tmp_path / "tables" / "fair-regression-fairness.md").exists()


@pytest.mark.parametrize("kind", ["tables", "figures"])
def test_where_nothing_can_be_made_the_reason_ends_the_command(tmp_path, capsys, monkeypatch, kind) -> None:
    synthetic.write_study(tmp_path, "adam", trials=1, epochs=4)  # which diverged
    kept = [report for report in reports.REPORTS if report.name in ("tuning", "best_scatter")]
    monkeypatch.setattr(reports, "REPORTS", kept)
    with pytest.raises(SystemExit) as ended:
        commands.main([kind, "--task", "regression", "--results", str(tmp_path)])
    assert ended.value.code == 2
    assert f"none of the {kind} could be made: there is no complete trial" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["tables", "--task", "regresion"], "unknown task 'regresion': allowed are cifar10, cifar10_small"),
        (["tables", "--task", "regresion"], "did you mean regression?"),
        (
            ["tables", "--task", "mnist_small"],
            "tasks with records: cifar10, mnist, regression, shakespeare_small",
        ),
        (["tables", "--task", "regression", "--samplers", "tp"], "samplers with records: random, tpe"),
        (["tables", "--task", "regression", "--protocol", "fair"], "no records of regression (fair)"),
        (["tables", "--task", "regression", "--best", "0"], "at least 1, got 0"),
        (["tables", "--task", "regression", "--targets", "soon"], "invalid float value: 'soon'"),
        (["tables"], "--task"),
    ],
)
def test_bad_input_ends_in_one_sentence(results, capsys, arguments, sentence) -> None:
    with pytest.raises(SystemExit) as ended:
        commands.main([*arguments, "--results", str(results)])
    assert ended.value.code == 2
    complaint = capsys.readouterr().err.strip()
    assert sentence in complaint
    assert "\n" not in complaint
