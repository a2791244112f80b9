"""Which settings make a study: one goes on only under its own, as today's version reads them."""

import json
from collections.abc import Mapping
from typing import Any

from induced_metric.errors import UserError

# What may change between two runs of one study: none of it touches its trials.
_NOT_OF_THE_STUDY = (
    "trials", "studies", "results", "lanes", "tracking", "checkpoint_every", "checkpoint_seconds",
    "published", "budget",
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
}
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
