"""``induced-metric dashboard``: Optuna's dashboard serves what is recorded, to this machine alone."""

import json
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from contextlib import closing

import pytest
import synthetic

from induced_metric import __main__
from induced_metric.cli import commands, dashboard
from induced_metric.records import RecordStore, StudyKey
from induced_metric.studies.browsing import Browsed


class Browser:
    """What asks a WSGI application, at a time of its own."""

    def __init__(self, results):
        browsed = Browsed(results)
        browsed.refresh()
        self.now = 0.0
        self._application = dashboard.application(browsed, clock=lambda: self.now)

    def get(self, path):
        environ = {"REQUEST_METHOD": "GET", "PATH_INFO": path, "SERVER_PROTOCOL": "HTTP/1.1"}
        environ |= {"SERVER_NAME": "here", "SERVER_PORT": "80", "wsgi.url_scheme": "http"}
        answer = self._application(environ, lambda *_: None)
        return json.loads(b"".join(answer))


def test_the_dashboard_knows_every_study_and_its_trials(tmp_path):
    synthetic.write_study(tmp_path, "adam", trials=4, epochs=3)
    synthetic.write_study(tmp_path, "sgd", trials=3, epochs=3)
    browser = Browser(tmp_path)
    names = {each["study_name"]: each["study_id"] for each in browser.get("/api/studies")["study_summaries"]}
    assert names.keys() == {"paper-regression-tpe-adam", "paper-regression-tpe-sgd"}
    trials = browser.get(f"/api/studies/{names['paper-regression-tpe-adam']}")["trials"]
    assert [trial["state"] for trial in trials] == ["Complete", "Complete", "Pruned", "Fail"]
    assert len(trials[0]["intermediate_values"]) == 3


def test_what_is_recorded_later_is_shown(tmp_path):
    synthetic.write_study(tmp_path, "adam", trials=3, epochs=3)
    browser = Browser(tmp_path)
    store = RecordStore(StudyKey("paper", "mnist", "tpe", "adam").directory(tmp_path))
    row, curve = synthetic.trial(0, optimizer="adam", task="mnist", epochs=3)
    store.publish(row, curve)
    assert len(browser.get("/api/studies")["study_summaries"]) == 1
    browser.now += 60
    assert len(browser.get("/api/studies")["study_summaries"]) == 2


@pytest.mark.slow
def test_it_serves_this_machine_alone_until_it_is_interrupted(tmp_path):
    synthetic.write_study(tmp_path, "adam", trials=3, epochs=3)
    command = [sys.executable, "-m", "induced_metric", "dashboard", "--results", str(tmp_path), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        line = process.stdout.readline()
        where = re.fullmatch(
            rf"3 trials of {tmp_path}: (http://127\.0\.0\.1:(\d+)/) \(Ctrl-C ends it\)\n", line
        )
        assert where, line
        # A browser keeps a connection open on which it asks nothing.
        with (
            socket.create_connection(("127.0.0.1", int(where[2]))),
            urllib.request.urlopen(where[1], timeout=30) as page,
        ):
            assert page.url == f"{where[1]}dashboard"
            assert b"<title>Optuna Dashboard</title>" in page.read()
        process.send_signal(signal.SIGINT)
        _, complaint = process.communicate(timeout=30)
    assert (process.returncode, complaint) == (0, "")


def test_a_port_that_is_taken_and_missing_records_end_in_one_sentence(tmp_path, capsys):
    def refused(*arguments):
        with pytest.raises(SystemExit) as ended:
            commands.main(["dashboard", "--results", str(tmp_path), *arguments])
        assert ended.value.code == 2
        (line,) = capsys.readouterr().err.splitlines()
        return line

    assert refused() == f"induced-metric dashboard: there are no records of a study in {tmp_path}"
    synthetic.write_study(tmp_path, "adam", trials=3, epochs=3)
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        assert f"port {port} cannot be used (Address already in use)" in refused("--port", str(port))
    assert "port 99999 cannot be used (it must be 0-65535)" in refused("--port", "99999")


def test_without_the_dashboard_installed_one_sentence_says_so(tmp_path, monkeypatch, capsys):
    synthetic.write_study(tmp_path, "adam", trials=3, epochs=3)
    monkeypatch.setitem(sys.modules, "optuna_dashboard", None)
    monkeypatch.setattr(sys, "argv", ["induced-metric", "dashboard", "--results", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        __main__.main()
    assert ended.value.code == 2
    sentence = "optuna_dashboard is missing; pip install 'induced-metric[cluster]' adds it"
    assert capsys.readouterr().err == f"induced-metric: {sentence}\n"
