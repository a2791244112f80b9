"""One W&B run while it trains, and what it has in common with a mirrored one."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self, TypeAlias

from induced_metric.records.schema import EPOCH_SECONDS

Mode: TypeAlias = Literal["online", "offline", "disabled"]
MODES: tuple[Mode, ...] = ("offline", "online", "disabled")
PROJECT = "induced-metric"


class LiveRun:
    """One W&B run, logged while it trains; with mode ``disabled`` a sink that never imports wandb.

    Leaving it as a context by an exception marks the run as failed.
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
            self._run.log(history(metrics), step=epoch, commit=True)

    def finish(self, summary: Mapping[str, Any] | None = None, *, exit_code: int = 0) -> None:
        """Ends the run with what ``schema.OUTCOME`` names, or whatever else sums it up."""
        if self._run is not None:
            self._run.summary.update(dict(summary or {}))
            self._run.finish(exit_code=exit_code)
            self._run = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.finish(exit_code=0 if kind is None else 1)


def check_mode(mode: str) -> None:
    """Raises ValueError for a mode that is none of ``MODES``."""
    if mode not in MODES:
        raise ValueError(f"mode must be one of {', '.join(MODES)}, got {mode!r}")


def history(metrics: Mapping[str, float]) -> dict[str, float]:
    """The metrics of an epoch under their names in W&B."""
    renamed = {"seconds": EPOCH_SECONDS}
    return {renamed.get(name, name): float(value) for name, value in metrics.items()}


def start(results: str | Path, settings: Mapping[str, Any], **run: Any) -> Any:
    """A new W&B run beside any others, its files under ``<results>/wandb/``.

    Raises:
        ConnectionError: if W&B cannot be reached or does not know the account.
    """
    import wandb

    # wandb falls back to a temporary directory where this one does not exist.
    root = Path(results).resolve()
    (root / "wandb").mkdir(parents=True, exist_ok=True)
    chosen = wandb.Settings(root_dir=str(root), **settings)
    # Beforehand, because wandb asks only here whether it is offline; else it times every call, for telemetry.
    wandb.setup(settings=chosen)
    try:
        return wandb.init(dir=root, reinit="create_new", settings=chosen, **run)
    except wandb.Error as error:  # no account, no network
        raise ConnectionError(f"W&B: {str(error).splitlines()[0]}") from error
