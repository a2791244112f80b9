"""The mirror of recorded trials in W&B."""

import json
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

import pandas as pd

from induced_metric import records
from induced_metric.errors import UserError, written
from induced_metric.records import RecordFeed, RecordStore, StudyKey
from induced_metric.records.schema import NESTED, OUTCOME
from induced_metric.tracking.live import PROJECT, Mode, answered, check_mode, history, start

# Leaves out what a mirrored trial does not need: half of the time and half of the bytes. No summary is
# derived here from every row: W&B's server derives it, and `export` writes the last metrics itself.
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


class _Trial(NamedTuple):
    row: dict[str, Any]
    curve: pd.DataFrame

    @property
    def study(self) -> str:
        return StudyKey(*(self.row[name] for name in StudyKey._fields)).name

    @property
    def name(self) -> str:
        return f"{self.study}-{self.row['trial']}"

    @property
    def run_id(self) -> str:
        """Its id in W&B, the same in every export; W&B allows few characters in it."""
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
    feeds: dict[StudyKey, RecordFeed] | None = None,
) -> int:
    """Mirrors every recorded trial that this mode, project and entity do not have yet as a W&B run.

    ``<results>/wandb/exported-<mode>.txt`` lists the exported runs and their directories. A line is added
    when a run is complete, so a killed export repeats at most one run. Offline runs are under
    ``<results>/wandb/``: read them with ``wandb leet inspect``, upload them with ``wandb sync``. Studies may
    run meanwhile, with any number of workers: what they record after the export began is left to the next.

    Args:
        task: name of the task.
        protocol: name of the protocol.
        samplers: whose studies to export; all by default.
        optimizers: whose studies to export; all by default. Of those with both, the studies that have records
            are exported.
        mode: ``offline``, ``online``, or ``disabled``, which does nothing.
        project: the W&B project.
        entity: the W&B user or team; the account's default where not given.
        results: the results directory.
        progress: called with the number of trials done and their total, at first with 0 done.
        feeds: a dictionary, empty at first, to be passed to successive exports, so that what one has read is
            not read again. After an export that raised, a new empty dictionary is needed.

    Returns:
        How many trials were exported.

    Raises:
        ConnectionError: if W&B cannot be reached, does not know the account, or breaks down.
        DiskError: if ``<results>/wandb`` cannot be written.
        FileNotFoundError: if no study has records, or a sampler or optimiser asked for has none.
        UserError: if another export into these results is under way.
        ValueError: for an unknown mode.
    """
    check_mode(mode)
    if mode == "disabled":
        return 0
    recorded = records.recorded(protocol=protocol, task=task, results=results)
    keys = _chosen(recorded, samplers=samplers, optimizers=optimizers, where=f"{task} under {protocol}")
    feeds = {} if feeds is None else feeds
    directory = Path(results) / "wandb"
    with _ledger(directory / f"exported-{mode}.txt") as (exported, ledger):
        todo = [
            (trial, line)
            for key in keys
            for trial in _trials(key, results, feeds)
            # With the time it finished, so that a study that was deleted and run again is exported again.
            if (line := f"{entity or ''}/{project}/{trial.run_id} {trial.row['finished']}") not in exported
        ]
        offline_runs = _offline_runs(directory) if mode == "offline" else {}
        owners = _Owners(exported)
        report = progress or (lambda _done, _total: None)
        report(0, len(todo))
        for done, (trial, line) in enumerate(todo, start=1):
            for path in offline_runs.get(trial.run_id, ()):
                if owners.makes_way(path, line.rpartition(" ")[0]):
                    shutil.rmtree(path)
            try:
                name = _mirror(trial, mode, project, entity, results)
            except ConnectionError as error:
                if done == 1:  # no account, no network
                    raise
                raise ConnectionError(
                    f"{error}; {done - 1} of {len(todo)} trials are exported, and the same command continues"
                ) from error
            with written(directory):
                ledger.write(f"{line}\t{name}\n")
                ledger.flush()
            report(done, len(todo))
    return len(todo)


def _chosen(
    recorded: Sequence[StudyKey], *, samplers: Iterable[str] | None, optimizers: Iterable[str] | None,
    where: str,
) -> list[StudyKey]:  # fmt: skip
    """The recorded studies with one of these samplers and one of these optimisers; see ``export``."""
    known = {"sampler": {key.sampler for key in recorded}, "optimizer": {key.optimizer for key in recorded}}
    asked = {"sampler": samplers or known["sampler"], "optimizer": optimizers or known["optimizer"]}
    wanted = {part: list(names) for part, names in asked.items()}
    missing = [name for part, names in wanted.items() for name in names if name not in known[part]]
    chosen = [key for key in recorded if all(getattr(key, part) in names for part, names in wanted.items())]
    if missing or not chosen:
        there = ", ".join(f"{key.optimizer} ({key.sampler})" for key in recorded)
        of = f"{', '.join(missing)} of {where}" if missing else where
        raise FileNotFoundError(f"no records of {of}; there are: {there or 'none'}")
    return chosen


def _trials(key: StudyKey, results: str | Path, feeds: dict[StudyKey, RecordFeed]) -> Iterator[_Trial]:
    study = feeds.setdefault(key, RecordFeed(RecordStore(key.directory(results)))).news()
    if study.trials.empty:
        return
    curves = dict(iter(study.curves.groupby("trial")))
    nothing = study.curves.iloc[:0]  # of a trial that failed before its first epoch
    for row in study.trials.to_dict("records"):
        yield _Trial({str(name): value for name, value in row.items()}, curves.get(row["trial"], nothing))


def _mirror(trial: _Trial, mode: Mode, project: str, entity: str | None, results: str | Path) -> str:
    """Mirrors a trial; returns the name of its run's directory."""
    row = trial.row
    config = {name: value for name, value in row.items() if name not in OUTCOME}
    # Nested, so that W&B can filter and group by a version or a setting.
    config |= {name: json.loads(row[name]) for name in NESTED}
    run = start(
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
    with answered():
        for epoch, *values in zip(trial.curve["epoch"].tolist(), *columns.values(), strict=True):
            metrics = history(dict(zip(map(str, columns), values, strict=True)))
            run.log(metrics, step=epoch, commit=True)
        run.summary.update(metrics | {name: row[name] for name in OUTCOME})
        run.finish()
    return Path(run.dir).parent.name


class _Owners:
    """Looks up in the ledger which run an offline directory holds.

    Args:
        exported: the directory of each line of the ledger; empty if a version that did not name directories
            wrote the line.
    """

    def __init__(self, exported: Mapping[str, str]) -> None:
        runs = [(line.rpartition(" ")[0], name) for line, name in exported.items()]
        self._runs = {name: run for run, name in runs}
        self._unnamed = {run.rpartition("/")[2] for run, name in runs if not name}

    def makes_way(self, path: Path, run: str) -> bool:
        """Whether an export of ``run`` (entity/project/id) takes the place of a directory with this id.

        It does if the directory is an earlier one of the same run, or if the ledger does not name it, because
        a killed export left it. The runs of other projects stay.
        """
        owner = self._runs.get(path.name)
        return owner == run or (owner is None and run.rpartition("/")[2] not in self._unnamed)


def _offline_runs(directory: Path) -> dict[str, list[Path]]:
    """Directories of offline runs by run id."""
    runs: dict[str, list[Path]] = {}
    for path in directory.glob("offline-run-*"):
        if match := re.fullmatch(r"offline-run-\d+_\d+-(.+)", path.name):
            runs.setdefault(match[1], []).append(path)
    return runs


@contextmanager
def _ledger(path: Path) -> Iterator[tuple[dict[str, str], IO[str]]]:
    """Yields what is exported and in which directory, and the file, locked and open to append whole lines."""
    import fcntl  # here, so that the entry points can say that Windows does not have it

    with written(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+", encoding="utf-8")
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(f"another export is under way: it holds {path}") from error
        file.seek(0)
        text = file.read()
        if text and not text.endswith("\n"):
            # A last line that a crash has torn counts as missing.
            text = text[: text.rfind("\n") + 1]
            file.truncate(len(text.encode()))
        yield {line: name for line, _, name in (each.partition("\t") for each in text.splitlines())}, file
