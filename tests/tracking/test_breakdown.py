"""W&B breaks down: what trains goes on without it, and the mirror says what to do."""

import gc
import os
import signal
import subprocess
import warnings

import disks
import pytest
import synthetic

from induced_metric import tracking
from induced_metric.cli import commands
from induced_metric.errors import DiskError
from induced_metric.tracking import LiveRun

pytestmark = pytest.mark.slow


def kill_process():
    """Kills W&B's process, a child of this one, and waits for it, as wandb does not: Python would warn."""
    children = ["ps", "-o", "pid=,comm=", "--ppid", str(os.getpid())]
    out = subprocess.run(children, capture_output=True, text=True, check=True).stdout
    found = [int(line.split()[0]) for line in out.splitlines() if "wandb-core" in line]
    assert found
    for identity in found:
        os.kill(identity, signal.SIGKILL)
    # By type, since isinstance also asks an object for its class, at which some of PyTorch's warn.
    started = [
        one for one in gc.get_objects() if issubclass(type(one), subprocess.Popen) and one.pid in found
    ]
    assert len(started) == len(found)
    for process in started:
        process.wait()


def test_what_trains_goes_on_without_wandb_and_says_so_once(tmp_path):
    metrics = {"test/loss": 0.5, "seconds": 0.1}

    def train():
        with LiveRun("offline", {"seed": 1}, results=tmp_path) as run:
            run.log(0, metrics)
            kill_process()
            for epoch in range(1, 200):
                run.log(epoch, metrics)
            run.finish({"value": 0.5})

    with pytest.warns(
        UserWarning, match=r"W&B's process does not answer \(.+\); the run continues without"
    ) as warned:
        train()
    assert len(warned) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with LiveRun("offline", {"seed": 2}, results=tmp_path) as run:  # by another process of W&B's
            run.log(0, metrics)


@pytest.fixture
def study(tmp_path):
    synthetic.write_study(tmp_path, "adam", trials=5, epochs=5)
    return tmp_path


def killing(after):
    def progress(done, total):
        if done == after:
            kill_process()

    return progress


def test_a_mirror_whose_process_is_killed_says_how_far_it_came_and_continues(study):
    with pytest.raises(ConnectionError) as raised:
        tracking.export("regression", results=study, progress=killing(2))
    assert str(raised.value).startswith("W&B's process does not answer (")
    assert str(raised.value).endswith("); 2 of 5 trials are exported, and the same command continues")
    assert tracking.export("regression", results=study) == 3
    assert len(list((study / "wandb").glob("offline-run-*"))) == 5
    assert tracking.export("regression", results=study) == 0


def test_the_command_ends_in_a_sentence(study, capsys, monkeypatch):
    original, calls = tracking.mirror._mirror, []

    def mirror(*arguments):
        calls.append(1)
        if len(calls) == 3:
            kill_process()
        return original(*arguments)

    monkeypatch.setattr(tracking.mirror, "_mirror", mirror)
    with pytest.raises(SystemExit) as ended:
        commands.main(["wandb", "--task", "regression", "--results", str(study)])
    assert ended.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("induced-metric wandb: W&B's process does not answer (")
    assert line.endswith("2 of 5 trials are exported, and the same command continues")


def test_a_file_in_the_place_of_its_directory_is_one_sentence(study):
    (study / "wandb").write_text("")
    sentence = r"wandb.* cannot be written \((File exists|Not a directory)\): remove what is in the place"
    with pytest.raises(DiskError, match=sentence):
        tracking.export("regression", results=study)
    with pytest.raises(DiskError, match=sentence):
        LiveRun("offline", {}, results=study)


def test_a_directory_that_cannot_be_written_is_one_sentence(tmp_path):
    reason = disks.reason_for_none()
    if reason:
        pytest.skip(reason)
    synthetic.write_study(tmp_path, "adam", trials=2, epochs=5)
    with disks.tmpfs(tmp_path / "wandb", 1 << 20) as disk:
        disks.read_only(disk)
        for write in (
            lambda: tracking.export("regression", results=tmp_path),
            lambda: LiveRun("offline", {}, results=tmp_path),
        ):
            with pytest.raises(DiskError, match=r"wandb.* cannot be written \(Read-only file system\): make"):
                write()
        disks.read_only(disk, on=False)
        assert tracking.export("regression", results=tmp_path) == 2
