"""``induced-metric <command>``: what it offers, whom it hands over to, and how it ends."""

import subprocess
import sys
from pathlib import Path

import pytest
import synthetic

from induced_metric.cli import commands

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def module(*arguments):
    command = [sys.executable, "-W", "error", "-m", "induced_metric", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_help_has_a_line_for_every_command(capsys):
    with pytest.raises(SystemExit) as ended:
        commands.main(["--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    lines = [line.split() for line in shown.splitlines() if line.startswith("    ")]
    assert {line[0] for line in lines} >= {*commands.HYDRA, *commands.COMMANDS}


def test_the_package_runs_as_a_command_and_starts_nothing_it_does_not_need():
    done = module("tables", "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: induced-metric tables")
    code = """
import sys
from induced_metric.cli import commands
try:
    commands.main(["--help"])
except SystemExit:
    print(sorted({"jax", "hydra", "pandas", "matplotlib", "wandb"} & set(sys.modules)))
"""
    shown = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert shown.splitlines()[-1] == "[]"


@pytest.mark.parametrize("name", commands.COMMANDS)
def test_a_command_offers_its_arguments_without_its_libraries_and_takes_them_by_name(name):
    code = f"""
import argparse, importlib, inspect, sys
from induced_metric.cli import commands
command = commands.COMMANDS[{name!r}]
module = importlib.import_module("induced_metric.cli." + command.module)
parser = argparse.ArgumentParser()
module.arguments(parser)
offered = {{action.dest: None for action in parser._actions if action.dest != "help"}}
inspect.signature(module.run).bind(**command.fixed, **offered)
libraries = {{"jax", "hydra", "omegaconf", "optuna", "pandas", "pydantic", "rich", "wandb"}}
print(sorted(libraries & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[]\n", "")


@pytest.mark.parametrize("kind", [RuntimeError, ValueError, MemoryError])
def test_a_command_that_gets_no_memory_says_so(kind, monkeypatch, capsys):
    def run(**_):
        raise kind("RESOURCE_EXHAUSTED: Out of memory trying to allocate 3743729664 bytes.\nBuffers:")

    monkeypatch.setattr("induced_metric.cli.verify.run", run)
    with pytest.raises(SystemExit) as ended:
        commands.main(["verify"])
    assert ended.value.code == 2
    said = (
        "the device does not have enough memory (3743729664 bytes were requested): "
        "end other programs that use it"
    )
    assert capsys.readouterr().err == f"induced-metric verify: {said}\n"


def test_a_command_that_fails_otherwise_is_not_taken_for_it(monkeypatch):
    def run(**_):
        raise RuntimeError("a mistake of ours")

    monkeypatch.setattr("induced_metric.cli.verify.run", run)
    with pytest.raises(RuntimeError, match="a mistake of ours"):
        commands.main(["verify"])


def test_a_command_that_is_interrupted_says_so(monkeypatch, capsys):
    def interrupt(**_):
        raise KeyboardInterrupt

    left = []
    monkeypatch.setattr("induced_metric.cli.data.run", interrupt)
    monkeypatch.setattr("induced_metric.cli.entry.leave", left.append)  # at once: it would end this process
    commands.main(["data", "--task", "mnist"])
    assert left == [130]
    assert capsys.readouterr().err == "induced-metric data: interrupted\n"


@pytest.mark.parametrize("script", ["train.py", "sweeps/sweep.py"])
def test_a_target_may_be_of_the_working_directory_whichever_script_is_started(script, tmp_path):
    (tmp_path / "my_package.py").write_text("def thing(**_):\n    pass\n")
    (tmp_path / "numpy.py").write_text("raise RuntimeError('hides a library')\n")
    words = [str(ROOT / script), "results=here", "optimizer._target_=my_package.thing"]
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False, cwd=tmp_path)
    said = "optimizer: my_package.thing must return an optax.GradientTransformation, got NoneType"
    assert (done.returncode, done.stderr) == (2, f"{Path(script).name}: {said}\n")


def test_so_it_may_for_the_other_commands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    with pytest.raises(SystemExit):
        commands.main(["data", "--task", "regression"])
    assert sys.path[-1] == str(tmp_path)


@pytest.mark.parametrize("name", commands.HYDRA)
def test_hydra_has_the_rest_of_the_line(name, monkeypatch):
    seen = []
    monkeypatch.setattr(f"induced_metric.cli.{name}.main", lambda: seen.append(list(sys.argv)))
    monkeypatch.setattr(sys, "argv", ["somewhere/induced-metric", name, "seed=3", "--help"])
    commands.main()
    assert seen == [[f"induced-metric {name}", "seed=3", "--help"]]


def test_a_mistake_in_what_hydra_reads_begins_with_the_command():
    done = module("train", "optimzer=sgd")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("induced-metric train: unknown 'optimzer'")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "induced-metric: the following arguments are required: command"),
        (["table"], "induced-metric: argument command: invalid choice: 'table'"),
        (
            ["data", "--task", "regression"],
            "induced-metric data: task regression has no data set to prepare;",
        ),
        (
            ["data", "--task", "foo"],
            "induced-metric data: unknown task 'foo'; tasks that have one are cifar10",
        ),
        (["tables", "--task", "mnist"], "induced-metric tables: there is no directory results; 'make sweep'"),
        (["wandb", "--task", "mnist"], "induced-metric wandb: there is no directory results; 'make sweep'"),
        (["replay", "--task", "mnist"], "induced-metric replay: there is no directory results; 'make sweep'"),
        (["claims", "--results", "mine"], "induced-metric claims: no records under mine; 'make sweep' or"),
        (["report", "--results", "mine"], "induced-metric report: no records under mine; 'make sweep' or"),
    ],
)
def test_a_mistake_ends_in_one_sentence(arguments, sentence, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        commands.main(arguments)
    assert ended.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith(sentence)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["tables", "figures", "wandb", "replay", "status", "dashboard"])
def test_a_name_that_nobody_knows_is_no_name_without_records(command, tmp_path, capsys):
    def refused(*names):
        with pytest.raises(SystemExit) as ended:
            commands.main([command, "--results", str(tmp_path), *names])
        assert ended.value.code == 2
        (line,) = capsys.readouterr().err.splitlines()
        return line.removeprefix(f"induced-metric {command}: ")

    synthetic.write_study(tmp_path, "sgd", task="mine", trials=3, epochs=3)
    line = refused("--task", "regresion")
    assert line.startswith("unknown task 'regresion': allowed are cifar10, ")
    assert "mine, " in line  # of the records alone
    assert line.endswith("; did you mean regression?")
    line = refused("--task", "regression", "--protocol", "fairr")
    assert line.startswith("unknown protocol 'fairr': allowed are fair, paper, ")


@pytest.mark.parametrize("command", ["tables", "wandb", "replay"])
def test_where_there_are_no_records_is_said_of_a_known_name(command, tmp_path, capsys):
    with pytest.raises(SystemExit):
        commands.main([command, "--results", str(tmp_path), "--task", "mnist"])
    assert f"induced-metric {command}: no records of mnist" in capsys.readouterr().err


def test_a_directory_that_cannot_be_written_ends_in_one_sentence(tmp_path, capsys):
    synthetic.write_study(tmp_path, "sgd", trials=6, epochs=3)
    (tmp_path / "tables").write_text("")
    with pytest.raises(SystemExit) as ended:
        commands.main(["tables", "--task", "regression", "--results", str(tmp_path)])
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("induced-metric tables: ")
    assert str(tmp_path / "tables") in line


def test_the_landscapes_are_written_again_from_their_records(tmp_path, capsys):
    commands.main(["landscapes-report", "--results", str(tmp_path)])
    written = [line.removeprefix("wrote ") for line in capsys.readouterr().out.splitlines()]
    assert str(tmp_path / "figures" / "figure_2.pdf") in written
