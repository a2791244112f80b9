"""What the entry points share: from a Hydra configuration to plain objects, and errors in one sentence.

Only ``train.py`` and ``sweeps/`` import this module; everything below takes plain arguments.
"""

import difflib
import functools
import os
import pkgutil
import re
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import hydra
import omegaconf
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import ConfigCompositionException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from pydantic import TypeAdapter, ValidationError, validate_call

from induced_metric import xla
from induced_metric.errors import UserError, check_platform

# Mapped lanes run one after the other: two keep their device busy while the host serves two others.
_MAPPED_LANES = 2
_MOST_LANES = 256
_CHECKPOINT_SECONDS = 60  # where the configuration does not say
_FLOAT32_BITS = 23  # after the first
_PRECISIONS = {_FLOAT32_BITS: "float32", 10: "tensorfloat32", 7: "bfloat16"}
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
        UserError: for a value of the wrong type or out of range, a range of a hyperparameter that does not
            exist, or a ``_target_`` that cannot be called.
    """
    optimizer, hyperparameters = _optimizer(cfg.optimizer)
    shared = _shared_ranges(_plain(cfg.task)["name"])
    _check_ranges(cfg.search_space, hyperparameters, cfg.optimizer.name, shared)
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


def target(settings: dict[str, Any], where: str) -> Callable[..., Any]:
    """Takes ``_target_`` out of settings and finds what it names.

    Raises:
        UserError: if it cannot be imported or called.
    """
    path = settings.pop("_target_", None)
    if not isinstance(path, str):
        raise UserError(f"{where}._target_ must be the dotted path of a function or class, got {path!r}")
    try:
        found = pkgutil.resolve_name(path)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f"{where}._target_: cannot find {path!r} ({error})") from error
    if not callable(found):
        kind = type(found).__name__
        raise UserError(f"{where}._target_ must name a function or class, and {path!r} is a {kind}")
    return found


def sampler(node: DictConfig) -> Callable[..., Any]:
    """What makes a study's sampler of a seed, by the configuration group ``sampler``.

    Raises:
        UserError: if none can be made.
    """
    create = _creator(node, "sampler")
    _made(functools.partial(create, seed=0), "sampler")
    return create


def pruner(node: DictConfig) -> Any:
    """A study's pruner, by the configuration group ``pruner``.

    Raises:
        UserError: if it cannot be made.
    """
    return _made(_creator(node, "pruner"), "pruner")


def _creator(node: DictConfig, where: str) -> Callable[..., Any]:
    settings = _plain(node.create)
    factory = target(settings, f"{where}.create")
    settings.pop("_partial_", None)
    return functools.partial(factory, **settings)


def _made(create: Callable[[], Any], where: str) -> Any:
    try:
        return create()
    except (TypeError, ValueError) as error:
        raise UserError(f"{where}.create: {error}") from error


def _task(node: DictConfig) -> Any:
    settings = _plain(node)
    build = validate_call(target(settings, "task"))
    try:
        return build(**settings)
    except ValidationError as error:
        raise UserError(_validation_sentence("task", error)) from error
    except (ValueError, FileNotFoundError) as error:
        raise UserError(f"task: {error}") from error


def _optimizer(node: DictConfig) -> tuple[Callable[..., Any], dict[str, float]]:
    from induced_metric.records import check_hyperparameter_names

    settings = _plain(node)
    factory = target(settings, "optimizer")
    del settings["name"]
    switches = {name: value for name, value in settings.items() if isinstance(value, bool)}
    hyperparameters: dict[str, float] = {}
    for name, value in settings.items():
        if name in switches:
            continue
        if not isinstance(value, int | float):
            raise UserError(f"optimizer.{name} must be a number, got {value!r}")
        hyperparameters[name] = float(value)
    try:
        check_hyperparameter_names(hyperparameters)
    except ValueError as error:
        raise UserError(f"optimizer: {error}") from error
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


def _check_ranges(
    node: DictConfig, hyperparameters: Mapping[str, float], optimizer: str, shared: Collection[str]
) -> None:
    """Raises UserError for a range that nothing will be searched in, unless it is the task's for others."""
    for name in map(str, node):
        if name in hyperparameters or name in shared:
            continue
        close = difflib.get_close_matches(name, hyperparameters, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise UserError(
            f"search_space.{name} is no hyperparameter of {optimizer}, "
            f"which has {', '.join(hyperparameters)}{hint}"
        )


def _shared_ranges(task: str) -> set[str]:
    """What a task gives a range to, for whichever optimizers have it; some optimizer must."""
    root = CONF / "task"
    # A task that the command line calls by another name may have the ranges of any.
    paths = [root / f"{task}.yaml"] if (root / f"{task}.yaml").exists() else list(root.glob("*.yaml"))
    given: set[str] = set()
    while paths:
        content: Any = OmegaConf.load(paths.pop())
        given |= set(content.get("search_space", {}))
        bases = [root / f"{name}.yaml" for name in content.get("defaults", []) if isinstance(name, str)]
        paths += [path for path in bases if path.exists()]
    files: Any = map(OmegaConf.load, (CONF / "optimizer").glob("*.yaml"))
    return given & {name for content in files for name in content.optimizer}


def _check(optimizer: Callable[..., Any], hyperparameters: Mapping[str, float], where: str) -> None:
    """Makes the optimizer of plain numbers once, since traced values cannot be checked."""
    try:
        optimizer(**hyperparameters)
    except (TypeError, ValueError) as error:
        raise UserError(f"{where}: {error}") from error


def _validation_sentence(where: str, error: ValidationError) -> str:
    first, *others = error.errors()
    # Of a value that may be one of several types there is a complaint for each.
    others = [other for other in others if other["input"] is first["input"]]
    place = ".".join([where, *map(str, first["loc"][: 1 if others else None])])
    messages = [each["msg"][0].lower() + each["msg"][1:] for each in (first, *others)]
    return f"{place}: {', or '.join(messages)}, got {first['input']!r}"


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


def engine(pair: Pairing, settings: DictConfig, *, most: int | None = None) -> Any:
    """The lanes of a pairing.

    Args:
        pair: the pairing.
        settings: the configuration group ``lanes``.
        most: the most trials that will be under way at once, by default any number. There are no devices,
            lanes or dispatches for more: on an accelerator an idle lane computes as much as another.

    Raises:
        UserError: for lane settings out of range or an objective that the task does not measure.
    """
    import jax

    from induced_metric.lane_probe import best_width
    from induced_metric.lanes import Assignment, Lanes, default_layout
    from induced_metric.training import init_trial, train_epoch

    options = {**_plain(settings), "devices": _places(pair.task, settings)}
    del options["data_parallel"]
    options["devices"] = options["devices"][:most]
    share = None if most is None else -(-most // len(options["devices"]))  # trials of a device

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
    layout = default_layout() if options["layout"] == "auto" else options["layout"]

    def make(lanes: int) -> Lanes:
        lanes, queue = fit(lanes, options["queue"], share, layout)
        chosen = {**options, "lanes": lanes, "queue": queue}
        return Lanes(init, advance, hyperparameters=list(numbers), shared=data, **chosen)

    try:
        if options["lanes"] != "auto":
            return make(options["lanes"])
        if layout != "vmap":
            return make(_MAPPED_LANES)
        trial = Assignment(None, pair.hyperparameters, 0, 2)
        return make(best_width(make, trial, most=min(share or _MOST_LANES, _MOST_LANES)))
    except (TypeError, ValueError) as error:
        raise UserError(f"lanes: {error}") from error


def fit(lanes: int, queue: int, trials: int | None, layout: str) -> tuple[int, int]:
    """Lanes and dispatches in flight of a device that will have at most so many trials at once."""
    if trials is None:
        return lanes, queue
    if layout == "vmap":  # a wider dispatch takes hardly longer, so few trials share one
        lanes = min(lanes, trials)
        return lanes, min(queue, -(-trials // lanes))
    queue = min(queue, trials)  # one computes while the host serves another
    return min(lanes, -(-trials // queue)), queue


def lane_facts(lanes: Any) -> dict[str, Any]:
    """What a record says about the lanes that trained it; ``records`` says what ``seconds`` then are."""
    return {"lanes": {"layout": lanes.layout, "width": lanes.width, "queue": lanes.queue}}


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
        UserError: if ``checkpoint_every`` is not an integer >= 0 or ``checkpoint_seconds`` no number >= 0.
    """
    from induced_metric.checkpoints import Checkpoints

    every = integer(cfg, "checkpoint_every", low=0, high=10**9)
    seconds = OmegaConf.select(cfg, "checkpoint_seconds", default=_CHECKPOINT_SECONDS)
    if not isinstance(seconds, int | float) or isinstance(seconds, bool) or not seconds >= 0:
        raise UserError(f"checkpoint_seconds must be a number >= 0, got {seconds!r}")
    return Checkpoints(Path(cfg.results, "checkpoints", *parts), every=every, seconds=seconds)


def results(cfg: DictConfig) -> Path:
    """The results directory, made if it does not exist.

    Raises:
        UserError: if it cannot be written.
    """
    path = Path(cfg.results)
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            return path
    except OSError as error:
        raise UserError(_unwritable(error)) from error


def _unwritable(error: OSError) -> str:
    reason = error.strerror or type(error).__name__
    return f"results must be a directory that can be written, and {error.filename} is not ({reason})"


def device_facts(flags: str) -> dict[str, Any]:
    """What a record says about the device that trained it."""
    import jax

    devices = jax.devices()
    return {
        "device": devices[0].device_kind,
        "devices": len(devices),
        "xla_flags": flags,
        "jax_default_matmul_precision": jax.config.jax_default_matmul_precision,  # type: ignore[attr-defined]
        "matmul_precision": _matmul_precision(),
    }


def _matmul_precision() -> str:
    """The precision of a product of float32 matrices on the default device, measured: its default differs."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    # 1 + 2^-k survives a product with the identity where factors keep at least k bits after the first.
    numbers = np.ones(128, np.float32)
    numbers[:_FLOAT32_BITS] += 2.0 ** -np.arange(1, _FLOAT32_BITS + 1)
    product = np.diag(jax.device_get(jnp.diag(numbers) @ jnp.eye(len(numbers), dtype=jnp.float32)))
    kept = (product == numbers)[:_FLOAT32_BITS]
    bits = _FLOAT32_BITS if kept.all() else int(kept.argmin())
    return _PRECISIONS.get(bits, f"{bits} bits")


def run(task: Callable[[DictConfig], None], config: str) -> NoReturn:
    """Runs ``task`` as a Hydra application; a UserError ends in one sentence and exit code 2.

    Args:
        task: takes the composed configuration.
        config: name of the primary configuration in ``conf/``.
    """
    begun = False

    # Caught inside the job: what leaves it, Hydra announces with a line of its own.
    @functools.wraps(task)
    def job(cfg: DictConfig) -> None:
        nonlocal begun
        begun = True
        try:
            task(cfg)
        except UserError as error:
            _fail(str(error))
        except (MemoryError, RuntimeError) as error:
            if isinstance(error, RuntimeError) and "RESOURCE_EXHAUSTED" not in str(error):
                raise
            _fail(_out_of_memory(error))

    try:
        check_platform()
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
    except OSError as error:
        if begun:
            raise
        _fail(_unwritable(error))  # all that Hydra does beforehand is to make its directories there
    except KeyboardInterrupt:
        print("interrupted; run the same command again to continue", file=sys.stderr)
        sys.exit(130)
    sys.exit(0)


def _fail(sentence: str) -> NoReturn:
    print(f"{Path(sys.argv[0]).name}: {sentence}", file=sys.stderr)
    sys.exit(2)


def _out_of_memory(error: Exception) -> str:
    size = re.search(r"allocat\w* +([\d.]+ ?[KMGTPE]?i?[bB]\w*)", str(error))
    asked = f" ({size[1]} were asked for)" if size else ""
    return (
        f"the device has not enough memory{asked}: lower lanes.lanes or lanes.queue, task.micro_batch "
        "where the task has one, task.batch_size, or the size of the model"
    )


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
