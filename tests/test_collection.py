"""No directory of the tests passes for the library whose name it has: ``torch``, ``data``, ``optimizers``."""

import os
import re
import subprocess
import sys
from importlib.machinery import PathFinder
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

TESTS = Path(__file__).parent
HELPERS = TESTS / "helpers"


def test_no_directory_of_the_tests_can_be_imported():
    names = {path.name for path in TESTS.rglob("*") if path.is_dir() and path.name.isidentifier()}
    ours = [entry for entry in sys.path if Path(entry).resolve().is_relative_to(TESTS)]
    assert {name for name in names if PathFinder.find_spec(name, ours)} == set()
    assert PathFinder.find_spec("tfds_files", ours)


def test_without_pytorch_its_tests_are_skipped_and_scipy_works():
    command = [sys.executable, "-m", "pytest", "-p", "without_pytorch", "-p", "no:cacheprovider", "-q"]
    chosen = ["tests/torch", "tests/analysis/test_statistics.py"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HELPERS), *sys.path[1:]])}
    done = subprocess.run(
        [*command, *chosen], capture_output=True, text=True, check=False, cwd=TESTS.parent, env=environment
    )
    assert done.returncode == 0, done.stdout
    assert re.search(
        r"torch_families\.py:\d+: could not import 'torch': No module named 'torch'", done.stdout
    )
    skipped = len(list((TESTS / "torch").glob("test_*.py")))
    assert f" {skipped} skipped" in done.stdout.splitlines()[-1]
