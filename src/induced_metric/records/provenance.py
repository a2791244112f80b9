"""Where a record came from."""

import importlib.metadata
import platform
import subprocess
from pathlib import Path
from typing import Any

_PACKAGES = ("jax", "jaxlib", "flax", "optax", "optuna", "numpy")


def provenance(**facts: Any) -> dict[str, Any]:
    """What made a record: code, versions, platform, and what the caller knows (``device``, ``flags`` ...).

    ``version`` is the package's. ``commit`` and ``dirty`` describe the repository that tracks this file; they
    are None outside one, as in an installed wheel. A new file makes it dirty if it is Python or lies
    under ``conf/``: so one adds an optimiser. No change under ``results/`` does, because studies write there.
    """
    return {
        "version": _version("induced-metric"),
        **_repository(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": _processor(),
        "versions": {name: _version(name) for name in _PACKAGES},
        **facts,
    }


def _repository() -> dict[str, str | bool | None]:
    here = Path(__file__).resolve()

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", *arguments], cwd=here.parent, capture_output=True, text=True, check=False
            )
        except FileNotFoundError:  # no git on this machine
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    # An installed copy may lie in an environment inside somebody else's repository.
    if git("ls-files", "--error-unmatch", here.name) is None:
        return {"commit": None, "dirty": None}
    changed = git("status", "--porcelain", "--untracked-files=no", "--", ":/", ":(exclude,top)results")
    code = (":/*.py", ":/conf", ":(exclude,top)results")
    added = git("ls-files", "--others", "--exclude-standard", "--", *code)
    return {"commit": git("rev-parse", "HEAD"), "dirty": bool(changed or added)}


def _processor() -> str | None:
    """The CPU's model, which determines the instructions that a compiled program may have."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").partition("\n\n")[0].splitlines()
    except OSError:  # not Linux
        return platform.processor() or None
    facts = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    # On a virtual machine, many models may have the same name.
    numbers = [f"{name} {facts[name]}" for name in ("cpu family", "model") if name in facts]
    named = [facts["model name"]] if "model name" in facts else []
    return ", ".join(named + numbers) or platform.processor() or None


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
