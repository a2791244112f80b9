"""The settings that define a study: it goes on only under the same ones, as today's version reads them."""

import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from induced_metric.errors import UserError
from induced_metric.training.origins import edited

# Settings that may change between two runs of a study, because none of them affects its trials.
_NOT_OF_THE_STUDY = (
    "trials", "studies", "results", "lanes", "tracking", "checkpoint_every", "checkpoint_seconds",
    "published", "budget", "launcher", "worker", "storage", "retry", "deterministic",
    "precision",  # but ``task.precision``, which takes its value from it, counts
)  # fmt: skip
# Settings that were added later, each with the values that mean what older studies did. For in_flight that is
# 8, because on two cores eight trials were under way.
_LATER = {
    "sampler.in_flight": (8, None),
    "sampler.without": (None,),
    "pruner.in_flight": (8, None),
    "pruner.ranks_stopped": (False,),
    "schedule.name": ("constant",),
    "schedule._target_": (None,),
    "task.micro_batch": (None,),
    "task.compute_dtype": (None,),
    "task.precision": ("float32",),
    "task.fresh_examples": (0,),
    "task.published_bits": (True,),
}
RENAMED = {
    "task.evaluated": "task.eval_splits",
    "task.width": "task.embed_dim",  # for the GPT; other tasks may have a width of their own
    "task.compute_dtype": "task.precision",
}
"""Older names of settings, each with today's name. An older name is replaced only where the configuration of
today has the new name and not the older one."""
_REWORDED = {
    "task.compute_dtype": (None, "float32")
}  # a value as written under the older name, and as written today
# The prefix of a ``_target_`` in the configuration of an older study -> where that module lies today.
_MOVED = {
    "induced_metric.wandb_search.": "induced_metric.studies.wandb_search.",
    "induced_metric.wandb_hyperband.": "induced_metric.studies.wandb_hyperband.",
}


def study_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a full configuration that define the study."""
    return {key: value for key, value in config.items() if key not in _NOT_OF_THE_STUDY}


def differences(known: Mapping[str, Any], config: Mapping[str, Any]) -> list[str]:
    """Describes the settings that differ between a study's configuration, perhaps an old one, and today's."""
    now = _settings(json.loads(json.dumps(dict(config))))
    before = _renamed(_settings(known), now)
    return [
        f"{key}: {before.get(key, 'absent')} -> {now.get(key, 'absent')}"
        for key in sorted({*before, *now})
        if before.get(key) != now.get(key) and not (key not in before and now.get(key) in _LATER.get(key, ()))
    ]


def check_config(name: str, known: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    """Raises UserError, with the differences, if a study was begun with another configuration."""
    changes = differences(known, config)
    confirmed, winner = (each.get("source", {}).get("trial") for each in (known, config))
    if confirmed != winner and all(change.startswith("source.") for change in changes):
        raise UserError(
            f"{name} confirms trial {confirmed} of a search whose winner is now trial {winner}: give the "
            "search as many trials as it had then (TRIALS=, or trials= and sampler.searched=), or use "
            "another results directory"
        )
    if changes:
        raise UserError(
            f"{name} was begun with another configuration ({'; '.join(changes)}); "
            "use the same one, or another results directory"
        )


def check_program(
    name: str,
    recorded: Iterable[Mapping[str, Any]],
    now: Mapping[str, Any],
    *,
    remedy: str = "give what you changed another name, or use another results directory",
) -> None:
    """Checks that a study goes on with the program that it was begun with.

    Args:
        name: the study's.
        recorded: the provenances of its records, the newest first. Compared is the first that was traced in
            the same way: by the same versions, for the same device, on the same processor.
        now: the provenance of the trials to come.
        remedy: what to do if they differ.

    Raises:
        UserError: if the optimiser, the task or the training loop computes something else now.
    """
    before = next((facts for facts in recorded if edited(facts, now) is not None), None)
    if before is not None and edited(before, now):
        changed = ", with uncommitted changes" if before.get("dirty") else ""
        commit = f" (commit {before['commit'][:7]}{changed})" if before.get("commit") else ""
        raise UserError(
            f"{name} was begun with other code{commit}: the optimiser, the task or the training loop "
            f"computes something else now; {remedy}"
        )


def as_today(config: Mapping[str, Any], task_settings: Collection[str]) -> dict[str, Any]:
    """A recorded configuration as today's version would write it.

    Args:
        config: the configuration of a study, however old.
        task_settings: the settings that the function of its task takes today. A task setting is given its new
            name only if that is among them.
    """
    task_names = {f"task.{name}" for name in task_settings}
    flat = _renamed(_settings(config), task_names)
    for name, (meant, *_) in _LATER.items():
        if name in task_names or not name.startswith("task."):
            flat.setdefault(name, meant)
    return _nested(flat)


def flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The leaves of nested mappings by their dotted names."""
    leaves: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            leaves |= flat(value, f"{prefix}{key}.")
        else:
            leaves[f"{prefix}{key}"] = value
    return leaves


def _renamed(before: Mapping[str, Any], known: Collection[str]) -> dict[str, Any]:
    """Settings under today's names, wherever ``known`` has today's name and not the older one."""
    named = dict(before)
    for old, new in RENAMED.items():
        if old in named and new in known and not (new in named or old in known):
            value, (was, today) = named.pop(old), _REWORDED.get(old, (None, None))
            named[new] = today if value == was else value
    return named


def _nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for name, value in flat.items():
        *parents, last = name.split(".")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = value
    return tree


def _settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """All settings by their dotted names; each ``_target_`` that has moved gets its present path."""
    named = flat(config)
    for name, value in named.items():
        for old, new in _MOVED.items():
            if name.endswith("._target_") and isinstance(value, str) and value.startswith(old):
                named[name] = new + value.removeprefix(old)
    return named
