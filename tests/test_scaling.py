"""The recipes of docs/scaling.md: the manifest, the commands and the job script work as they stand."""

import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

import hydra
import pytest
import yaml

from induced_metric.cli import values

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "scaling.md").read_text()
SHELL = re.findall(r"```bash\n(.*?)```", TEXT, re.DOTALL)
FAKE = ROOT / "tests" / "helpers" / "worker.py"


def overrides(command):
    return [word for word in shlex.split(command) if re.match(r"[+a-z_.]+=", word)]


def commands():
    """The sweeps that the recipes run, as their words."""
    lines = "\n".join(SHELL).replace("\\\n", " ").splitlines()
    found = [line for line in lines if "sweep.py" in line or "workers.sbatch" in line]
    found.append(script().replace("\\\n", " "))
    program = r"sweep\.py|workers\.sbatch|induced-metric sweep"
    return [re.split("[>&)]", re.split(program, line)[1])[0] for line in found]


def script():
    """What the manifest's container runs."""
    return yaml.safe_load(manifest())["spec"]["template"]["spec"]["containers"][0]["args"][0]


def manifest():
    (block,) = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    return block


def test_the_manifest_is_an_indexed_job_that_keeps_the_address_to_itself():
    job = yaml.safe_load(manifest())
    assert (job["apiVersion"], job["kind"], job["spec"]["completionMode"]) == ("batch/v1", "Job", "Indexed")
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    # Kubernetes wants this of a Job with a policy of failures, and with a limit for each index.
    assert pod["restartPolicy"] == "Never"
    rules = {rule["action"]: rule for rule in job["spec"]["podFailurePolicy"]["rules"]}
    mistake = {"containerName": container["name"], "operator": "In", "values": [2]}
    assert rules["FailJob"]["onExitCodes"] == mistake
    assert "DisruptionTarget" in str(rules["Ignore"]["onPodConditions"])
    (address,) = [each for each in container["env"] if each["name"] == "INDUCED_METRIC_STORAGE"]
    assert set(address) == {"name", "valueFrom"}
    volumes = {volume["name"] for volume in pod["volumes"]}
    assert {mount["name"] for mount in container["volumeMounts"]} == volumes
    assert "worker=mnist-$JOB_COMPLETION_INDEX" in container["args"][0]


def pod(tmp_path, worker):
    """A container of the manifest whose worker is a program in bash."""
    program = tmp_path / "induced-metric"
    program.write_text(f"#!/bin/bash\n{worker}\n")
    program.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "JOB_COMPLETION_INDEX": "3"}
    return subprocess.Popen(["sh", "-c", script()], env=environment, stdout=subprocess.PIPE, text=True)


def test_a_drained_worker_of_the_manifest_stops_in_order_and_is_not_done(tmp_path):
    drained = pod(
        tmp_path, "trap 'kill $!; echo stopped; exit 0' TERM; sleep 60 >/dev/null & echo began; wait $!"
    )
    assert drained.stdout.readline() == "began\n"
    drained.terminate()
    assert (drained.communicate(timeout=50)[0], drained.returncode) == ("stopped\n", 143)


@pytest.mark.parametrize("code", [0, 2, 137])
def test_a_worker_of_the_manifest_that_ends_by_itself_says_how(tmp_path, code):
    ended = pod(tmp_path, f"exit {code}")
    assert (ended.communicate(timeout=50)[0], ended.returncode) == ("", code)


def test_every_recipe_is_a_sweep_that_can_be_composed():
    assert len(commands()) == 4
    for command in commands():
        known = [word for word in overrides(command) if not word.startswith("storage")]
        known = [word.replace("adam,sgd_rms", "adam") for word in known]
        with hydra.initialize_config_dir(str(values.CONF), version_base="1.3"):
            hydra.compose("sweep", known)


def test_the_recipes_are_bash():
    for block in SHELL:
        subprocess.run(["bash", "-n"], input=block, text=True, check=True)
    subprocess.run(["bash", "-n", ROOT / "sweeps" / "workers.sbatch"], check=True)


def test_make_says_how_many_workers_and_where(tmp_path):
    def words(*variables):
        command = ["make", "--dry-run", f"VENV={tmp_path}", "sweep", *variables]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
        said = subprocess.check_output(command, text=True, cwd=ROOT, env=environment).replace("\\\n", " ")
        (line,) = [line for line in said.splitlines() if "sweeps/sweep.py" in line]
        placing = [word for word in overrides(line) if word.startswith(("storage", "launcher"))]
        return placing, "induced_metric tables" in said

    assert words() == ([], True)
    local = ["storage=postgresql", "launcher=local", "launcher.workers=4"]
    assert words("WORKERS=4") == (local, True)
    assert words("LAUNCHER=local") == (["launcher=local", "launcher.workers=1"], True)
    assert words("STORAGE=postgresql") == (["storage=postgresql"], True)
    # Submitted, a sweep has no records yet.
    slurm = ["storage=postgresql", "launcher=slurm", "launcher.workers=1", "launcher.gpus=1"]
    assert words("LAUNCHER=slurm", "LAUNCH=gpus=1") == (slurm, False)


def run(*command):
    return subprocess.check_output(command, text=True, cwd=ROOT)


def until(true, seconds=60):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.1)


@pytest.mark.slurm
@pytest.mark.slow
def test_the_plain_job_script_stops_its_worker_in_order_and_queues_it_again(tmp_path, slurm, monkeypatch):
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} {FAKE} wait {tmp_path}/file "$@"\n')
    python.chmod(0o755)
    monkeypatch.setenv("PYTHON", str(python))
    options = ["--array=0-1", "--cpus-per-task=1", "--time=5", f"--output={tmp_path}/%a.out"]
    job = run("sbatch", "--parsable", *options, "sweeps/workers.sbatch", "task=mnist").strip()

    def log(element):
        path = tmp_path / f"{element}.out"
        return path.read_text() if path.exists() else ""

    try:
        for element in "01":
            until(lambda element=element: "begun" in log(element))
            assert f" storage=postgresql task=mnist worker=slurm-{job}-{element} " in log(element)
        run("scancel", f"{job}_0")
        run("scancel", "--batch", "--signal=USR2", f"{job}_1")
        until(lambda: slurm(job).get("1") == "PENDING")
        assert log("1").count("stopped; the same command continues") == 1
        until(lambda: "0" not in slurm(job))
        assert log("0").count("stopped; the same command continues") == 1
        run("scontrol", "update", f"JobId={job}_1", "StartTime=now")
        until(lambda: log("1").count("begun") == 2)
        (tmp_path / "file").touch()
        until(lambda: not slurm(job))
        assert log("1").endswith("all studies have their trials\n")
    finally:
        run("scancel", job)


def test_every_fault_of_the_table_has_its_tests():
    rows = [
        line for line in TEXT.split("## Faults")[1].split("## Limits")[0].splitlines() if "`test_" in line
    ]
    named = set(re.findall(r"`(test_\w+)`", "\n".join(rows)))
    source = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    assert len(rows) >= 20
    assert named == {name for name in named if f"def {name}(" in source}
