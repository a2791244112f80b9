"""Workers are kept running: started again when killed, stopped in order, never two of one name."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from induced_metric.cli.supervisor import Restarts, Supervisor, Worker, noted
from induced_metric.errors import UserError

FAKE = Path(__file__).parents[1] / "helpers" / "worker.py"
QUICK = Restarts(restarts=2, pause=0.01, longest_pause=60)


def fake(directory, name, todo, **about):
    command = [sys.executable, "-S", str(FAKE), todo, str(directory / f"{name}.file"), f"worker={name}"]
    return Worker(name=name, command=command, log=directory / "logs" / f"{name}.log", **about)


def supervise(workers, came=(), restarts=QUICK):
    """The exit code, and the lines that the terminal showed."""
    lines = []
    with Supervisor(workers, restarts, say=lines.append) as supervisor:
        return supervisor.run(came), lines


def until(true, seconds=20):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def runs(worker):
    """How often a worker was started, by its log."""
    return worker.log.read_text().count("begun") if worker.log.exists() else 0


def test_each_worker_has_a_log_of_its_own(tmp_path):
    workers = [fake(tmp_path, name, "done", environment={"INDUCED_METRIC_STORAGE": "abc"}) for name in "ab"]
    code, lines = supervise(workers)
    assert code == 0
    for worker in workers:
        assert re.fullmatch(
            rf"begun worker={worker.name} cores=[\d,]+ address=3 pid=\d+\n", worker.log.read_text()
        )
        assert f"worker {worker.name} started, log {worker.log}" in lines
        assert f"worker {worker.name} finished" in lines
    supervise(workers)
    assert [runs(worker) for worker in workers] == [2, 2]


def test_a_worker_that_was_killed_is_started_again(tmp_path):
    worker = fake(tmp_path, "a", "once")
    code, lines = supervise([worker])
    assert (code, runs(worker)) == (0, 2)
    assert lines[1:] == [
        "worker a was killed by signal 9 (Killed); started again in 0.01 s (1 of 2)",
        "worker a finished",
    ]


def test_one_that_ends_by_what_may_pass_is_started_again(tmp_path):
    worker = fake(tmp_path, "a", "full")
    code, lines = supervise([worker])
    assert (code, runs(worker)) == (0, 2)
    assert lines[1:] == [
        "worker a ended (worker.py: the disk is full); started again in 0.01 s (1 of 2)",
        "worker a finished",
    ]


def test_one_that_is_killed_again_and_again_is_given_up_and_the_others_go_on(tmp_path):
    dying, other = fake(tmp_path, "a", "die"), fake(tmp_path, "b", "wait")
    lines = []
    with Supervisor([dying, other], QUICK, say=lines.append) as supervisor:
        codes = []
        thread = threading.Thread(target=lambda: codes.append(supervisor.run()))
        thread.start()
        until(lambda: any("not started again after 2 restarts" in line for line in lines))
        assert thread.is_alive()
        (tmp_path / "b.file").touch()
        thread.join()
    assert (codes, runs(dying), lines[-1]) == ([1], 3, "worker b finished")


def test_the_pause_before_a_restart_grows_up_to_a_limit():
    restarts = Restarts(restarts=10_000, pause=1, longest_pause=60)
    assert [restarts.pause_of(number) for number in (1, 2, 3, 6, 7, 10_000)] == [1, 2, 4, 32, 60, 60]


def test_one_that_lived_long_has_its_restarts_counted_anew(tmp_path):
    lines = []
    restarts = Restarts(restarts=1, pause=0, longest_pause=0)  # any life is a long one
    with Supervisor([fake(tmp_path, "a", "die")], restarts, say=lines.append) as supervisor:
        came = []
        thread = threading.Thread(target=supervisor.run, args=(came,))
        thread.start()
        until(lambda: len(lines) > 4)
        came.append(signal.SIGTERM)
        thread.join()
    assert set(lines[1:5]) == {"worker a was killed by signal 9 (Killed); started again in 0 s (1 of 1)"}


def test_so_are_not_those_of_one_that_ends_by_what_never_passes(tmp_path):
    worker = fake(tmp_path, "a", "away")
    code, lines = supervise([worker], restarts=Restarts(restarts=2, pause=0, longest_pause=0))
    assert (code, runs(worker)) == (1, 3)
    assert lines[-1] == "worker a ended (worker.py: the disk is away), and not started again after 2 restarts"


def test_a_mistake_of_the_user_stops_all_and_is_said_once(tmp_path, capfd):
    workers = [fake(tmp_path, "a", "wait"), fake(tmp_path, "b", "refuse"), fake(tmp_path, "c", "refuse")]
    code, lines = supervise(workers)
    assert code == 2
    assert capfd.readouterr().err == "worker.py: optimizer.xi must be a number, got 'abc'\n"
    assert "worker a stopped" in lines


def test_a_worker_that_fails_is_named_with_its_last_words(tmp_path):
    code, lines = supervise([fake(tmp_path, "a", "crash"), fake(tmp_path, "b", "done")])
    assert code == 1
    assert "worker a ended with exit code 1: RuntimeError: the disk is full" in lines
    assert "worker b finished" in lines


def test_a_signal_is_passed_on_as_sigterm_and_waited_for(tmp_path):
    workers = [fake(tmp_path, name, "wait") for name in "ab"]
    with Supervisor(workers, QUICK, say=lambda _: None) as supervisor, noted(signal.SIGINT) as came:
        # Ctrl-C, once both listen.
        threading.Thread(
            target=lambda: (
                until(lambda: all(map(runs, workers))),
                os.kill(os.getpid(), signal.SIGINT),
            )
        ).start()
        assert supervisor.run(came) == 0
        assert came == [signal.SIGINT]
    for worker in workers:
        assert worker.log.read_text().endswith("stopped; the same command continues\n")


def test_one_that_waits_for_its_restart_is_not_started_after_a_signal(tmp_path):
    worker, came = fake(tmp_path, "a", "die"), []

    def say(line):
        if "started again" in line:
            came.append(signal.SIGTERM)

    with Supervisor([worker], Restarts(restarts=9, pause=60, longest_pause=60), say=say) as supervisor:
        assert supervisor.run(came) == 0
    assert runs(worker) == 1


def test_a_second_ctrl_c_kills_those_that_do_not_listen(tmp_path):
    worker, came = fake(tmp_path, "a", "deaf"), []
    lines = []
    with Supervisor([worker], QUICK, say=lines.append) as supervisor:
        thread = threading.Thread(target=supervisor.run, args=(came,))
        thread.start()
        until(lambda: runs(worker))
        came.append(signal.SIGINT)
        time.sleep(0.5)
        assert thread.is_alive()
        came.append(signal.SIGINT)
        thread.join()
    assert lines[-1].startswith("worker a was killed by signal 9 (Killed)")


def test_a_worker_keeps_to_its_cores(tmp_path):
    core = max(os.sched_getaffinity(0))
    worker = fake(tmp_path, "a", "done", cores=frozenset([core]))
    supervise([worker])
    assert f"cores={core} " in worker.log.read_text()


def test_a_name_that_another_process_has_is_refused_before_any_start(tmp_path):
    held, free = fake(tmp_path, "a", "done"), fake(tmp_path, "b", "done")
    with Supervisor([held], QUICK, say=lambda _: None):
        with pytest.raises(
            UserError, match=r"worker a is already running: another process is writing .*a\.log"
        ):
            supervise([free, held])
        assert runs(free) == 0
        supervise([free])
    supervise([free, held])
    assert (runs(free), runs(held)) == (2, 1)


def test_a_log_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "logs").write_text("")
    with pytest.raises(UserError, match=r"the log .*a\.log cannot be written"):
        supervise([fake(tmp_path, "a", "done")])


def test_workers_go_on_where_nobody_reads_what_is_said_of_them(tmp_path):
    def say(line):
        raise BrokenPipeError

    worker = fake(tmp_path, "a", "done")
    with Supervisor([worker], QUICK, say=say) as supervisor:
        assert supervisor.run() == 0
    assert runs(worker) == 1


def test_workers_stop_in_order_when_their_supervisor_fails(tmp_path):
    worker = fake(tmp_path, "a", "wait")

    class Broken(list):
        def __bool__(self):
            if runs(worker):
                raise RuntimeError("of the supervisor")
            return False

    with pytest.raises(RuntimeError, match="of the supervisor"), Supervisor([worker], QUICK) as supervisor:
        supervisor.run(Broken())
    assert worker.log.read_text().endswith("stopped; the same command continues\n")


def test_a_signal_that_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with noted(signal.SIGINT, signal.SIGTERM) as came:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGTERM)
            until(lambda: came)
        assert came == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent died")
def test_workers_stop_in_order_when_their_supervisor_is_killed(tmp_path):
    code = f"""
import sys
from pathlib import Path
from induced_metric.cli.supervisor import Restarts, Supervisor, Worker
command = [{sys.executable!r}, "-S", {str(FAKE)!r}, "wait", "nowhere"]
worker = Worker(name="a", command=command, log=Path("a.log"))
with Supervisor([worker], Restarts(restarts=1, pause=0, longest_pause=1)) as supervisor:
    supervisor.run()
"""
    log = tmp_path / "a.log"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=tmp_path)
    try:
        until(lambda: log.exists() and "begun" in log.read_text())
    finally:
        process.kill()
        process.communicate()
    until(lambda: log.read_text().endswith("stopped; the same command continues\n"))
