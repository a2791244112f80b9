import subprocess
import sys

import pytest

from induced_metric.analysis import __main__ as command


def test_tables_are_written_and_shown(results, capsys) -> None:
    command.main(["tables", "--task", "regression", "--results", str(results), "--best", "50"])
    shown = capsys.readouterr().out
    assert "0.035900" in shown
    assert shown.index("Summary statistics") < shown.index("Time to a test loss of at most the target")
    assert f"wrote {results / 'tables/paper-regression.md'}" in shown
    assert {path.name for path in (results / "tables").glob("paper-regression*")} == {
        f"paper-regression{name}.{kind}"
        for name in ("", "-agreement", "-differences", "-time_to_target")
        for kind in ("md", "csv", "tex")
    }
    assert "| ADAM | tpe | 6 |" in (results / "tables/paper-regression.md").read_text()
    assert "| ADAM | random | 3 |" in (results / "tables/paper-regression.md").read_text()


def test_by_default_the_best_are_a_quarter_of_the_trials_of_the_samplers_asked_for(results, capsys) -> None:
    command.main(["tables", "--task", "regression", "--results", str(results), "--samplers", "tpe"])
    table = (results / "tables/paper-regression.csv").read_text()
    assert "adam,tpe,2," in table
    assert "random" not in table


def test_targets_are_those_asked_for(results, capsys) -> None:
    command.main(["tables", "--task", "regression", "--results", str(results), "--targets", "0.1", "0.2"])
    lines = (results / "tables/paper-regression-time_to_target.md").read_text().splitlines()
    rows = [line.split(" | ") for line in lines if line.startswith("| ADAM |")]
    assert [row[2] for row in rows] == ["0.1", "0.1", "0.2", "0.2"]


def test_figures_are_written_for_every_sampler(results) -> None:
    command.main(["figures", "--task", "mnist", "--results", str(results)])
    assert {path.name for path in (results / "figures").glob("paper-mnist-*")} == {
        f"paper-mnist-{name}.{kind}"
        for name in ("tpe-best_curves", "tpe-best_histograms", "tpe-learning_rate", "best_scatter")
        for kind in ("pdf", "png")
    }


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["tables", "--task", "regresion"],
            "tasks with records: cifar10, mnist, regression, shakespeare_small",
        ),
        (["tables", "--task", "regression", "--samplers", "tp"], "samplers with records: random, tpe"),
        (["tables", "--task", "regression", "--protocol", "fair"], "no records of regression (fair)"),
        (["tables", "--task", "regression", "--best", "0"], "at least 1, got 0"),
        (["tables", "--task", "regression", "--targets", "soon"], "invalid float value: 'soon'"),
        (["table", "--task", "regression"], "'tables', 'figures'"),
        (["tables"], "--task"),
    ],
)
def test_bad_input_ends_in_one_sentence(results, capsys, arguments, sentence) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main([*arguments, "--results", str(results)])
    assert ended.value.code == 2
    complaint = capsys.readouterr().err.strip()
    assert sentence in complaint
    assert "\n" not in complaint


def test_the_module_runs_as_a_command(results) -> None:
    done = subprocess.run(
        [
            sys.executable,
            *["-W", "error", "-m", "induced_metric.analysis", "tables", "--task", "mnist", "--results"],
            str(results),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Max mean" in done.stdout
    assert done.stderr == ""
