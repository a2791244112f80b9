"""Entry points: Hydra composes the configuration, and each user error is reported in one sentence."""

import contextlib
import functools
import os
import signal
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import hydra
from hydra.errors import ConfigCompositionException, OverrideParseException
from omegaconf import DictConfig

from induced_metric import xla
from induced_metric.cli import chosen, entry, overrides
from induced_metric.cli.values import CONF, sentences
from induced_metric.errors import (
    DiskError,
    UserError,
    check_platform,
    memory_sentence,
    out_of_memory,
    refused,
)

_CAME: set[int] = set()  # stop signals received; shared by all Hydra jobs, so that none is lost between two
_PACKAGE = Path(__file__).parents[1]
_LOWER = (
    "lower lanes.width or lanes.queue, task.micro_batch where the task has one, task.batch_size, or the size "
    "of the model; or end other programs that use the device"
)


def run(
    task: Callable[[DictConfig], None], config: str, *, afterwards: Callable[[], None] = lambda: None
) -> NoReturn:
    """Runs ``task`` as a Hydra application. A UserError is printed as one sentence.

    The exit code is then 2 or, if it is ``passing``, ``entry.PASSING``.

    Args:
        task: the function to run; it receives the composed configuration.
        config: name of the primary configuration in ``conf/``.
        afterwards: called once Hydra has run all jobs.
    """
    begun = False
    _CAME.clear()

    # Errors are caught inside the job, because Hydra prints a line of its own for any that leave it.
    @functools.wraps(task)
    def job(cfg: DictConfig) -> None:
        nonlocal begun
        begun = True
        with _one_sentence():
            if cfg.results is None or not str(cfg.results):
                raise UserError("results must be a directory, got null or nothing")
            cfg.results = str(cfg.results)  # which may look like a number
            task(cfg)

    warnings.formatwarning = _warning
    with _one_sentence():
        check_platform()
        chosen.check(sys.argv[1:])
    sys.argv[1:] = overrides.renamed(sys.argv[1:], config)
    # Hydra then raises its errors instead of printing them with a stack trace.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        hydra.main(version_base="1.3", config_path=str(CONF), config_name=config)(job)()
        with _one_sentence():
            afterwards()
    except (ConfigCompositionException, OverrideParseException) as error:
        _fail(UserError(overrides.sentence(error, config)))
    except OSError as error:
        if begun:
            raise
        _fail(_unwritable(error))  # before the job begins, Hydra only creates its directories in results
    sys.exit(0)


@contextlib.contextmanager
def _one_sentence() -> Iterator[None]:
    try:
        yield
    except UserError as error:
        _fail(error)
    except OSError as error:
        if not refused(error):
            raise
        _fail(_unwritable(error))
    except (MemoryError, RuntimeError, ValueError) as error:
        if not out_of_memory(error):
            raise
        _fail(UserError(memory_sentence(error, _LOWER)))


def _warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    """Formats our own warnings, which are meant for the user, as a sentence without file and line."""
    del line
    if category is UserWarning and Path(filename).is_relative_to(_PACKAGE):
        return f"{_program()}: warning: {message}\n"
    return f"{filename}:{lineno}: {category.__name__}: {message}\n"


def _program() -> str:
    return Path(sys.argv[0]).name


def _fail(error: UserError) -> NoReturn:
    print(f"{_program()}: {error}", file=sys.stderr)
    sys.exit(entry.PASSING if error.passing else 2)


def stop_in_order() -> Callable[[], bool]:
    """Makes SIGTERM and Ctrl-C ask for an orderly stop; the returned function says whether any job got one.

    A second Ctrl-C ends the process at once.
    """

    def ask(number: int, frame: object) -> None:
        if number == signal.SIGINT:
            if number in _CAME:
                entry.end_at_once(number, frame)
            entry.say_now(2, "stopping after the epochs under way; Ctrl-C again ends at once")
        _CAME.add(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, ask)
    return lambda: bool(_CAME)


def stopped(sentence: str, say: Callable[[str], None] = print) -> NoReturn:
    """Prints how far the run came and exits with the signal's code: 0 after SIGTERM, 130 after Ctrl-C."""
    say(sentence)
    if signal.SIGINT in _CAME:
        entry.say_interrupted()
        raise SystemExit(entry.INTERRUPTED)
    raise SystemExit(0)


def start_jax(cfg: DictConfig) -> str:
    """Sets XLA up for the lanes of a configuration; must be called before anything imports JAX."""
    deterministic = cfg.get("deterministic", False)
    if not isinstance(deterministic, bool):
        raise UserError(f"deterministic must be true or false, got {deterministic!r}")
    if deterministic:
        with sentences("deterministic"):
            xla.make_deterministic()
    try:
        return xla.configure(devices=cfg.lanes.devices)
    except ValueError as error:
        raise UserError(f"lanes.devices: {error}") from error


def device() -> str:
    """The devices that JAX found, in one line."""
    import jax

    devices = jax.devices()
    return f"device: {devices[0].device_kind} x {len(devices)} (JAX {jax.__version__})"


def comparable(best: float | None) -> float | None:
    """The paper's best value, unless the command line changes the task, which it then says nothing of."""
    changed = any(word.lstrip("+~").startswith("task.") for word in sys.argv[1:])
    return None if changed else best


def results(cfg: DictConfig) -> Path:
    """The results directory, which is created if it does not exist.

    Raises:
        UserError: if it cannot be written to.
    """
    path = Path(cfg.results)
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            return path
    except OSError as error:
        raise _unwritable(error) from error


def _unwritable(error: OSError) -> DiskError:
    reason, name = error.strerror or type(error).__name__, error.filename or "it"
    return DiskError(f"results must be a directory that can be written, and {name} is not ({reason})", error)
