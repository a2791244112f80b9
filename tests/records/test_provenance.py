import importlib.metadata
import json
import subprocess
from importlib import import_module
from pathlib import Path

import numpy as np

from induced_metric.records import provenance

module = import_module("induced_metric.records.provenance")  # the package has the function under this name


def _commit(repository: Path) -> None:
    identity = ["-c", "user.name=n", "-c", "user.email=e@example.org"]
    for arguments in (["init", "-q"], ["add", "."], [*identity, "commit", "-qm", "m"]):
        subprocess.run(["git", *arguments], cwd=repository, check=True)


def test_provenance_tells_commit_and_dirtiness(tmp_path, monkeypatch) -> None:
    code, result = tmp_path / "code.py", tmp_path / "results" / "table.csv"
    result.parent.mkdir()
    code.write_text("1")
    result.write_text("1")
    monkeypatch.setattr(module, "__file__", str(code))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert provenance()["commit"] is None
    _commit(tmp_path)
    result.write_text("2")  # what a study writes
    told = provenance(device="cpu", flags="-O")
    assert len(told["commit"]) == 40
    assert told["dirty"] is False
    assert (told["device"], told["flags"]) == ("cpu", "-O")
    assert told["versions"]["numpy"] == np.__version__
    assert told["version"] == importlib.metadata.version("induced-metric")
    assert json.loads(json.dumps(told)) == told
    code.write_text("2")
    assert provenance()["dirty"] is True
    code.write_text("1")
    (tmp_path / "notes.txt").write_text("not of the code")
    assert provenance()["dirty"] is False
    # How one adds an optimizer: a new module, or a new configuration.
    for name in ("src/package/new.py", "mine.py", "mine/__init__.py", "conf/optimizer/new.yaml"):
        added = tmp_path / name
        added.parent.mkdir(parents=True, exist_ok=True)
        added.write_text("1")
        assert provenance()["dirty"] is True
        added.unlink()
    (tmp_path / "results" / "new.py").write_text("what Hydra or a study left")
    assert provenance()["dirty"] is False
    # An environment inside somebody else's repository: that repository did not make the record.
    installed = tmp_path / "site-packages" / "code.py"
    installed.parent.mkdir()
    installed.write_text("1")
    monkeypatch.setattr(module, "__file__", str(installed))
    assert provenance()["commit"] is None


def test_provenance_without_git_or_a_package(monkeypatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(module, "_PACKAGES", ("no-such-package",))
    told = provenance()
    assert told["commit"] is None
    assert told["dirty"] is None
    assert told["versions"] == {"no-such-package": None}
