"""Settings of XLA that must be made before JAX starts; this module does not import it."""

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

# Small programs take some kB and large ones up to a few MB: room for months of studies in any home directory.
CACHE_BYTES = 2 * 2**30


# Deterministic kernels, and none chosen by timing them: XLA's autotuning picks another one another time.
_DETERMINISTIC = "xla_gpu_deterministic_ops"


def configure(*, devices: int | str = "auto", cache: bool = True) -> str:
    """Splits the CPU into devices, one a core, and keeps compiled programs between runs.

    Flags and variables that the user has set stay as they are.

    Args:
        devices: how many devices to make of the CPU; ``auto`` makes one for each of ``cores``.
        cache: keep compiled programs in ``$JAX_COMPILATION_CACHE_DIR``, by default
            ``~/.cache/induced-metric/xla`` (``$XDG_CACHE_HOME`` is honoured); a user without a home directory
            has none. The default directory is cut back to ``CACHE_BYTES`` once a day, unless
            ``$JAX_COMPILATION_CACHE_MAX_SIZE`` sets a limit that JAX keeps by itself.

    Returns:
        The flags that XLA will see.

    Raises:
        ValueError: for fewer than one device.
        RuntimeError: if JAX is imported already and would not see the settings.
    """
    if devices == "auto":
        devices = cores()
    if not isinstance(devices, int) or isinstance(devices, bool) or devices < 1:
        raise ValueError(f"devices must be auto or a number >= 1, got {devices}")
    if "jax" in sys.modules and "--xla_force_host_platform_device_count" not in os.environ.get(
        "XLA_FLAGS", ""
    ):
        raise RuntimeError("XLA must be configured before JAX is imported")
    flags = os.environ.get("XLA_FLAGS", "")
    for flag, value in {
        "xla_force_host_platform_device_count": devices,
        # A device has one core, so its matrix products must not be divided among threads.
        "xla_cpu_multi_thread_eigen": "false" if devices > 1 else "true",
        # Small models gain 12 to 30% where the processor has AVX-512; elsewhere it changes nothing.
        "xla_cpu_prefer_vector_width": 512,
    }.items():
        if flag not in flags:
            flags = f"{flags} --{flag}={value}".strip()
    os.environ["XLA_FLAGS"] = flags
    if cache:
        home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
        # Without a home directory the tilde stays, as in containers whose user is not in /etc/passwd.
        if not home.startswith("~") and "JAX_COMPILATION_CACHE_DIR" not in os.environ:
            directory = Path(home, "induced-metric", "xla")
            os.environ["JAX_COMPILATION_CACHE_DIR"] = str(directory)
            if "JAX_COMPILATION_CACHE_MAX_SIZE" not in os.environ:
                with contextlib.suppress(OSError):  # read-only, or tidied by another process just now
                    _tidy(directory, CACHE_BYTES)
        # By default JAX keeps only what took a second to compile; small tasks compile in less.
        os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
        os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")
    # Without the pages, of level INFO, in which XLA lists an accelerator's memory when none is left.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
    return flags


def make_deterministic() -> None:
    """Asks for the same bits on the same accelerator with the same versions; a CPU's are so anyway.

    Raises:
        ValueError: if the user's flags ask for the opposite.
        RuntimeError: if JAX is imported already and would not see the flag.
    """
    flags = os.environ.get("XLA_FLAGS", "")
    if is_deterministic(flags):
        return
    if _DETERMINISTIC in flags:
        raise ValueError(f"it must be false where XLA_FLAGS has --{_DETERMINISTIC}=false")
    if "jax" in sys.modules:
        raise RuntimeError("XLA must be configured before JAX is imported")
    os.environ["XLA_FLAGS"] = f"{flags} --{_DETERMINISTIC}=true".strip()


def is_deterministic(flags: str) -> bool:
    """Whether XLA's flags ask for the same bits on the same accelerator."""
    asked = [flag.lstrip("-").partition("=") for flag in flags.split()]
    said = [value for name, _, value in asked if name == _DETERMINISTIC]
    return bool(said) and said[-1].lower() in ("", "1", "true")


def _tidy(directory: Path, most: int) -> None:
    """Removes the programs longest unused until the rest take ``most`` bytes; at most once a day.

    JAX's own limit reads all of the directory for every program it adds, seconds each once there are
    thousands, and adds none where a single entry is from before the limit.
    """
    stamp = directory / ".tidied"
    if not directory.is_dir() or (stamp.exists() and time.time() - stamp.stat().st_mtime < 24 * 3600):
        return
    stamp.touch()
    entries = [(entry, entry.stat()) for entry in directory.glob("*-cache")]
    # File systems that note reads do so once a day, or not at all: then the time of writing counts.
    entries.sort(key=lambda item: max(item[1].st_atime, item[1].st_mtime), reverse=True)
    total = 0
    for entry, status in entries:
        total += status.st_size
        if total > most:
            entry.unlink(missing_ok=True)


def cores(root: Path = Path("/")) -> int:
    """Cores that this process may keep busy: those of its affinity, no more than its CPU quota pays for.

    Containers are limited by quota and still see every core of the host. A fraction of a core is left
    out, since devices wait for the slowest of them; one core is always counted.
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([allowed, *(quota // period for quota, period in _quotas(root))]))


def _quotas(root: Path) -> Iterator[tuple[int, int]]:
    """Microseconds of CPU in each period of so many, by the control group of this process and those above it.

    Version 2 has them in ``cpu.max``, version 1 in two files. In a container the group may be named as the
    host names it, and found only at the root of the mount.
    """
    own = root / "proc/self/cgroup"
    for line in own.read_text().splitlines() if own.exists() else []:
        _, controllers, name = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        mount = root / "sys/fs/cgroup" / ("cpu" if controllers else "")
        names = ["cpu.cfs_quota_us", "cpu.cfs_period_us"] if controllers else ["cpu.max"]
        group = PurePosixPath(name.lstrip("/"))
        # Two dots lead to a group outside of the container's view.
        groups = [PurePosixPath()] if ".." in group.parts else [group, *group.parents]
        for files in ([mount / group / name for name in names] for group in groups):
            if all(file.exists() for file in files):
                quota, period = " ".join(file.read_text() for file in files).split()
                if quota not in ("max", "-1"):
                    yield int(quota), int(period)
