"""Ctrl-C and SIGTERM at any moment: one sentence and an exit code, and the same command continues."""

import contextlib
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from induced_metric import records

pytestmark = pytest.mark.faults

ROOT = Path(__file__).parents[2]
SWEEP = [
    "task.train_examples=64", "task.test_examples=32", "task.batch_size=16", "task.widths=[4,1]",
    "task.epochs=300", "optimizer=sgd,sgd_rms", "sampler=random", "trials=12",
]  # fmt: skip
# Says when it has begun: before, a signal is Python's own matter.
BEGIN = "import sys, runpy; print('begun', flush=True); runpy.run_path(sys.argv.pop(1), run_name='__main__')"
ENDS = {
    signal.SIGINT: (130, "interrupted; run the same command again to continue"),
    signal.SIGTERM: (0, "the same command continues"),
}


@contextlib.contextmanager
def begin(results, script="sweeps/sweep.py", settings=SWEEP, *, code=BEGIN, first="begun"):
    """A process whose first line is out; it does not outlive a test."""
    command = [sys.executable, "-c", code, str(ROOT / script), *settings, f"results={results}"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        assert process.stdout.readline().startswith(first)
        yield process
    finally:
        process.kill()
        process.communicate()


def end(process, how, *, times=1):
    """Sends a signal and checks how the process ends; whether it was still there to be signalled."""
    for _ in range(times):
        process.send_signal(how)
        time.sleep(0.05)
    out, err = process.communicate(timeout=60)
    code, sentence = ENDS[how]
    assert "Traceback" not in err
    assert "Exception ignored" not in err
    if process.returncode == 0 and "finished 12/12" in out and sentence not in out:
        return False  # it was done before
    assert process.returncode == code, err
    assert sentence in (out if how is signal.SIGTERM else err)
    return True


def whole(results):
    with begin(results) as process:
        _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    trials, curves = records.load("regression", sampler="random", results=results)
    columns = ["optimizer", "trial", "learning_rate", "seed", "value", "epochs", "state"]
    return trials[columns], curves.drop(columns="seconds")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    return whole(tmp_path_factory.mktemp("undisturbed"))


def check(results, undisturbed):
    for found, expected in zip(whole(results), undisturbed, strict=True):
        pd.testing.assert_frame_equal(found, expected, check_exact=True)


@pytest.mark.parametrize("how", ENDS, ids=lambda how: how.name)
def test_a_sweep_that_is_ended_at_any_moment_continues(tmp_path, undisturbed, how):
    draw = random.Random(int(how))
    seconds = [0.2, 0.8, draw.uniform(1, 3), draw.uniform(3, 6)]  # imports, compilation, training
    ended = []
    for delay in seconds:
        with begin(tmp_path) as process:
            time.sleep(delay)
            ended.append(end(process, how))
    assert all(ended[:2])
    check(tmp_path, undisturbed)


@pytest.mark.parametrize("how", ENDS, ids=lambda how: how.name)
@pytest.mark.parametrize(
    "where",
    [
        "gc.callbacks.append(signalled); gc.collect()",  # Python lets no exception out of there
        "try: signalled(); time.sleep(60)\n    except BaseException: print('something else is wrong')",
    ],
    ids=["garbage", "any error is taken for another"],
)
def test_a_signal_that_comes_where_an_exception_would_be_lost_is_not(how, where):
    code = (
        "import gc, os, signal, sys, time, types\n"
        "from induced_metric.cli import entry\n"
        "def signalled(*_):\n"
        "    gc.callbacks.clear()\n"
        f"    os.kill(os.getpid(), {int(how)})\n"
        "def main():\n"
        f"    {where}\n"
        "    time.sleep(60)\n"
        "sys.modules['induced_metric.cli.mine'] = types.SimpleNamespace(main=main)\n"
        "entry.start('mine')"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert ended.returncode == ENDS[how][0]
    said = (ended.stderr, ended.stdout) if how is signal.SIGINT else (ended.stdout, ended.stderr)
    assert said == (ENDS[how][1] + "\n" if how is signal.SIGINT else f"stopped; {ENDS[how][1]}\n", "")


@pytest.mark.parametrize("how", ENDS, ids=lambda how: how.name)
def test_a_signal_that_comes_while_python_ends_changes_nothing(how):
    code = (
        "import atexit, os, sys, types\n"
        "from induced_metric.cli import entry\n"
        f"atexit.register(os.kill, os.getpid(), {int(how)})\n"
        "sys.modules['induced_metric.cli.mine'] = types.SimpleNamespace(main=lambda: print('done'))\n"
        "entry.start('mine')"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "done\n", "")


def test_an_impatient_ctrl_c_while_it_compiles_ends_at_once(tmp_path):
    """A program that takes minutes to compile; nobody waits for it."""
    slow = (
        "import sys, time, runpy\n"
        "import induced_metric.lanes.variants as v\n"
        "v.Variant.compile = lambda *_: (print('compiling', flush=True), time.sleep(600))\n"
        "runpy.run_path(sys.argv.pop(1), run_name='__main__')"
    )
    with begin(tmp_path, code=slow, first="device:") as process:
        assert "compiling" in process.stdout.readline()
        begun = time.monotonic()
        assert end(process, signal.SIGINT, times=2)
        assert time.monotonic() - begun < 10


@pytest.mark.parametrize("how", ENDS, ids=lambda how: how.name)
@pytest.mark.parametrize("script", ["train.py", "sweeps/landscapes.py"])
def test_other_commands_end_alike_before_they_have_begun(tmp_path, script, how):
    with begin(tmp_path, script, []) as process:
        time.sleep(0.2)
        assert end(process, how)
