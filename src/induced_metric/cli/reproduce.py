"""``induced-metric reproduce``: reruns a published study from scratch and compares it with its records."""

import argparse
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from induced_metric.errors import UserError

if TYPE_CHECKING:
    from induced_metric.records import StudyKey

ALL = "all"
_NAMES = Path("sweeps", "published")
_SAME_LANDSCAPES = ("grid", "nudged", "paths", "fair_runs", "fair_chosen")


def arguments(command: argparse.ArgumentParser) -> None:
    """Adds the options of the command."""
    command.add_argument("--study", help=f"its name, or {ALL}: every recorded one (default: list them)")
    command.add_argument(
        "--results", type=Path, default=Path("results/reproduced"), help="directory to run it in"
    )
    command.add_argument(
        "--against", type=Path, default=Path("results/published"), help="the published records"
    )
    command.add_argument("--trials", type=int, help="only the first n trials of every search, as a quick try")
    command.add_argument(
        "--names", type=Path, default=_NAMES, help=f"the files that define the studies (default: {_NAMES})"
    )


@dataclass(frozen=True, kw_only=True)
class Published:
    """A published study.

    Attributes:
        name: its name.
        about: what it is, in one line.
        recorded: whether its records are committed.
        sweeps: settings of ``induced-metric sweep``, to be run one after the other.
        landscapes: steps of ``induced-metric landscapes``.
        device_seconds: its measured or estimated cost, summed over all devices; None if it was not measured.
        devices: the devices of that cost.
    """

    name: str
    about: str
    recorded: bool
    sweeps: Sequence[Mapping[str, Any]]
    landscapes: Sequence[str]
    device_seconds: float | None
    devices: str

    @classmethod
    def read(cls, path: Path) -> "Published":
        """Reads ``sweeps/published/<name>.yaml``."""
        from omegaconf import OmegaConf

        content: Any = OmegaConf.to_container(OmegaConf.load(path))
        return cls(
            name=path.stem,
            about=content["about"],
            recorded=content["recorded"],
            sweeps=content.get("sweeps", []),
            landscapes=content.get("landscapes", []),
            **content["cost"],
        )

    def commands(self, results: Path, trials: int | None = None) -> list[list[str]]:
        """The commands that run it, as the words after ``induced-metric``.

        Args:
            results: the results directory.
            trials: run only this many trials of each search, and no confirmation, which needs a whole search.
        """
        lines = []
        for sweep in self.sweeps:
            if trials is not None and "sampler.of" in sweep:
                continue
            settings = dict(sweep) | ({} if trials is None else {"trials": min(trials, sweep["trials"])})
            lines.append(["sweep", *(words(settings)), f"results={results}"])
        if self.landscapes:
            lines.append(["landscapes", f"steps=[{','.join(self.landscapes)}]", f"results={results}"])
        return lines

    def studies(self) -> "list[StudyKey]":
        """The studies that it runs."""
        return [key for sweep in self.sweeps for key in study_keys(sweep)]


def words(settings: Mapping[str, Any]) -> list[str]:
    """Settings as words of a command line."""
    return [
        f"{name}={','.join(value) if isinstance(value, list) else value}" for name, value in settings.items()
    ]


def published(names: Path) -> dict[str, Published]:
    """All published studies by name.

    Raises:
        UserError: if there are none: they are files in the repository.
    """
    studies = {path.stem: Published.read(path) for path in sorted(names.glob("*.yaml"))}
    if not studies:
        raise UserError(f"no published studies under {names}: run this in a copy of the repository")
    return studies


def study_keys(sweep: Mapping[str, Any]) -> "list[StudyKey]":
    """The studies of a sweep, optimiser by optimiser."""
    from induced_metric.cli import protocols
    from induced_metric.cli.composing import compose

    keys: list[StudyKey] = []
    for optimizer in sweep["optimizer"]:
        keys += protocols.study_keys(compose(words({**sweep, "optimizer": optimizer})))
    return keys


def run(study: str | None, results: Path, against: Path, trials: int | None, names: Path) -> None:
    """Runs a study by name, or all studies on record, and compares them; without a name, lists all studies.

    Raises:
        UserError: for an unknown name, or a number of trials below 1.
        SystemExit: with the exit code of a sweep that failed.
    """
    studies = published(names)
    if study is None:
        print(listed(studies.values()))
        return
    if trials is not None and trials < 1:
        raise UserError(f"trials must be >= 1, got {trials}")
    if study != ALL and study not in studies:
        raise UserError(f"study must be {ALL} or one of {', '.join(studies)}, got {study}")
    for each in [studies[study]] if study != ALL else [each for each in studies.values() if each.recorded]:
        reproduce(each, results, against, trials)


def reproduce(study: Published, results: Path, against: Path, trials: int | None) -> None:
    """Runs a study, or what is left of it, and prints how it compares with the committed records.

    Raises:
        SystemExit: with the exit code of a sweep that failed.
    """
    print(f"{study.name}: {study.about}; {cost(study)}", flush=True)
    for command in study.commands(results, trials):
        print(f"induced-metric {' '.join(command)}", flush=True)
        if code := _run(command):
            sys.exit(code)
    if study.sweeps:
        _compare_studies(study, results, against)
    if study.landscapes:
        print(_compared_landscapes(results / "landscapes", against / "landscapes"))


def _run(command: Sequence[str]) -> int:
    """Runs one of our commands in its own process and returns the exit code.

    Ctrl-C reaches that process too, which finishes the epochs under way: this one waits for it to end.
    """
    from induced_metric.cli import entry, supervisor

    # What a shell made us ignore stays ignored: the process inherits that, but not a handler.
    heard = [] if signal.getsignal(signal.SIGINT) is signal.SIG_IGN else [signal.SIGINT]
    with supervisor.noted(*heard) as came:
        code = subprocess.run([sys.executable, "-m", "induced_metric", *command], check=False).returncode
    return entry.INTERRUPTED if came else code


def _compare_studies(study: Published, results: Path, against: Path) -> None:
    from induced_metric.analysis.replays.reproduced import compared, reproduced_table
    from induced_metric.cli import views
    from induced_metric.records import RecordStore

    comparisons = {}
    for key in study.studies():
        rerun, committed = (RecordStore(key.directory(place)).read() for place in (results, against))
        if len(rerun.trials) and len(committed.trials):
            comparisons[key] = compared(key, rerun, committed)
    if not comparisons:
        print(f"no records of {study.name} under {against}: there is nothing to compare with")
        return
    table = reproduced_table(study.name, comparisons)
    views.say_table(views.console(width=200), table)
    table.write(results / "tables" / f"reproduced-{study.name}")


def _compared_landscapes(ours: Path, theirs: Path) -> str:
    """Says how many rows of each table of the landscapes are identical."""
    import pandas as pd

    lines = []
    for name in _SAME_LANDSCAPES:
        paths = [directory / f"{name}.parquet" for directory in (ours, theirs)]
        if not all(path.exists() for path in paths):
            continue
        rerun, committed = map(pd.read_parquet, paths)
        if rerun.shape != committed.shape or list(rerun) != list(committed):
            lines.append(f"{name}: {len(rerun)} rows, {len(committed)} committed; columns or numbers differ")
            continue
        same = ((rerun == committed) | (rerun.isna() & committed.isna())).all(axis=1)
        lines.append(f"{name}: {int(same.sum())} of {len(same)} rows bit-identical")
    return "\n".join(lines)


def listed(studies: Sequence[Published] | Any) -> str:
    """All studies, one per line: name, cost and description."""
    rows = [(each.name, cost(each), each.about) for each in studies]
    width = [max(len(row[column]) for row in rows) for column in (0, 1)]
    return "\n".join(f"{name:<{width[0]}}  {price:<{width[1]}}  {about}" for name, price, about in rows)


def cost(study: Published) -> str:
    """About how long it takes on this machine's cores, judging by its measured or estimated cost."""
    from induced_metric import xla
    from induced_metric.cli.units import in_words

    if study.device_seconds is None:
        return "cost not measured"
    about = in_words(study.device_seconds / xla.cores())
    origin = "measured" if study.recorded else "not on record, estimated"
    return f"about {about} on {xla.cores()} such cores ({origin} on {study.devices})"
