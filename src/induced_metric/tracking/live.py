"""One W&B run while it trains, and what it has in common with a mirrored one."""

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
    """One W&B run, logged while it trains; with mode ``disabled`` a sink that never imports wandb.

    Leaving it as a context by an exception marks the run as failed. Where W&B breaks down on the way, the
    rest is not logged, which is said once: what trains is recorded without it.
    """

    def __init__(
        self,
        mode: Mode,
        config: Mapping[str, Any],
        *,
        name: str | None = None,
        group: str | None = None,
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
            results, settings, config=dict(config), name=name, group=group, project=project, entity=entity,
            job_type="train",
        )  # fmt: skip

    def log(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Logs the metrics of an epoch, by their names in the records; ``seconds`` are this epoch's."""
        if self._run is not None:
            with self._going_on():
                self._run.log(history(metrics), step=epoch, commit=True)

    def finish(self, summary: Mapping[str, Any] | None = None, *, exit_code: int = 0) -> None:
        """Ends the run with what ``schema.OUTCOME`` names, or whatever else sums it up."""
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
            warnings.warn(f"{error}; this goes on without it", stacklevel=4)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.finish(exit_code=0 if kind is None else 1)


def check_mode(mode: str) -> None:
    """Raises ValueError for a mode that is none of ``MODES``."""
    if mode not in MODES:
        raise ValueError(f"mode must be one of {', '.join(MODES)}, got {mode!r}")


@contextlib.contextmanager
def answered() -> Iterator[None]:
    """What wandb raises within is a ConnectionError; a process of its that has ended is forgotten."""
    import wandb
    from wandb.sdk.mailbox import HandleAbandonedError, MailboxClosedError

    broken = (ConnectionError, TimeoutError, HandleAbandonedError, MailboxClosedError)
    try:
        yield
    except wandb.Error as error:  # no account, no network
        raise ConnectionError(f"W&B: {str(error).splitlines()[0]}") from error
    except broken as error:
        # Else wandb would find out at exit, with a trace, and there would be no other process.
        with contextlib.suppress(*broken, SystemExit):
            wandb.teardown()
        reason = str(error) or type(error).__name__
        raise ConnectionError(f"W&B's process does not answer ({reason})") from error


def history(metrics: Mapping[str, float]) -> dict[str, float]:
    """The metrics of an epoch under their names in W&B."""
    renamed = {"seconds": EPOCH_SECONDS}
    return {renamed.get(name, name): float(value) for name, value in metrics.items()}


def start(results: str | Path, settings: Mapping[str, Any], **run: Any) -> Any:
    """A new W&B run beside any others, its files under ``<results>/wandb/``.

    Raises:
        ConnectionError: if W&B cannot be reached or does not know the account.
        DiskError: if its directory cannot be written.
    """
    import wandb

    # wandb falls back to a temporary directory where it cannot write to this one.
    root = Path(results).resolve()
    with written(root / "wandb"):
        (root / "wandb").mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=root / "wandb"):
            pass
    chosen = wandb.Settings(root_dir=str(root), **settings)
    with answered():
        # Beforehand, because wandb asks only here whether it is offline; else it times every call.
        wandb.setup(settings=chosen)
        return wandb.init(dir=root, reinit="create_new", settings=chosen, **run)
