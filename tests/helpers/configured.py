"""The tasks with the numbers of their YAML, as a program in Python would build them."""

import pkgutil
from pathlib import Path

import hydra
from omegaconf import OmegaConf

CONF = Path(__file__).parents[2] / "conf"


def settings(name, /, **changes):
    """The builder of ``conf/task/<name>.yaml`` and its settings, some of them changed."""
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        found = OmegaConf.to_container(hydra.compose("config", [f"task={name}"]).task, resolve=True)
    return pkgutil.resolve_name(found.pop("_target_")), found | changes


def task(name, /, **changes):
    """The task of ``conf/task/<name>.yaml``, some of its settings changed."""
    build, found = settings(name, **changes)
    return build(**found)
