"""Devices of the CPU, by affinity and by the quota of a container; the size of the cache of programs."""

import os
import subprocess
import sys
import time

import pytest

from induced_metric import xla

V1, V2 = "7:memory:/box\n4:cpu,cpuacct:/box/inner\n", "0::/box/inner\n"


@pytest.fixture(autouse=True)
def eight_cores(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)


def system(root, groups, files):
    """A machine whose process is in these control groups."""
    for name, text in {"proc/self/cgroup": groups, **files}.items():
        path = root / name.replace("CG", "sys/fs/cgroup")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize(
    ("groups", "files", "cores"),
    [
        (V2, {"CG/box/inner/cpu.max": "300000 100000\n"}, 3),
        (V2, {"CG/box/inner/cpu.max": "max 100000\n"}, 8),
        (V2, {"CG/box/inner/cpu.max": "max 100000\n", "CG/box/cpu.max": "200000 100000\n"}, 2),
        (V2, {"CG/cpu.max": "350000 100000\n"}, 3),  # mounted in a container: its own group is the root
        ("0::/../outside\n", {"CG/cpu.max": "200000 100000\n"}, 2),
        ("0::/\n", {"CG/cpu.max": "50000 100000\n"}, 1),
        ("0::/\n", {"CG/cpu.max": "1600000 100000\n"}, 8),
        ("0::/\n", {}, 8),  # the root group of a host has no quota
        (
            V1,
            {"CG/cpu/box/inner/cpu.cfs_quota_us": "150000", "CG/cpu/box/inner/cpu.cfs_period_us": "50000"},
            3,
        ),
        (V1, {"CG/cpu/box/inner/cpu.cfs_quota_us": "-1", "CG/cpu/box/inner/cpu.cfs_period_us": "50000"}, 8),
        (V1, {"CG/cpu/cpu.cfs_quota_us": "200000\n", "CG/cpu/cpu.cfs_period_us": "100000\n"}, 2),
        # Both versions at once: the controller belongs to one of them.
        (V1 + V2, {"CG/cpu/cpu.cfs_quota_us": "200000", "CG/cpu/cpu.cfs_period_us": "100000"}, 2),
    ],
)
def test_a_container_has_the_cores_that_its_quota_pays_for(tmp_path, groups, files, cores):
    assert xla.cores(system(tmp_path, groups, files)) == cores


def test_without_control_groups_the_affinity_decides(tmp_path):
    assert xla.cores(tmp_path) == 8


def test_a_device_is_made_for_each_of_these_cores(monkeypatch):
    monkeypatch.setattr(xla, "cores", lambda: 3)
    monkeypatch.delitem(sys.modules, "jax", raising=False)
    monkeypatch.setenv("XLA_FLAGS", "")
    assert "--xla_force_host_platform_device_count=3" in xla.configure(cache=False).split()


@pytest.fixture
def cached(tmp_path, monkeypatch):
    """The default directory with programs of 10 bytes, unused for 1 to 4 days, and a file that is not one."""
    for name in ("JAX_COMPILATION_CACHE_DIR", "JAX_COMPILATION_CACHE_MAX_SIZE"):
        monkeypatch.setenv(name, "")  # so that it is what it was afterwards
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(xla, "CACHE_BYTES", 25, raising=False)
    directory = tmp_path / "induced-metric" / "xla"
    directory.mkdir(parents=True)
    for days in range(1, 5):
        program = directory / f"{days}-cache"
        program.write_bytes(bytes(10))
        used = time.time() - days * 86400
        os.utime(program, (used, used))
    (directory / "notes").write_bytes(bytes(100))
    return directory


def programs(directory):
    return sorted(path.name for path in directory.glob("*-cache"))


def test_the_cache_forgets_the_programs_longest_unused(cached):
    xla.configure(devices=2)
    assert programs(cached) == ["1-cache", "2-cache"]
    assert (cached / "notes").exists()


def test_reading_a_program_keeps_it(cached):
    os.utime(cached / "4-cache", (time.time(), (cached / "4-cache").stat().st_mtime))
    xla.configure(devices=2)
    assert programs(cached) == ["1-cache", "4-cache"]


def test_the_cache_is_looked_through_once_a_day(cached):
    xla.configure(devices=2)
    (cached / "5-cache").write_bytes(bytes(10))
    os.environ.pop("JAX_COMPILATION_CACHE_DIR")
    xla.configure(devices=2)
    assert programs(cached) == ["1-cache", "2-cache", "5-cache"]
    yesterday = time.time() - 25 * 3600
    os.utime(cached / ".tidied", (yesterday, yesterday))
    os.environ.pop("JAX_COMPILATION_CACHE_DIR")
    xla.configure(devices=2)
    assert programs(cached) == ["1-cache", "5-cache"]


@pytest.mark.parametrize("setting", ["JAX_COMPILATION_CACHE_DIR", "JAX_COMPILATION_CACHE_MAX_SIZE"])
def test_a_cache_that_the_user_set_up_is_left_alone(cached, monkeypatch, setting):
    value = {"JAX_COMPILATION_CACHE_DIR": str(cached), "JAX_COMPILATION_CACHE_MAX_SIZE": "99"}[setting]
    monkeypatch.setenv(setting, value)
    xla.configure(devices=2)
    assert os.environ[setting] == value
    assert len(programs(cached)) == 4


def test_jax_fills_the_cache_that_is_tidied(cached):
    code = (
        "import sys; from induced_metric import xla\n"
        "xla.CACHE_BYTES = int(sys.argv[1]); xla.configure(devices=1)\n"
        "import jax; jax.jit(lambda x: x + 1)(1.0)"
    )
    for most in ("1000000000", "0"):
        (cached / ".tidied").unlink(missing_ok=True)
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "JAX_PLATFORMS": "cpu"}
        subprocess.run([sys.executable, "-W", "error", "-c", code, most], check=True, env=environment)
        # Without a byte to spare the old ones go and are compiled anew.
        assert ("4-cache" in programs(cached)) == (most != "0")
        assert any(name.startswith("jit_") for name in programs(cached))


@pytest.mark.parametrize("flags", ["", "--xla_cpu_prefer_vector_width=512", "--xla_gpu_deterministic_ops"])
def test_the_same_bits_are_asked_for_once_beside_the_users_flags(monkeypatch, flags):
    monkeypatch.setenv("XLA_FLAGS", flags)
    monkeypatch.delitem(sys.modules, "jax", raising=False)
    assert xla.is_deterministic(flags) == ("deterministic" in flags)
    xla.make_deterministic()
    xla.make_deterministic()
    found = os.environ["XLA_FLAGS"]
    assert xla.is_deterministic(found)
    assert found.startswith(flags)
    assert found.count("xla_gpu_deterministic_ops") == 1


def test_flags_of_the_user_that_say_otherwise_are_not_overruled(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_gpu_deterministic_ops=false")
    with pytest.raises(ValueError, match="must be false if XLA_FLAGS has --xla_gpu_deterministic_ops=fal"):
        xla.make_deterministic()


def test_the_same_bits_cannot_be_asked_for_when_jax_has_started(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "")
    monkeypatch.setitem(sys.modules, "jax", None)
    with pytest.raises(RuntimeError, match="before JAX is imported"):
        xla.make_deterministic()


def test_xla_knows_the_flag():
    """An unknown one ends the process."""
    code = "from induced_metric import xla; xla.make_deterministic(); import jax; jax.devices()"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "JAX_PLATFORMS": "cpu"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)


def test_pages_of_what_lies_in_a_devices_memory_are_not_printed_unless_asked_for(monkeypatch):
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "0")
    xla.configure(devices=2, cache=False)
    assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == "0"
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL")
    xla.configure(devices=2, cache=False)
    assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == "1"
