"""Devices of the CPU, by affinity and by the quota of a container."""

import os
import sys

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
