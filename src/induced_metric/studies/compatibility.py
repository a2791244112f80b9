"""Which settings make a study: one goes on only under its own, as today's version reads them."""

import json
from collections.abc import Mapping
from typing import Any

from induced_metric.errors import UserError

# What may change between two runs of one study: none of it touches its trials.
_NOT_OF_THE_STUDY = (
    "trials", "studies", "results", "lanes", "tracking", "checkpoint_every", "checkpoint_seconds",
    "published", "budget", "launcher", "worker", "storage", "retry",
)  # fmt: skip
# Settings that came later, with the values that mean what older studies did: on two cores eight trials were
# under way.
_LATER = {
    "sampler.in_flight": (8, None),
    "pruner.in_flight": (8, None),
    "pruner.ranks_stopped": (False,),
    "schedule.name": ("constant",),
    "schedule._target_": (None,),
    "task.micro_batch": (None,),
    "task.compute_dtype": (None,),
    "task.fresh_examples": (0,),
}
RENAMED = {
    "task.evaluated": "task.eval_splits",
    "task.width": "task.embed_dim",  # of the GPT; other tasks may have a width of their own
}
"""Settings by an older name, each with today's; it is meant where a configuration has today's alone."""
# What a study says it was made with -> where that lies today.
_MOVED = {
    "induced_metric.wandb_search.": "induced_metric.studies.wandb_search.",
    "induced_metric.wandb_hyperband.": "induced_metric.studies.wandb_hyperband.",
}


def study_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Those settings of a full configuration that make the study."""
    return {key: value for key, value in config.items() if key not in _NOT_OF_THE_STUDY}


def check_config(name: str, known: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    """Raises UserError, with the difference, if a study was begun with another configuration."""
    before, now = _settings(known), _settings(json.loads(json.dumps(dict(config))))
    for old, new in RENAMED.items():
        if old in before and new in now and not (new in before or old in now):
            before[new] = before.pop(old)
    changes = [
        f"{key}: {before.get(key, 'absent')} -> {now.get(key, 'absent')}"
        for key in sorted({*before, *now})
        if before.get(key) != now.get(key) and not (key not in before and now.get(key) in _LATER.get(key, ()))
    ]
    if changes:
        raise UserError(
            f"{name} was begun with another configuration ({'; '.join(changes)}); "
            "use the same one, or another results directory"
        )


def earlier_tasks(task: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """A task's settings as earlier versions wrote them: by older names, then also without what came later.

    Args:
        task: its settings, as today's version writes them.
    """
    older = {new: old for old, new in RENAMED.items() if _bare(old) not in task}
    named = {_bare(older.get(f"task.{name}", name)): value for name, value in task.items()}
    return named, {
        name: value for name, value in named.items() if value not in _LATER.get(f"task.{name}", ())
    }


def _bare(name: str) -> str:
    return name.removeprefix("task.")


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """All settings by their dotted names, with today's names of what has moved."""
    flat = _flat(config)
    for name, value in flat.items():
        for old, new in _MOVED.items():
            if name.endswith("._target_") and isinstance(value, str) and value.startswith(old):
                flat[name] = new + value.removeprefix(old)
    return flat
