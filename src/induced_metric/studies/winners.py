"""The winner of a search, to be trained again from seeds that its choice did not depend on."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from induced_metric.errors import UserError
from induced_metric.records import RecordStore
from induced_metric.records.schema import StudyKey
from induced_metric.space import Dimension
from induced_metric.studies.compatibility import check_config
from induced_metric.studies.dimensions import hyperparameters_of
from induced_metric.studies.plan import trial_seed


class Winner(NamedTuple):
    """The best trial of a finished search.

    Attributes:
        key: key of the study.
        trial: its number there.
        value: its value in the search.
        hyperparameters: all of them.
        seeds: seeds of all trials that it was chosen from.
    """

    key: StudyKey
    trial: int
    value: float
    hyperparameters: Mapping[str, Any]
    seeds: frozenset[int]

    def facts(self) -> dict[str, Any]:
        """What the configuration of its confirmation says about it: another winner makes another study."""
        return {"sampler": self.key.sampler, "trial": self.trial, "value": self.value}

    def check_fresh(self, seed: int, trials: int) -> None:
        """Raises UserError if a study with this seed would give a trial a seed that the search used."""
        for number in range(trials):
            if trial_seed(seed, number) in self.seeds:
                raise UserError(
                    f"sampler.seed={seed} gives trial {number} a seed that {self.key.name} used; "
                    "choose another"
                )


def winner(
    store: RecordStore,
    key: StudyKey,
    *,
    trials: int,
    hyperparameters: Sequence[str],
    space: Mapping[str, Dimension],
    config: Mapping[str, Any],
) -> Winner:
    """The best complete trial among the first ``trials`` of a study; of equal ones, the first.

    Args:
        store: the records of the study.
        key: the key of the study.
        trials: number of trials that the search must have; later ones are ignored, so that a search that goes
            on keeps its winner.
        hyperparameters: names of all hyperparameters.
        space: ranges of those that were searched.
        config: configuration that the search must have been begun with; settings of the search alone are left
            out.

    Raises:
        UserError: if the search is not finished, was begun with another configuration, or has no trial that
            is complete and did not diverge.
    """
    rows = store.trials()
    searched = rows[rows["trial"] < trials] if len(rows) else rows
    if len(searched) < trials:
        raise UserError(
            f"{key.name} has {len(searched)} of its {trials} trials, and only a finished search has a "
            "winner: finish it, or set sampler.searched to the number of trials that it was to have"
        )
    for text in searched["config"].unique():
        check_config(key.name, _of_the_pairing(json.loads(text)), _of_the_pairing(config))
    eligible = searched[(searched["state"] == "complete") & ~searched["diverged"]]
    if eligible.empty:
        raise UserError(f"all {trials} trials of {key.name} diverged or failed: there is nothing to confirm")
    minimize = eligible["direction"].iloc[0] == "minimize"
    value = eligible["value"].to_numpy()
    best = eligible.iloc[int(value.argmin() if minimize else value.argmax())].to_dict()
    return Winner(
        key=key,
        trial=int(best["trial"]),
        value=float(best["value"]),
        hyperparameters=hyperparameters_of(best, hyperparameters, space),
        seeds=frozenset(map(int, searched["seed"])),
    )


def _of_the_pairing(config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that a search and the confirmation of its winner have in common."""
    task = {name: value for name, value in config["task"].items() if name != "eval_splits"}
    search_only = ("sampler", "pruner", "seed", "source")
    return {**{name: value for name, value in config.items() if name not in search_only}, "task": task}
