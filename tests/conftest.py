"""Shared fixtures; modules that tests share are in ``helpers``, which alone pytest puts on the path.

XLA is configured before any test imports JAX: two devices, as on two cores.
"""

import signal
import subprocess
from contextlib import closing

from induced_metric import xla

xla.configure(devices=2)

import configured  # noqa: E402
import pytest  # noqa: E402

# A shell has its background jobs ignore Ctrl-C, and so would every process that a test begins.
signal.signal(signal.SIGINT, signal.default_int_handler)

collect_ignore = ["helpers"]  # no tests, and --doctest-modules would import each a second time


@pytest.fixture(scope="session")
def tiny_task():
    """The regression task, small enough to train in milliseconds."""
    return configured.task(
        "regression", epochs=6, batch_size=16, train_examples=70, test_examples=40, widths=(4, 1)
    )


@pytest.fixture(scope="session")
def postgres():
    """A PostgreSQL server of the tests' own; its tests bear the marker ``postgres``."""
    # Here, as it takes psycopg: most tests need neither.
    from postgres import PostgresServer, reason_for_none

    reason = reason_for_none()
    if reason:
        pytest.skip(reason)
    with closing(PostgresServer()) as server:
        yield server


@pytest.fixture(scope="session")
def slurm():
    """What a real SLURM says of an array: the state of each element; its tests bear the marker ``slurm``."""
    try:
        subprocess.run(["sinfo"], capture_output=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        pytest.skip("needs a SLURM, and sinfo does not answer")

    def states(job):
        command = ["squeue", "--noheader", f"--jobs={job}", "--format=%i %T"]
        # Of a job that is long gone, squeue says that it has no valid number.
        said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        return {line.split()[0].partition("_")[2]: line.split()[1] for line in said.splitlines()}

    return states
