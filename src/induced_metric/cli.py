"""What the entry points share: from a Hydra configuration to plain objects, and errors in one sentence.

Only ``train.py`` and ``sweeps/`` import this module; everything below takes plain arguments.
"""

import difflib
import functools
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import hydra
import omegaconf
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import ConfigCompositionException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from pydantic import TypeAdapter, ValidationError, validate_call

from induced_metric import xla
from induced_metric.errors import UserError

# Mapped lanes run one after the other: two keep their device busy while the host serves two others.
_MAPPED_LANES = 2
CONF = Path(__file__).parents[2] / "conf"


class Range(NamedTuple):
    """A searched interval of one hyperparameter."""

    low: float
    high: float
    log: bool = False


class Pairing(NamedTuple):
    """One task with one optimizer."""

    task: Any  # tasks.base.Task
    optimizer: Callable[..., Any]  # a factory of the hyperparameters
    hyperparameters: dict[str, float]
    search_space: dict[str, Range]
    published_best: float | None


def pairing(cfg: DictConfig) -> Pairing:
    """Builds the task and the optimizer that a configuration names.

    Raises:
        UserError: for a value of the wrong type or out of range.
    """
    optimizer, hyperparameters = _optimizer(cfg.optimizer)
    return Pairing(
        task=_task(cfg.task),
        optimizer=optimizer,
        hyperparameters=hyperparameters,
        search_space=_search_space(cfg.search_space, optimizer, hyperparameters),
        published_best=OmegaConf.select(cfg, "published.best"),
    )


def _plain(node: DictConfig) -> dict[str, Any]:
    try:
        return OmegaConf.to_container(node, resolve=True, throw_on_missing=True)  # type: ignore[return-value]
    except omegaconf.errors.OmegaConfBaseException as error:
        raise UserError(str(error).splitlines()[0]) from error


def _task(node: DictConfig) -> Any:
    settings = _plain(node)
    build = validate_call(hydra.utils.get_method(settings.pop("_target_")))
    try:
        return build(**settings)
    except ValidationError as error:
        raise UserError(_validation_sentence("task", error)) from error
    except (ValueError, FileNotFoundError) as error:
        raise UserError(f"task: {error}") from error


def _optimizer(node: DictConfig) -> tuple[Callable[..., Any], dict[str, float]]:
    settings = _plain(node)
    factory = hydra.utils.get_method(settings.pop("_target_"))
    del settings["name"]
    switches = {name: value for name, value in settings.items() if isinstance(value, bool)}
    hyperparameters: dict[str, float] = {}
    for name, value in settings.items():
        if name in switches:
            continue
        if not isinstance(value, int | float):
            raise UserError(f"optimizer.{name} must be a number, got {value!r}")
        hyperparameters[name] = float(value)
    optimizer = functools.partial(factory, **switches)
    _check(optimizer, hyperparameters, "optimizer")
    return optimizer, hyperparameters


def _search_space(
    node: DictConfig, optimizer: Callable[..., Any], hyperparameters: Mapping[str, float]
) -> dict[str, Range]:
    """The ranges of the hyperparameters that the optimizer has, in its own order, both ends tried."""
    ranges = _plain(node)
    space = {}
    for name in hyperparameters:
        if name not in ranges:
            continue
        try:
            space[name] = TypeAdapter(Range).validate_python(ranges[name])
        except ValidationError as error:
            raise UserError(_validation_sentence(f"search_space.{name}", error)) from error
        low, high, log = space[name]
        if not low < high or (log and low <= 0):
            raise UserError(
                f"search_space.{name} must have low < high, and low > 0 where log, got {low} and {high}"
            )
        for end in (low, high):
            _check(optimizer, {**hyperparameters, name: end}, "search_space")
    return space


def _check(optimizer: Callable[..., Any], hyperparameters: Mapping[str, float], where: str) -> None:
    """Makes the optimizer of plain numbers once, since traced values cannot be checked."""
    try:
        optimizer(**hyperparameters)
    except (TypeError, ValueError) as error:
        raise UserError(f"{where}: {error}") from error


def _validation_sentence(where: str, error: ValidationError) -> str:
    first = error.errors()[0]
    place = ".".join([where, *map(str, first["loc"])])
    return f"{place}: {first['msg'][0].lower()}{first['msg'][1:]}, got {first['input']!r}"


def seed(cfg: DictConfig) -> int:
    """The seed of a configuration.

    Raises:
        UserError: unless it is an integer that fits in 32 bits.
    """
    return integer(cfg, "seed", low=0, high=2**32 - 1)


def integer(cfg: DictConfig, name: str, *, low: int, high: int) -> int:
    """An integer of a configuration.

    Raises:
        UserError: unless it is one between ``low`` and ``high``.
    """
    value = OmegaConf.select(cfg, name)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise UserError(f"{name} must be an integer from {low} to {high}, got {value!r}")
    return value


def start_jax(cfg: DictConfig) -> str:
    """Sets XLA up for the lanes of a configuration; must come before anything imports JAX."""
    try:
        return xla.configure(devices=cfg.lanes.devices)
    except ValueError as error:
        raise UserError(f"lanes.devices: {error}") from error


def engine(pair: Pairing, settings: DictConfig, *, single: bool = False) -> Any:
    """The lanes of a pairing.

    Args:
        pair: the pairing.
        settings: the configuration group ``lanes``.
        single: one trial, in the very program that a study would use: the same bits.

    Raises:
        UserError: for lane settings out of range or an objective that the task does not measure.
    """
    import jax

    from induced_metric.lane_probe import best_width
    from induced_metric.lanes import Assignment, Lanes, default_layout
    from induced_metric.training import init_trial, train_epoch

    options = {**_plain(settings), "devices": _places(pair.task, settings)}
    del options["data_parallel"]
    if single:
        options |= {"devices": options["devices"][:1], "queue": 1}

    def init(hyperparameters: Any, trial_seed: Any, data: Any) -> Any:
        del data
        return init_trial(pair.task, pair.optimizer, hyperparameters, trial_seed)

    def advance(state: Any, hyperparameters: Any, data: Any) -> Any:
        return train_epoch(pair.task, pair.optimizer, state, hyperparameters, data)

    numbers = dict.fromkeys(pair.hyperparameters, 0.5)
    state = jax.eval_shape(init, numbers, 0, pair.task.splits)
    measured = jax.eval_shape(advance, state, numbers, pair.task.splits)[1]
    if pair.task.objective not in measured:
        raise UserError(
            f"task.objective must be one of {', '.join(sorted(measured))}, got {pair.task.objective}"
        )
    if options["lanes"] != "auto" and not isinstance(options["lanes"], int):
        raise UserError(f"lanes.lanes must be auto or an integer >= 1, got {options['lanes']!r}")
    data = (pair.task.splits,)

    def make(lanes: int) -> Lanes:
        return Lanes(init, advance, hyperparameters=list(numbers), shared=data, **{**options, "lanes": lanes})

    try:
        if options["lanes"] != "auto":
            return make(options["lanes"])
        layout = default_layout() if options["layout"] == "auto" else options["layout"]
        trial = Assignment(None, pair.hyperparameters, 0, 2)
        return make(best_width(make, trial) if layout == "vmap" else _MAPPED_LANES)
    except (TypeError, ValueError) as error:
        raise UserError(f"lanes: {error}") from error


def data_parallel(task: Any, settings: DictConfig) -> int:
    """How many devices share out every batch of a trial, by the configuration group ``lanes``.

    Raises:
        UserError: if they do not divide the devices, or the batch.
    """
    import jax

    devices, size = len(jax.devices()), task.micro_batch or task.batch_size
    chosen = settings.data_parallel
    if chosen == "auto":
        return most_sharing(devices, size) if jax.default_backend() == "cpu" else 1
    if not isinstance(chosen, int) or chosen < 1 or devices % chosen:
        raise UserError(
            f"lanes.data_parallel must be auto or an integer that divides the {devices} devices, "
            f"got {chosen!r}"
        )
    if chosen > 1 and size % chosen:
        raise UserError(
            f"lanes.data_parallel must divide the {size} examples computed at once "
            f"(task.batch_size, or task.micro_batch if set), got {chosen}"
        )
    return chosen


def most_sharing(devices: int, examples: int) -> int:
    """The most of so many devices that can share out so many examples evenly."""
    return max(count for count in range(1, devices + 1) if examples % count == 0)


def _places(task: Any, settings: DictConfig) -> Sequence[Any]:
    """The devices that train trials of their own, or meshes of devices that share out a trial's batches."""
    import jax

    devices, together = jax.devices(), data_parallel(task, settings)
    if settings.data_parallel == "auto" and jax.default_backend() == "cpu":
        devices = devices[:together]  # one trial at a time: the devices of a CPU share its memory
    if together == 1:
        return devices
    return [
        jax.NamedSharding(jax.sharding.Mesh(devices[first : first + together], "data"), jax.P())
        for first in range(0, len(devices), together)
    ]


def stop_on_sigterm() -> Callable[[], bool]:
    """From now on SIGTERM asks for an orderly stop; returns whether it has come."""
    came = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: came.set())
    return came.is_set


def checkpoints(cfg: DictConfig, *parts: str) -> Any:
    """The checkpoints of a study or of a single trial, below ``<results>/checkpoints``.

    Raises:
        UserError: if ``checkpoint_every`` is not an integer >= 0.
    """
    from induced_metric.checkpoints import Checkpoints

    every = integer(cfg, "checkpoint_every", low=0, high=10**9)
    return Checkpoints(Path(cfg.results, "checkpoints", *parts), every=every)


def device_facts(flags: str) -> dict[str, Any]:
    """What a record says about the device that trained it."""
    import jax

    devices = jax.devices()
    return {"device": devices[0].device_kind, "devices": len(devices), "xla_flags": flags}


def run(task: Callable[[DictConfig], None], config: str) -> NoReturn:
    """Runs ``task`` as a Hydra application; a UserError ends in one sentence and exit code 2.

    Args:
        task: takes the composed configuration.
        config: name of the primary configuration in ``conf/``.
    """

    # Caught inside the job: what leaves it, Hydra announces with a line of its own.
    @functools.wraps(task)
    def job(cfg: DictConfig) -> None:
        try:
            task(cfg)
        except UserError as error:
            _fail(str(error))

    # Hydra then raises its errors instead of printing them with a stack trace.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        hydra.main(version_base="1.3", config_path=str(CONF), config_name=config)(job)()
    except MissingConfigException as error:
        group, _, choice = (error.missing_cfg_file or "").rpartition("/")
        allowed = ", ".join(OmegaConf.create(str(error.options or [])))
        _fail(f"unknown {group} {choice!r}: allowed are {allowed}")
    except OverrideParseException as error:
        _fail(f"cannot read the override {error.override!r}: write name=value")
    except ConfigCompositionException as error:
        _fail(_unknown_override(error, config))
    except KeyboardInterrupt:
        print("interrupted; run the same command again to continue", file=sys.stderr)
        sys.exit(130)
    sys.exit(0)


def _fail(sentence: str) -> NoReturn:
    print(f"{Path(sys.argv[0]).name}: {sentence}", file=sys.stderr)
    sys.exit(2)


def _unknown_override(error: ConfigCompositionException, config: str) -> str:
    cause = error.__cause__
    key = getattr(cause, "full_key", None)
    if (
        not isinstance(cause, omegaconf.errors.ConfigKeyError | omegaconf.errors.ConfigAttributeError)
        or not key
    ):
        return str(error).splitlines()[0]
    parent, _, name = str(key).rpartition(".")
    allowed = _allowed_keys(parent, config)
    close = difflib.get_close_matches(name, allowed, n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    return f"unknown {key!r}: allowed{f' under {parent}' if parent else ''} are {', '.join(allowed)}{hint}"


def _allowed_keys(parent: str, config: str) -> Sequence[str]:
    """The keys beside a misspelt one, under the groups that the command line chose."""
    groups = {path.name for path in CONF.iterdir() if path.is_dir()}
    chosen = [
        f"{name}={value.split(',')[0]}"
        for name, _, value in (argument.partition("=") for argument in sys.argv[1:])
        if name in groups and value
    ]
    GlobalHydra.instance().clear()
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = hydra.compose(config, chosen)
    node = OmegaConf.select(cfg, parent) if parent else cfg
    names = node.keys() if isinstance(node, DictConfig) else []
    return [str(name) for name in names if not str(name).startswith("_") and name != "name"]
