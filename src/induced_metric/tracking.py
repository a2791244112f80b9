"""Where a run came from, and its mirror in Weights & Biases.

A sweep does not talk to W&B. Its records are the truth; ``export`` mirrors afterwards what is not mirrored
yet, one W&B run a trial (``make wandb TASK=...``). Only ``train.py`` logs while it trains: ``LiveRun``.
The summary of a mirrored run holds ``records.OUTCOME``; the other columns of its row are its configuration.
"""

import argparse
import fcntl
import importlib.metadata
import json
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple, NoReturn, Self, TypeAlias

import pandas as pd

from induced_metric import records

Mode: TypeAlias = Literal["online", "offline", "disabled"]
MODES: tuple[Mode, ...] = ("offline", "online", "disabled")
PROJECT = "induced-metric"
_PACKAGES = ("jax", "jaxlib", "flax", "optax", "optuna", "numpy")
# Nothing that a mirrored trial does not need: half of the time and half of the bytes. Without a summary
# derived from every row, W&B's server derives it, and `export` writes the last metrics itself.
_LEAN = {
    "console": "off",
    "silent": True,
    "symlink": False,
    "disable_code": True,
    "disable_git": True,
    "x_disable_machine_info": True,
    "x_disable_meta": True,
    "x_disable_stats": True,
    "x_save_requirements": False,
    "x_server_side_derived_summary": True,
}


def provenance(**facts: Any) -> dict[str, Any]:
    """What made a record: code, versions, platform, and what the caller knows (``device``, ``flags`` ...).

    ``commit`` and ``dirty`` are of the repository that tracks this file, None outside one; a change under
    ``results/`` does not make it dirty, because studies write there.
    """
    return {
        **_repository(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "versions": {name: _version(name) for name in _PACKAGES},
        **facts,
    }


def _repository() -> dict[str, str | bool | None]:
    here = Path(__file__).resolve()

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", *arguments], cwd=here.parent, capture_output=True, text=True, check=False
            )
        except FileNotFoundError:  # no git on this machine
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    # An installed copy may lie in an environment inside somebody else's repository.
    if git("ls-files", "--error-unmatch", here.name) is None:
        return {"commit": None, "dirty": None}
    changes = git("status", "--porcelain", "--untracked-files=no", "--", ":/", ":(exclude,top)results")
    return {"commit": git("rev-parse", "HEAD"), "dirty": bool(changes)}


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


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
        _check_mode(mode)
        self._run: Any = None
        if mode == "disabled":
            return
        # The console belongs to the progress bar.
        settings = {"console": "off", "silent": True, "mode": mode}
        self._run = _start(
            results, settings, config=dict(config), name=name, group=group, project=project, entity=entity,
            job_type="train",
        )  # fmt: skip

    def log(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Logs the metrics of an epoch, by their names in the records; ``seconds`` are this epoch's."""
        if self._run is not None:
            self._run.log(_history(metrics), step=epoch, commit=True)

    def finish(self, summary: Mapping[str, Any] | None = None, *, exit_code: int = 0) -> None:
        """Ends the run with what ``records.OUTCOME`` names, or whatever else sums it up."""
        if self._run is not None:
            self._run.summary.update(dict(summary or {}))
            self._run.finish(exit_code=exit_code)
            self._run = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.finish(exit_code=0 if kind is None else 1)


class _Trial(NamedTuple):
    row: dict[str, Any]
    curve: pd.DataFrame

    @property
    def study(self) -> str:
        return records.study_name(*(self.row[name] for name in ("protocol", "task", "sampler", "optimizer")))

    @property
    def name(self) -> str:
        return f"{self.study}-{self.row['trial']}"

    @property
    def run_id(self) -> str:
        """The same in every export; W&B allows few characters in it."""
        return re.sub(r"[^A-Za-z0-9_-]", "_", self.name)


def export(
    task: str,
    *,
    protocol: str = "paper",
    samplers: Iterable[str] | None = None,
    optimizers: Iterable[str] | None = None,
    mode: Mode = "offline",
    project: str = PROJECT,
    entity: str | None = None,
    results: str | Path = "results",
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Mirrors every recorded trial that this mode, project and entity do not have yet as a W&B run.

    ``<results>/wandb/exported-<mode>.txt`` says which those are; a line is added when a run is complete, so a
    killed export repeats at most one. Offline runs are under ``<results>/wandb/``: read them with
    ``wandb leet inspect``, upload them with ``wandb sync``.

    Args:
        task: name of the task.
        protocol: name of the protocol.
        samplers: which to export; all that have records by default.
        optimizers: which to export; all that have records by default.
        mode: ``offline``, ``online``, or ``disabled``, which does nothing.
        project: the W&B project.
        entity: the W&B user or team; the account's default where not given.
        results: the results directory.
        progress: called with the numbers of trials done and to do, at first with 0.

    Returns:
        How many trials were exported.

    Raises:
        FileNotFoundError: if a study asked for has no record.
        RuntimeError: if another export into these results is under way.
        ValueError: for another mode.
    """
    _check_mode(mode)
    if mode == "disabled":
        return 0
    wanted = None if optimizers is None else list(optimizers)
    names = list(samplers or records.samplers(task, protocol=protocol, results=results) or ["tpe"])
    directory = Path(results) / "wandb"
    with _ledger(directory / f"exported-{mode}.txt") as (exported, ledger):
        todo = [
            (trial, line)
            for sampler in names
            for trial in _trials(task, protocol, sampler, wanted, results)
            # With the time, so that a study that was deleted and run again is exported again.
            if (line := f"{entity or ''}/{project}/{trial.run_id} {trial.row['finished']}") not in exported
        ]
        killed = _offline_runs(directory) if mode == "offline" else {}
        report = progress or (lambda _done, _total: None)
        report(0, len(todo))
        for done, (trial, line) in enumerate(todo, start=1):
            for path in killed.get(trial.run_id, ()):
                shutil.rmtree(path)
            _mirror(trial, mode, project, entity, results)
            ledger.write(f"{line}\n")
            ledger.flush()
            report(done, len(todo))
    return len(todo)


def _trials(
    task: str, protocol: str, sampler: str, optimizers: list[str] | None, results: str | Path
) -> Iterator[_Trial]:
    for name in records.studies(
        task, protocol=protocol, sampler=sampler, optimizers=optimizers, results=results
    ):
        study = records.RecordStore(records.study_directory(results, protocol, task, sampler, name)).read()
        curves = dict(iter(study.curves.groupby("trial")))
        for row in study.trials.to_dict("records"):
            yield _Trial({str(key): value for key, value in row.items()}, curves[row["trial"]])


def _mirror(trial: _Trial, mode: Mode, project: str, entity: str | None, results: str | Path) -> None:
    row = trial.row
    config = {name: value for name, value in row.items() if name not in records.OUTCOME}
    # Nested, so that W&B can filter and group by a version or a setting.
    config |= {name: json.loads(row[name]) for name in records.NESTED}
    run = _start(
        results, {**_LEAN, "mode": mode}, config=config, name=trial.name, id=trial.run_id, group=trial.study,
        project=project, entity=entity, job_type="trial",
    )  # fmt: skip
    columns = {
        # The shortest decimal that reads back as the same float32, not the twice as long float64.
        name: [float(str(value)) for value in values.to_numpy()]
        if values.dtype == "float32"
        else values.tolist()
        for name, values in trial.curve.drop(columns=["trial", "epoch"]).items()
    }
    metrics: dict[str, float] = {}
    for epoch, *values in zip(trial.curve["epoch"].tolist(), *columns.values(), strict=True):
        metrics = _history(dict(zip(map(str, columns), values, strict=True)))
        run.log(metrics, step=epoch, commit=True)
    run.summary.update(metrics | {name: row[name] for name in records.OUTCOME})
    run.finish()


def _history(metrics: Mapping[str, float]) -> dict[str, float]:
    renamed = {"seconds": records.EPOCH_SECONDS}
    return {renamed.get(name, name): float(value) for name, value in metrics.items()}


def _start(results: str | Path, settings: Mapping[str, Any], **run: Any) -> Any:
    import wandb

    # wandb falls back to a temporary directory where this one does not exist.
    root = Path(results).resolve()
    (root / "wandb").mkdir(parents=True, exist_ok=True)
    chosen = wandb.Settings(root_dir=str(root), **settings)
    # Beforehand, because wandb asks only here whether it is offline; else it times every call, for telemetry.
    wandb.setup(settings=chosen)
    return wandb.init(dir=root, reinit="create_new", settings=chosen, **run)


def _offline_runs(directory: Path) -> dict[str, list[Path]]:
    """Directories of offline runs by run id: one with the id of an unexported trial is of a killed export."""
    runs: dict[str, list[Path]] = {}
    for path in directory.glob("offline-run-*"):
        if found := re.fullmatch(r"offline-run-\d+_\d+-(.+)", path.name):
            runs.setdefault(found[1], []).append(path)
    return runs


@contextmanager
def _ledger(path: Path) -> Iterator[tuple[set[str], IO[str]]]:
    """The lines of a file, and the file, open to append whole lines and locked."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RuntimeError(f"another export is under way: it holds {path}") from error
        file.seek(0)
        text = file.read()
        if text and not text.endswith("\n"):
            # Torn by a crash: as if it were not there.
            text = text[: text.rfind("\n") + 1]
            file.truncate(len(text.encode()))
        yield set(text.splitlines()), file


def _check_mode(mode: str) -> None:
    if mode not in MODES:
        raise ValueError(f"mode must be one of {', '.join(MODES)}, got {mode!r}")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Ends with the sentence alone: the usage would bury it."""
        self.exit(2, f"{self.prog}: {message}\n")


def main(argv: Sequence[str] | None = None) -> None:
    """``python -m induced_metric.tracking``; bad input ends in one sentence and exit code 2."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    parser = _Parser(
        prog="python -m induced_metric.tracking", description="Mirrors the recorded trials in W&B."
    )
    parser.add_argument("--task", required=True, help="regression, mnist, cifar10, shakespeare ...")
    parser.add_argument("--protocol", default="paper", help="rules of the comparison (default: paper)")
    for name in ("optimizers", "samplers"):
        parser.add_argument(
            f"--{name}", nargs="+", metavar=name[:-1].upper(), help="default: all that have records"
        )
    parser.add_argument("--mode", choices=MODES, default="offline", help="default: offline")
    parser.add_argument("--project", default=PROJECT, help=f"default: {PROJECT}")
    parser.add_argument("--entity", help="user or team (default: the account's)")
    parser.add_argument("--results", type=Path, default=Path("results"), help="default: results")
    arguments = vars(parser.parse_args(argv))
    columns = (TextColumn("W&B runs"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) as bar:
        line = bar.add_task("export", total=None)
        try:
            count = export(
                **arguments, progress=lambda done, total: bar.update(line, completed=done, total=total)
            )
        except (FileNotFoundError, RuntimeError, ValueError) as error:
            bar.stop()
            sys.stderr.write(f"{error}\n")
            raise SystemExit(2) from error
    where = arguments["results"] / "wandb" if arguments["mode"] == "offline" else arguments["project"]
    sys.stdout.write(f"exported {count} trials to {where} (mode {arguments['mode']})\n")


if __name__ == "__main__":
    main()
