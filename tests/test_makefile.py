"""The Makefile sets up what a target needs and nothing else, tried with stand-ins for pip and nvidia-smi."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import tfds_files

ROOT = Path(__file__).parents[1]
CARD = "| NVIDIA-SMI 570.86.15     Driver Version: 570.86.15     CUDA Version: {}     |"
# In the place of the environment's Python: modules of ours run, everything else is only written down.
PYTHON = """#!/bin/sh
echo "$@" >> "{log}"
case "$2 $3" in "induced_metric data") exec "{python}" "$@" ;; esac
"""


class Machine:
    """A machine with an environment: runs ``make`` and says what it did."""

    def __init__(self, directory):
        self.venv, self.data = directory / "venv", directory / "tfds"
        self.log, self.path = directory / "log", directory / "bin"
        for folder in (self.venv / "bin", self.path):
            folder.mkdir(parents=True)
        script(self.venv / "bin" / "python", PYTHON.format(log=self.log, python=sys.executable))
        (self.venv / ".installed").touch()

    def make(self, *arguments):
        """The finished process, and the lines that the environment's Python was called with."""
        self.log.write_text("")
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
        environment |= {
            "PATH": f"{self.path}:{environment['PATH']}",
            "PYTHONPATH": os.pathsep.join(sys.path[1:]),
            "TFDS_DATA_DIR": str(self.data),
            "HTTPS_PROXY": "http://127.0.0.1:9",  # where nobody listens
        }
        command = ["make", "--no-print-directory", f"VENV={self.venv}", *arguments]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, cwd=ROOT, env=environment, timeout=120
        )
        return done, self.log.read_text().splitlines()

    def has_card(self, cuda):
        text = CARD.format(cuda) if cuda else "No devices were found"
        script(self.path / "nvidia-smi", f"#!/bin/sh\necho '{text}'\n")


def script(path, content):
    path.write_text(content)
    path.chmod(0o755)


@pytest.fixture
def machine(tmp_path):
    machine = Machine(tmp_path)
    machine.has_card(None)
    return machine


def installed(calls):
    """What was installed beyond the lock."""
    return [call.split()[-1] for call in calls if call.startswith("-m pip install")]


@pytest.mark.parametrize(
    ("cuda", "locks"),
    [
        (None, []),
        ("11.8", []),
        ("12.8", ["requirements-cuda12.lock"]),
        ("13.0", ["requirements-cuda13.lock"]),
        ("14.1", ["requirements-cuda13.lock"]),
    ],
)
def test_setup_installs_jax_for_the_card_that_is_there(machine, cuda, locks):
    machine.has_card(cuda)
    done, calls = machine.make("setup")
    assert (done.returncode, installed(calls)) == (0, locks)
    hashed = "-m pip install --quiet --require-hashes -r "
    assert all(call.startswith(hashed) for call in calls if "pip install" in call)
    _, again = machine.make("setup")
    assert again == []


def test_another_accelerator_replaces_the_plugins_and_is_kept(machine):
    assert installed(machine.make("setup", "ACCELERATOR=cuda12")[1]) == ["requirements-cuda12.lock"]
    machine.has_card("13.0")
    assert machine.make("setup")[1] == []
    done, calls = machine.make("setup", "ACCELERATOR=cpu")
    assert done.returncode == 0
    (removal,) = calls
    assert removal.startswith("-m pip uninstall")
    assert {"jax-cuda12-plugin", "jax-cuda12-pjrt", "libtpu"} <= set(removal.split())
    assert machine.make("setup", "ACCELERATOR=cpu")[1] == []
    assert installed(machine.make("setup", "ACCELERATOR=auto")[1]) == ["requirements-cuda13.lock"]


@pytest.mark.parametrize("accelerator", ["cuda12", "cuda13", "tpu"])
def test_the_lock_of_an_accelerator_has_the_versions_of_the_other_and_hashes(accelerator):
    def pins(path):
        text = path.read_text(encoding="utf-8").replace("\\\n", " ")
        assert "://" not in text
        lines = [line.split(" --hash=sha256:") for line in text.splitlines()]
        assert all(hashes for _, *hashes in lines)
        return {tuple(map(str.strip, line.partition("==")[::2])) for line, *_ in lines}

    everything, own = pins(ROOT / "requirements.lock"), pins(ROOT / f"requirements-{accelerator}.lock")
    locked = {name for name, _ in everything}
    assert {pin for pin in own if pin[0] in locked} <= everything
    plugin = "libtpu" if accelerator == "tpu" else f"jax-{accelerator}-plugin"
    assert {name for name, _ in own - everything} >= {plugin}


@pytest.mark.parametrize("value", ["rocm", "cuda", "cpu tpu", ""])
def test_an_unknown_accelerator_ends_in_the_allowed_ones(machine, value):
    done, calls = machine.make("setup", f"ACCELERATOR={value}")
    assert (done.returncode, calls) == (2, [])
    (line,) = done.stderr.splitlines()
    assert f"ACCELERATOR must be one of auto cpu cuda12 cuda13 tpu, got '{value}'" in line


def test_a_variable_of_another_target_ends_in_its_name(machine):
    done, called = machine.make("sweep", "TRIAL=3")
    assert done.returncode == 2
    assert "TRIAL is a variable of make trial, not of sweep" in done.stderr
    assert called == []
    done, _ = machine.make("compare", "OPTIMIZERS=lion", "SEEDS=3")
    assert "is a variable of" not in done.stderr


def test_an_unknown_mode_ends_before_the_search(machine):
    done, calls = machine.make("sweep", "MODE=onlin")
    assert (done.returncode, calls) == (2, [])
    assert "MODE must be one of offline online disabled, got 'onlin'" in done.stderr


@pytest.mark.parametrize("target", ["sweep", "help"])
def test_a_misspelt_variable_is_refused_with_those_that_there_are(machine, target):
    done, calls = machine.make(target, "TRAILS=4", "OPTIMIZERS=adam sgd")
    assert (done.returncode, calls) == (2, [])
    (line,) = done.stderr.splitlines()
    assert re.search(r"unknown variable TRAILS: there are VENV PYTHON TASK OPTIMIZERS TRIALS .*LAUNCH", line)


def test_every_variable_of_the_makefile_can_be_given(machine):
    names = re.findall(r"^([A-Z_]+) *\?=", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert len(names) > 30
    given = [f"{name}=a b" for name in names if name not in ("MODE", "ACCELERATOR", "PYTHON")]
    done, _ = machine.make("help", *given, "MODE=online", "ACCELERATOR=cpu", "PYTHON=python3")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("task", ["regression", "cifar10_small"])
def test_a_sweep_with_all_its_data_installs_nothing(machine, task):
    machine.make("setup")
    tfds_files.write(machine.data, "cifar10", "3.0.2", {"train": tfds_files.images(10, (32, 32, 3))})
    done, calls = machine.make("sweep", f"TASK={task}")
    assert done.returncode == 0, done.stderr
    assert calls[0] == f"-m induced_metric data --task {task} --check"
    assert calls[1].startswith(f"sweeps/sweep.py task={task}")
    assert installed(calls) == []


@pytest.mark.parametrize("target", ["sweep", "data"])
def test_missing_data_are_prepared_first_with_what_that_needs(machine, tmp_path, target):
    machine.make("setup")
    originals = tmp_path / "original files"
    originals.mkdir()
    (originals / "input.txt").touch()
    done, calls = machine.make(target, "TASK=shakespeare_small", f"MANUAL_DIR={originals}")
    ours = f"-m induced_metric data --task shakespeare_small --manual-dir {originals}"
    assert (calls[0], installed(calls[1:2]), calls[2:]) == (f"{ours} --check", [".[data]"], [ours])
    # The stand-in for pip installed nothing: the search must not begin.
    assert done.returncode == 2
    assert "induced-metric data: " in done.stderr


@pytest.mark.parametrize("target", ["sweep", "data"])
def test_without_network_missing_data_end_in_one_sentence(machine, target):
    machine.make("setup")
    done, calls = machine.make(target, "TASK=cifar10")
    assert (done.returncode, calls) == (2, ["-m induced_metric data --task cifar10 --check"])
    sentence, of_make = done.stderr.splitlines()
    assert sentence.startswith("induced-metric data: cifar10 is missing here")
    assert sentence.endswith(
        "(cifar-10-binary.tar.gz) into a directory and run make data TASK=cifar10 MANUAL_DIR=<directory>"
    )
    assert of_make.startswith("make: ***")


def test_a_fair_comparison_searches_twice_then_confirms_then_prints(machine):
    machine.make("setup")
    done, calls = machine.make("fair", "TRIALS=30", "SEEDS=10", "RESULTS=results/try")
    assert done.returncode == 0, done.stderr
    names = "adamw,muon,sgd,sgd_log_metric,sgd_metric,sgd_rms"
    begin = f"sweeps/sweep.py task=regression optimizer={names} protocol=fair seed=0 results=results/try"
    assert calls == [
        "-m induced_metric data --task regression --check",
        f"{begin} sampler=random trials=30",
        f"{begin} sampler=tpe studies=5 trials=30",
        f"{begin} sampler=confirmed studies=5 sampler.searched=30 trials=10",
        "-m induced_metric tables --task regression --protocol fair --results results/try",
        "-m induced_metric report --results results/try",
    ]


def test_a_fair_comparison_takes_its_numbers_from_the_task_and_its_names_from_the_command(machine):
    machine.make("setup")
    _, calls = machine.make("fair", "OPTIMIZERS=adam sgd", "STUDIES=2", "TASK=regression_128")
    searches = [call.partition(" protocol=fair ")[::2] for call in calls[1:4]]
    assert {begin for begin, _ in searches} == {"sweeps/sweep.py task=regression_128 optimizer=adam,sgd"}
    assert [end.partition("results=results ")[2] for _, end in searches] == [
        "sampler=random trials=${budget.draws}", "sampler=tpe studies=2", "sampler=confirmed studies=2",
    ]  # fmt: skip
    # The two belong to this target alone.
    _, (_, sweep, *_) = machine.make("sweep")
    assert "optimizer=adam,adamw," in sweep
    assert "studies=1" in sweep


def test_a_candidate_is_checked_tuned_confirmed_and_judged(machine):
    machine.make("setup")
    done, calls = machine.make("compare", "OPTIMIZERS=lion yogi", "RESULTS=results/try")
    assert done.returncode == 0, done.stderr
    begin = "sweeps/sweep.py task=regression optimizer=lion,yogi protocol=fair seed=0 results=results/try"
    judge = (
        "-m induced_metric compare lion yogi --task regression --against adamw muon sgd sgd_rms "
        "--results results/try --baselines results/published"
    )
    assert calls == [
        f"{judge} --check --studies 5",
        "-m induced_metric data --task regression --check",
        f"{begin} sampler=tpe studies=5",
        f"{begin} sampler=confirmed studies=5 trials=40",
        judge,
    ]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "name the optimiser to compare, such as make compare OPTIMIZERS=lion"),
        (["OPTIMIZERS=lion", "SEED=3"], "compare takes the seeds of the baselines: leave SEED out"),
        (["OPTIMIZERS=lion", "LAUNCHER=slurm"], "LAUNCHER=slurm returns before a search is finished"),
        (["OPTIMIZERS=lion", "PRUNER=median"], "make fair and make compare set PRUNER themselves"),
        (["fair", "SAMPLER=random", "MODE=online"], "make compare set SAMPLER MODE themselves"),
    ],
)
def test_a_comparison_that_cannot_be_one_does_not_begin(machine, words, sentence):
    machine.make("setup")
    done, calls = machine.make("compare", *words)
    assert (done.returncode, calls) == (2, [])
    assert sentence in done.stderr


@pytest.mark.parametrize("words", [["fair"], ["compare", "OPTIMIZERS=lion"]], ids=lambda words: words[0])
@pytest.mark.parametrize("seeds", ["1", "-3", "few"])
def test_too_few_seeds_for_a_verdict_are_refused_before_anything_is_trained(machine, words, seeds):
    machine.make("setup")
    done, calls = machine.make(*words, f"SEEDS={seeds}")
    assert (done.returncode, calls) == (2, [])
    assert done.stderr.startswith("SEEDS must be an integer of at least 2, ")
    assert f"got '{seeds}'\n" in done.stderr


def test_a_fair_comparison_does_not_begin_where_a_search_ends_elsewhere(machine):
    machine.make("setup")
    done, calls = machine.make("fair", "LAUNCHER=slurm")
    assert (done.returncode, calls) == (2, [])
    assert "LAUNCHER=slurm returns before a search is finished" in done.stderr


def test_a_task_that_is_not_there_prepares_nothing(machine):
    machine.make("setup")
    _, calls = machine.make("sweep", "TASK=cifar10_smal")
    assert calls[0].startswith("sweeps/sweep.py task=cifar10_smal")


def test_the_notebooks_install_jupyterlab_once_under_the_pins(machine):
    machine.make("setup")
    _, (install, start) = machine.make("notebook")
    assert install.startswith("-m pip install")
    assert f"--constraint {machine.venv}/pins.txt" in install
    assert install.endswith(".[notebook]")
    assert start.removesuffix(" --allow-root") == "-m jupyterlab notebooks"
    assert start.endswith(" --allow-root") == (os.getuid() == 0)
    _, calls = machine.make("notebooks", "RESULTS=results/published")
    assert calls == ["notebooks/publish.py --results results/published"]


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        (["status"], "status --results results --storage journal"),
        (
            ["status", "TASK=mnist", "PROTOCOL=fair", "STORAGE=postgresql", "EVERY=5", "RESULTS=other"],
            "status --results other --task mnist --protocol fair --storage postgresql --every 5",
        ),
        (["dashboard"], "dashboard --results results --port 8080"),
        (["dashboard", "TASK=mnist", "PORT=0"], "dashboard --results results --task mnist --port 0"),
        (
            ["wandb", "EVERY=60"],
            "wandb --task regression --protocol paper --mode offline --results results --every 60",
        ),
    ],
)
def test_one_watches_all_tasks_unless_one_is_named(machine, arguments, command):
    machine.make("setup")
    _, calls = machine.make(*arguments)
    assert calls == [f"-m induced_metric {command}"]
