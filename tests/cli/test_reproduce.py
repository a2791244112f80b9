"""Published studies by name: each has one, composes, and costs what its records say; and one is run again."""

import contextlib
import sys
from pathlib import Path

import pandas as pd
import pytest

from induced_metric import records
from induced_metric.analysis.replays.reproduced import compared
from induced_metric.cli import commands, reproduce
from induced_metric.records import RecordStore, StudyKey

ROOT = Path(__file__).parents[2]
NAMES, PUBLISHED = ROOT / "sweeps" / "published", ROOT / "results" / "published"
STUDIES = reproduce.published(NAMES)
TRY = """
about: a try
recorded: true
sweeps:
  - task: regression
    task.train_examples: 64
    task.test_examples: 32
    task.batch_size: 16
    task.widths: "[4,1]"
    task.epochs: 3
    lanes.devices: 2
    protocol: paper
    optimizer: [adam, sgd]
    sampler: random
    pruner: none
    trials: 4
    studies: 1
    seed: 0
cost: {device_seconds: 7200, devices: two CPU cores}
"""


def seconds(keys):
    return sum(RecordStore(key.directory(PUBLISHED)).trials()["seconds"].sum() for key in keys)


@pytest.fixture(scope="module")
def keys():
    return {name: study.studies() for name, study in STUDIES.items()}


@pytest.mark.exhaustive
def test_every_committed_study_has_one_name(keys):
    """Add its sweep to a file of sweeps/published, say recorded: true, and what it cost."""
    named = [key for name, its in keys.items() if STUDIES[name].recorded for key in its]
    assert len(named) == len(set(named))
    assert set(named) == set(records.recorded(results=PUBLISHED))


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", STUDIES)
def test_a_study_on_record_has_the_trials_and_the_cost_that_it_says(name, keys):
    study = STUDIES[name]
    if study.landscapes or not study.recorded:
        assert study.device_seconds is None or study.device_seconds > 0
        return
    place = iter(keys[name])
    for sweep in study.sweeps:
        for _ in range(len(sweep["optimizer"]) * sweep["studies"]):
            assert len(RecordStore(next(place).directory(PUBLISHED)).trials()) == sweep["trials"]
    assert seconds(keys[name]) == pytest.approx(study.device_seconds, abs=1)


def test_the_list_has_every_name_with_its_cost(capsys):
    commands.main(["reproduce", "--names", str(NAMES)])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(STUDIES)
    assert all("such cores (" in line or "cost not measured" in line for line in lines)


def test_the_first_trials_of_searches_are_a_try_without_what_confirms_them():
    study = STUDIES["fair_regression"]
    whole, cut = study.commands(Path("there")), study.commands(Path("there"), 5)
    assert [line[0] for line in whole] == ["sweep"] * 3
    assert all("sampler.of=tpe" in line for line in whole[1:])
    assert "sampler.without=xi" in whole[2]
    assert len(cut) == 1
    assert all("trials=5" in line and "results=there" in line for line in cut)


@pytest.mark.slow
def test_a_study_is_run_again_and_compared(tmp_path, capsys, here, monkeypatch):
    """In this process, where JAX is up."""

    def run(command):
        assert command[0] == "sweep"
        return here("sweeps/sweep.py", *command[1:]).returncode

    (tmp_path / "names").mkdir()
    (tmp_path / "names" / "a_try.yaml").write_text(TRY)
    monkeypatch.setattr(reproduce, "_run", run)
    places = {"--names": "names", "--results": "again", "--against": "committed"}
    options = [word for name, place in places.items() for word in (name, str(tmp_path / place))]
    commands.main(["reproduce", "--study", "a_try", *options])
    assert "there is nothing to compare with" in capsys.readouterr().out
    (tmp_path / "again").rename(tmp_path / "committed")
    commands.main(["reproduce", "--study", "all", "--trials", "3", *options])
    table = pd.read_csv(tmp_path / "again" / "tables" / "reproduced-a_try.csv")
    assert table["study"].tolist() == [f"paper/regression/random/{name}" for name in ("adam", "sgd")]
    assert (
        table[["trials", "of", "equal", "first_other", "difference"]].to_numpy().tolist()
        == [[3, 4, 3, -1, 0]] * 2
    )
    # Without TRIALS it continues to the end.
    commands.main(["reproduce", "--study", "a_try", *options])
    key = StudyKey("paper", "regression", "random", "adam")
    stores = [RecordStore(key.directory(tmp_path / place)) for place in ("again", "committed")]
    again, committed = (store.read() for store in stores)
    assert compared(key, again, committed)["equal"] == 4
    committed.curves.loc[committed.curves["trial"] == 2, "test/loss"] += 1e-3
    found = compared(key, again, committed)
    assert (found["equal"], found["first_other"]) == (3, 2)
    committed.trials.loc[1, "learning_rate"] *= 2
    committed.trials.loc[1, "value"] *= 2
    found = compared(key, again, committed)
    assert (found["equal"], found["first_other"], found["difference"]) == (2, 1, pytest.approx(0.5))


@pytest.mark.parametrize("code", [130, 0], ids=["interrupted", "had just ended"])
def test_ctrl_c_waits_for_the_sweep_to_finish_its_epochs_and_starts_no_other(code, tmp_path, monkeypatch):
    sweep, done = tmp_path / "sweep", tmp_path / "done"
    lines = [
        f"#!{sys.executable}", "import os, pathlib, signal, sys, time", "signal.signal(signal.SIGINT, print)",
        "os.kill(os.getppid(), signal.SIGINT)", "time.sleep(0.6)", f"pathlib.Path({str(done)!r}).touch()",
        f"sys.exit({code})",
    ]  # fmt: skip
    sweep.write_text("\n".join(lines))
    sweep.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(sweep))
    ended = None
    with contextlib.suppress(KeyboardInterrupt):
        ended = reproduce._run(["sweep"])
    assert ended == 130
    assert done.exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--study", "table_9"], "study must be all or one of cifar10_small, "),
        (["--study", "table_1", "--trials", "0"], "trials must be >= 1, got 0"),
        (["--names", "nowhere"], "no published studies under nowhere"),
    ],
)
def test_a_mistake_ends_in_one_sentence(arguments, sentence, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    with pytest.raises(SystemExit) as ended:
        commands.main(["reproduce", *arguments])
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith(f"induced-metric reproduce: {sentence}")
