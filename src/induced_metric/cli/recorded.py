"""Rebuilds, from a record alone, what trained it: the pairing, its lanes and its trials."""

import contextlib
import difflib
import inspect
import itertools
import json
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from omegaconf import OmegaConf

from induced_metric import xla
from induced_metric.cli import build
from induced_metric.cli.values import CONF, sentences, settings, target
from induced_metric.errors import UserError

if TYPE_CHECKING:
    from induced_metric.lanes import Lanes
    from induced_metric.lanes.placement import Placement
    from induced_metric.records import RecordStore, StudyKey
    from induced_metric.studies.verify import Tolerance
    from induced_metric.training.trial import Trial


_NEAREST = 5  # recorded studies to suggest if the one asked for does not exist


class Settings(NamedTuple):
    """The settings in ``conf/verify.yaml``.

    Attributes:
        share: the share of the trials to draw, if the command line does not say.
        seed: the seed of the draw, if the command line does not say.
        tolerances: the tolerance of each task.
        otherwise: the tolerance of a task that is not among them.
    """

    share: float
    seed: int
    tolerances: "Mapping[str, Tolerance]"
    otherwise: "Tolerance"

    def of(self, task: str) -> "Tolerance":
        """The tolerance of a task."""
        return self.tolerances.get(task, self.otherwise)


def verify_settings() -> Settings:
    """Reads ``conf/verify.yaml``."""
    from induced_metric.studies.verify import Tolerance

    values: Any = OmegaConf.to_container(OmegaConf.load(CONF / "verify.yaml"))
    every = values["tolerance"]
    read = {name: settings(Tolerance, value, f"verify.tolerance.{name}") for name, value in every.items()}
    otherwise = read.pop("otherwise")
    return Settings(values["share"], values["seed"], read, otherwise)


def start_jax(*, deterministic: bool) -> str:
    """Sets XLA up as a study does by default and returns its flags; to be called before JAX is imported.

    Args:
        deterministic: whether the records that are trained again are deterministic.

    Raises:
        UserError: if the user's flags ask for the opposite.
    """
    if deterministic:
        with sentences("deterministic"):
            xla.make_deterministic()
    return xla.configure(devices=_lanes()["devices"])


def deterministic(provenance: str) -> bool:
    """Whether a record was made with ``deterministic=true``: the same bits on the same accelerator."""
    return bool(json.loads(provenance).get("deterministic"))


def _lanes() -> dict[str, Any]:
    read: Any = OmegaConf.to_container(OmegaConf.load(CONF / "lanes" / "default.yaml"))
    return read


def last(stores: "Sequence[RecordStore]", *, deterministic: bool) -> dict[str, Any] | None:
    """The provenance of the last record of the first study that has one.

    Args:
        stores: the record stores of studies that share the lanes.
        deterministic: consider only deterministic records.

    Raises:
        UserError: if deterministic studies that were begun in different lanes are to be continued together.
    """
    newest: list[dict[str, Any]] = []
    for store in stores:
        usable = (facts for facts in store.provenances() if facts.get("deterministic") or not deterministic)
        newest += itertools.islice(usable, 1)
    if deterministic:
        lanes = {f"{facts['lanes']['layout']} {facts['lanes']['width']}" for facts in newest}
        if len(lanes) > 1:
            raise UserError(
                f"these deterministic studies were begun in lanes that differ ({', '.join(sorted(lanes))}): "
                "run them one by one, with studies=1 and the seed of each"
            )
    return newest[0] if newest else None


def check_agreed(placement: "Placement") -> None:
    """Raises UserError if the workers of a deterministic study might each measure and choose other lanes."""
    from induced_metric.lanes.engine import default_layout

    measures = placement.layout == "auto" or (placement.layout == "vmap" and placement.width == "auto")
    if placement.exact and placement.before is None and measures and default_layout() == "vmap":
        raise UserError(
            "workers of a deterministic study must have the same lanes, and each would measure which are the "
            "fastest: set lanes.layout to vmap or map, and lanes.width to a number"
        )


def study_key(text: str, results: Path) -> "StudyKey":
    """The study that ``protocol/task/sampler/optimizer`` names.

    Raises:
        UserError: if it has no records; the message names those with the most similar names.
    """
    from induced_metric import records

    parts = text.strip("/").split("/")
    recorded = records.recorded(results=results)
    if len(parts) == len(records.StudyKey._fields):
        key = records.StudyKey(*parts)
        if key in recorded:
            return key
    nearest = difflib.get_close_matches(text, ["/".join(key) for key in recorded], n=_NEAREST, cutoff=0.0)
    hint = (
        f"of the {len(recorded)} recorded studies the nearest are {', '.join(nearest)}"
        if nearest
        else "there are none"
    )
    raise UserError(
        f"no records of a study {text!r} under {results}: write protocol/task/sampler/optimizer; {hint}"
    )


class Rebuilt(NamedTuple):
    """A pairing as a record describes it.

    Attributes:
        pair: the task with the optimiser.
        provenance: the provenance of the record.
    """

    pair: build.Pairing
    provenance: Mapping[str, Any]

    def trial(self, row: Mapping[Any, Any]) -> "Trial":
        """The trial of a record of this pairing, not yet trained."""
        from induced_metric.studies.dimensions import hyperparameters_of
        from induced_metric.studies.verify import trial_of
        from induced_metric.training.trial import Goal

        goal = Goal.of(self.pair.task)
        if row["objective"] != goal.objective:
            goal = goal._replace(reported=row["objective"])
        values = hyperparameters_of(row, list(self.pair.hyperparameters), self.pair.search_space)
        return trial_of(row, values, goal)

    @contextlib.contextmanager
    def lanes(self, trials: int) -> "Iterator[tuple[Lanes, Placement]]":
        """Lanes for this many trials, as a study of the pairing has them by default.

        For a deterministic record the lanes are those that made it, on such a device, however few trials
        there are.
        """
        shards = self.provenance.get("data_parallel") or 1
        exact = bool(self.provenance.get("deterministic"))
        placement = build.placement(OmegaConf.create(_lanes() | {"data_parallel": shards}))
        placement = placement.for_trials(trials, exact=exact)
        if exact:
            placement = placement.after(self.provenance)
        with self.pair.lanes(placement) as lanes:
            yield lanes, placement


def rebuilt(row: Mapping[Any, Any]) -> Rebuilt:
    """The pairing of a recorded trial.

    Raises:
        UserError: if something that its configuration names no longer exists, or the data set is missing.
    """
    from induced_metric.studies.compatibility import as_today

    config = json.loads(row["config"])
    name = "-".join(str(row[part]) for part in ("protocol", "task", "sampler", "optimizer"))
    try:
        task = dict(config["task"])
        function = target(task, "task")
        cfg = OmegaConf.create({"search_space": {}, **as_today(config, _accepted(function))})
        pair = build.pairing(cfg)
    except UserError as error:
        raise UserError(f"{name} cannot be trained again: {error}") from error
    except KeyError as error:
        raise UserError(f"{name} cannot be trained again: its configuration has no {error}") from error
    return Rebuilt(pair, json.loads(row["provenance"]))


def _accepted(function: Callable[..., Any]) -> set[str]:
    """The names of a function's arguments, including those behind ``**run: Unpack[...]``."""
    names = set()
    for name, argument in inspect.signature(function).parameters.items():
        if argument.kind is inspect.Parameter.VAR_KEYWORD:
            for behind in typing.get_args(typing.get_type_hints(function).get(name)):
                names |= set(typing.get_type_hints(behind))
        else:
            names.add(name)
    return names
