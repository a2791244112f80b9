"""The password of the database is in no record, configuration, log, process list, error or ``repr``."""

import os
import subprocess
import sys
import time
import traceback
from pathlib import Path
from urllib.parse import quote

import pytest
from toy_study import files, serving

from induced_metric.errors import UserError
from induced_metric.studies.address import secrets

pytestmark = [pytest.mark.postgres, pytest.mark.faults]

ROOT = Path(__file__).parents[2]
PASSWORD = "Zx9@q7:w/r%d"  # whatever has to be written otherwise in a URL
TINY = ["task.train_examples=64", "task.test_examples=32", "task.batch_size=16", "task.widths=[4,1]"]
PARTS = [PASSWORD, quote(PASSWORD, safe=""), "Zx9", "q7:w", "q7%3A"]


def silent(text):
    """Whether a text gives no part of the password away."""
    return not any(part in text for part in PARTS)


@pytest.fixture
def url(postgres, database):
    """As a user with such a password writes it."""
    postgres.execute("DROP ROLE IF EXISTS odd")
    postgres.execute(f"CREATE ROLE odd SUPERUSER LOGIN PASSWORD '{PASSWORD}'")
    yield f"postgresql://odd:{PARTS[1]}@{database.rpartition('@')[2]}"
    postgres.execute("DROP OWNED BY odd", database=database.rpartition("/")[2])
    postgres.execute("DROP ROLE odd")


def everything(error):
    """What an error shows, with those that led to it, also those that are left out of its traceback."""
    shown = [*traceback.format_exception(error)]
    while error is not None:
        shown += [str(error), repr(error)]
        error = error.__cause__ or error.__context__
    return "\n".join(shown)


def test_no_object_shows_it(url, tmp_path):
    with serving(url, worker="w0") as server:
        study = files(tmp_path, server)
        for thing in (server, study, study.storage, server.storage, server.storage.engine, server._parsed):
            assert silent(repr(thing))
            assert silent(str(thing))


WRONG = {
    "password": (lambda url: url.replace("Zx9", "Zx9-"), "password authentication failed for user"),
    "port": (lambda url: f"{url.rpartition(':')[0]}:1/nothing", "Connection refused"),
    "host": (lambda url: url.replace("127.0.0.1", "no.such.host.invalid"), "resolve host|not known"),
    "database": (lambda url: url + "_not", 'database "workers_[0-9a-f]*_not" does not exist'),
    "sqlite": (lambda url: f"sqlite:///{PASSWORD}", "SQLite cannot be shared by workers: its file locks"),
    "mysql": (lambda url: url.replace("postgresql", "mysql"), "must name a PostgreSQL database, got mysql"),
    "unquoted": (lambda url: url.replace(PARTS[1], PASSWORD), "as %40 %3A %2F %25"),
    "unquoted @": (lambda url: url.replace(PARTS[1], "Zx9@q7%3A"), "as %40 %3A %2F %25"),
    "no url": (lambda url: PASSWORD, "must be postgresql://user:password@host:port/database"),
}


@pytest.mark.parametrize("name", WRONG)
def test_an_address_that_is_wrong_is_refused_in_a_sentence_without_it(url, name):
    change, reason = WRONG[name]
    begun = time.monotonic()
    with pytest.raises(UserError, match=reason) as error, serving(change(url), patience=0.2):
        pass
    assert "\n" not in str(error.value)
    assert silent(everything(error.value))
    assert time.monotonic() - begun < 20


def test_an_error_that_would_show_it_is_masked():
    url = "postgresql://me:a%40b@host/db?password=long%2Fer"
    assert secrets(url) == [url, "long%2Fer", "long/er", "a%40b", "a@b"]
    assert secrets("postgresql://me:a@b@host/db")[1] == "a@b"
    assert secrets("postgresql://host/db") == ["postgresql://host/db"]


def processes():
    """The command lines of all processes, as ``ps`` gives them."""
    return subprocess.run(["ps", "-eww", "-o", "args"], capture_output=True, text=True, check=True).stdout


def test_a_sweep_whose_connections_end_leaves_it_nowhere(postgres, url, tmp_path):
    results, outputs, listed = tmp_path / "results", [], []
    command = [
        sys.executable, "sweeps/sweep.py", "storage=postgresql", "optimizer=sgd", "sampler=random",
        "trials=12", "task.epochs=400", "lanes.devices=1", f"results={results}",
        f"hydra.run.dir={tmp_path}/hydra", *TINY,
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "INDUCED_METRIC_STORAGE": url}
    for wrong in (False, True):
        if wrong:
            environment["INDUCED_METRIC_STORAGE"] = url.replace("Zx9", "Zx9-")
        with subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as sweep:
            while sweep.poll() is None:
                listed.append(processes())
                if list(results.rglob("*.parquet")):
                    postgres.terminate_connections(url.rpartition("/")[2])
                time.sleep(0.2)
            outputs.append(sweep.stdout.read())
            assert sweep.returncode == (2 if wrong else 0), outputs[-1]
    assert "authentication failed" in outputs[1]
    assert any("storage=postgresql" in text for text in listed)
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.name == "trials.parquet" for path in written)
    for text in [*outputs, *listed, *(path.read_bytes().decode("latin-1") for path in written)]:
        assert silent(text)
