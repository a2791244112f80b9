"""A W&B run that is logged during training, and what it has in common with a mirrored run."""

import contextlib
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, Self, TypeAlias

from induced_metric.errors import written
from induced_metric.records.schema import EPOCH_SECONDS

Mode: TypeAlias = Literal["online", "offline", "disabled"]
MODES: tuple[Mode, ...] = ("offline", "online", "disabled")
PROJECT = "induced-metric"


class LiveRun:
    """A W&B run, logged during training; with mode ``disabled``, it drops everything and never imports wandb.

    As a context manager, it marks the run as failed if an exception is raised. If W&B breaks down on the way,
    the rest is not logged, and one warning says so: the training is recorded without it.
    """

    def __init__(
        self,
        mode: Mode,
        config: Mapping[str, Any],
        *,
        name: str | None = None,
        project: str = PROJECT,
        entity: str | None = None,
        results: str | Path = "results",
    ) -> None:
        check_mode(mode)
        self._run: Any = None
        if mode == "disabled":
            return
        # The console belongs to the progress bar.
        settings = {"console": "off", "silent": True, "mode": mode}
        self._run = start(
            results, settings, config=dict(config), name=name, project=project, entity=entity,
            job_type="train",
        )  # fmt: skip

    def log(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Logs the metrics of an epoch, given by their names in the records; ``seconds`` are this epoch's."""
        if self._run is not None:
            with self._going_on():
                self._run.log(history(metrics), step=epoch, commit=True)

    def finish(self, summary: Mapping[str, Any] | None = None, *, exit_code: int = 0) -> None:
        """Ends the run with a summary: the columns that ``schema.OUTCOME`` names, or anything else."""
        if self._run is not None:
            with self._going_on():
                self._run.summary.update(dict(summary or {}))
                self._run.finish(exit_code=exit_code)
            self._run = None

    @contextlib.contextmanager
    def _going_on(self) -> Iterator[None]:
        try:
            with answered():
                yield
        except ConnectionError as error:
            self._run = None
            warnings.warn(f"{error}; the run continues without W&B", stacklevel=4)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, *_: object) -> None:
        in_order = kind is None or (isinstance(error, SystemExit) and not error.code)
        self.finish(exit_code=0 if in_order else 1)


def check_mode(mode: str) -> None:
    """Raises ValueError for a mode that is not among ``MODES``."""
    if mode not in MODES:
        raise ValueError(f"mode must be one of {', '.join(MODES)}, got {mode!r}")


@contextlib.contextmanager
def answered() -> Iterator[None]:
    """Turns errors of wandb in the block into ConnectionError; drops wandb's process if that has ended."""
    import wandb
    from wandb.sdk.mailbox import HandleAbandonedError, MailboxClosedError

    broken = (ConnectionError, TimeoutError, HandleAbandonedError, MailboxClosedError)
    try:
        yield
    except wandb.Error as error:  # no account, no network
        raise ConnectionError(f"W&B: {str(error).splitlines()[0]}") from error
    except broken as error:
        # Otherwise wandb would notice only at exit, with a traceback, and would start no other process.
        with contextlib.suppress(*broken, SystemExit):
            wandb.teardown()
        reason = str(error) or type(error).__name__
        raise ConnectionError(f"W&B's process does not answer ({reason})") from error


def history(metrics: Mapping[str, float]) -> dict[str, float]:
    """The metrics of an epoch under their names in W&B."""
    renamed = {"seconds": EPOCH_SECONDS}
    return {renamed.get(name, name): float(value) for name, value in metrics.items()}


def start(results: str | Path, settings: Mapping[str, Any], **run: Any) -> Any:
    """Starts a new W&B run beside any others, with its files under ``<results>/wandb/``.

    Raises:
        ConnectionError: if W&B cannot be reached or does not know the account.
        DiskError: if its directory cannot be written.
    """
    import wandb

    # Checked first: wandb falls back to a temporary directory if it cannot write to this one.
    root = Path(results).resolve()
    with written(root / "wandb"):
        (root / "wandb").mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=root / "wandb"):
            pass
    chosen = wandb.Settings(root_dir=str(root), **settings)
    with answered():
        # Before ``init``: wandb checks only here whether it is offline; otherwise it times every call.
        wandb.setup(settings=chosen)
        return wandb.init(dir=root, reinit="create_new", settings=chosen, **run)
