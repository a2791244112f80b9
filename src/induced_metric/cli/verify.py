"""``induced-metric verify``: a random share of all recorded trials trained again, study by study."""

import argparse
import json
import math
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from induced_metric.errors import UserError

if TYPE_CHECKING:
    from induced_metric.lanes.engine import Curve
    from induced_metric.records import Records, StudyKey
    from induced_metric.studies.verify import Agreement, Tolerance

_COMPILE_SECONDS = 4  # about so long a program takes to compile, once; it is kept


def arguments(command: argparse.ArgumentParser) -> None:
    """What the command takes."""
    command.add_argument("--results", type=Path, default=Path("results"), help="default: results")
    command.add_argument("--share", type=float, help="of the trials of a study, at least one (default: 0.01)")
    command.add_argument("--seed", type=int, help="of the draw (default: 0)")
    command.add_argument("--task", help="of this task alone")
    command.add_argument("--study", help="this study alone: protocol/task/sampler/optimizer")
    command.add_argument(
        "--plan", action="store_true", help="only say which trials it would be, and how long it would take"
    )


class Checked(NamedTuple):
    """A trial trained again, and how it agrees.

    Attributes:
        key: of its study.
        trial: its number.
        found: how the two curves agree.
        changes: what is different here from what made the record.
        tolerance: that holds where something is.
    """

    key: "StudyKey"
    trial: int
    found: "Agreement"
    changes: Sequence[str]
    tolerance: "Tolerance"

    @property
    def verdict(self) -> str:
        """``identical``, ``within`` or ``outside``."""
        if self.found.identical:
            return "identical"
        return "within" if self.changes and self.found.within(self.tolerance) else "outside"


def run(
    results: Path, share: float | None, seed: int | None, task: str | None, study: str | None, plan: bool
) -> None:
    """Draws trials, trains them again, prints a row a study; exit code 1 if any lies outside.

    Raises:
        UserError: if there is nothing to draw from, or what is drawn cannot be trained here.
    """
    from induced_metric.cli import app, recorded

    flags = recorded.start_jax()  # before anything imports JAX
    chosen = recorded.verify_settings()
    share = chosen.share if share is None else share
    seed = chosen.seed if seed is None else seed
    drawn = draw(results, share=share, seed=seed, task=task, study=study)
    groups = together(drawn)
    trials = sum(map(len, groups.values()))
    print(app.device())
    print(expected(groups, share, seed), flush=True)
    if plan:
        for key, (rows, _) in drawn.items():
            print(f"  {'/'.join(key)}: trials {', '.join(map(str, rows['trial']))}")
        return
    started, checked = time.monotonic(), []
    for group in groups.values():
        for each in _train(group, flags):
            checked.append(each)
            print(
                f"{len(checked)}/{trials}  {'/'.join(each.key)} trial {each.trial}: {said(each)}", flush=True
            )
    print(f"\n{table(checked)}")
    print(f"\n{conclusion(checked, time.monotonic() - started)}")
    if any(each.verdict == "outside" for each in checked):
        sys.exit(1)


def draw(
    results: Path, *, share: float, seed: int, task: str | None, study: str | None
) -> "dict[StudyKey, Records]":
    """The records of the trials that are drawn, by study.

    Raises:
        UserError: if there is no study to draw from.
    """
    from induced_metric import records
    from induced_metric.cli.recorded import study_key
    from induced_metric.studies import verify

    keys = [study_key(study, results)] if study else records.recorded(task=task, results=results)
    if task:
        keys = [key for key in keys if key.task == task]
    read = {key: records.RecordStore(key.directory(results)).read() for key in keys}
    can = {key: sorted(study.trials.query("state != 'failed'")["trial"]) for key, study in read.items()}
    drawn = verify.draw({key: numbers for key, numbers in can.items() if numbers}, share=share, seed=seed)
    if not drawn:
        there = sorted({key.task for key in records.recorded(results=results)})
        raise UserError(
            f"no records{f' of {task}' if task else ''} under {results}; there are those of: "
            f"{', '.join(there) or 'no task'}"
        )
    return {
        key: records.Records(*(frame[frame["trial"].isin(numbers)] for frame in read[key]))
        for key, numbers in drawn.items()
    }


Group = list[tuple["StudyKey", Mapping[Any, Any], "Curve"]]  # study, row and curve of each trial


def together(drawn: "Mapping[StudyKey, Records]") -> dict[str, Group]:
    """The trials that one program trains: of the same task, optimizer and schedule, of whatever study."""
    from induced_metric.studies.verify import curve_of

    groups: dict[str, Group] = {}
    for key, study in drawn.items():
        for row in study.trials.to_dict("records"):
            config = json.loads(row["config"])
            shards = json.loads(row["provenance"]).get("data_parallel") or 1
            program = [config.get(part) for part in ("task", "optimizer", "schedule", "search_space")]
            own = curve_of(study, row["trial"])
            groups.setdefault(json.dumps([program, shards, row["objective"]]), []).append((key, row, own))
    return groups


def expected(groups: Mapping[str, Group], share: float, seed: int) -> str:
    """What will be trained, and about how long that takes by the seconds on record."""
    from induced_metric import xla
    from induced_metric.cli.units import duration

    rows = [row for group in groups.values() for _, row, _ in group]
    studies = len({key for group in groups.values() for key, _, _ in group})
    seconds = sum(row["seconds"] for row in rows) / xla.cores()
    about = duration(seconds + _COMPILE_SECONDS * len(groups))
    return (
        f"{len(rows)} trials of {studies} studies (a share of {share:g} of each, drawn with seed {seed}), in "
        f"{len(groups)} programs: about {about}, by what these trials took on record"
    )


def _train(group: Group, flags: str) -> Iterator[Checked]:
    from induced_metric.cli import recorded
    from induced_metric.studies import verify

    made = recorded.rebuilt(group[0][1])
    tolerance = recorded.verify_settings().of(group[0][0].task)
    agains = [verify.Again(row, curve, made.trial(row)) for _, row, curve in group]
    with made.lanes(len(agains)) as (lanes, placement):
        verify.train([again.trial for again in agains], lanes)
        now = made.pair.provenance(lanes, placement, flags)
    for (key, row, _), again in zip(group, agains, strict=True):
        changes = verify.changed(json.loads(row["provenance"]), now)
        yield Checked(key, int(row["trial"]), verify.agreement(again, tolerance.epochs), changes, tolerance)


def said(each: Checked) -> str:
    """What became of a trial, in a few words."""
    if each.found.identical:
        return "identical"
    found = each.found
    value = "one alone diverged" if math.isnan(found.value) else f"value {found.value:.2g}"
    return f"{each.verdict} ({found.same} epochs identical, first {found.early:.2g}, {value})"


def table(checked: Sequence[Checked]) -> str:
    """A row a study: its trials, how many are identical, within the tolerance, outside."""
    import pandas as pd

    verdicts = ("identical", "within", "outside")
    frame = pd.DataFrame([{"study": "/".join(each.key), "verdict": each.verdict} for each in checked])
    counts = pd.crosstab(frame["study"], frame["verdict"]).reindex(columns=verdicts, fill_value=0)
    counts.insert(0, "trials", counts.sum(axis=1))
    counts.loc["all"] = counts.sum()
    return str(counts.rename_axis(columns=None).to_string())


def conclusion(checked: Sequence[Checked], seconds: float) -> str:
    """What holds, under which tolerances, and what is different here."""
    lines = [f"trained again in {seconds:.0f} s"]
    changes = sorted({change for each in checked for change in each.changes})
    if changes:
        lines.append(f"made otherwise than the records: {'; '.join(changes)}")
        for task in sorted({each.key.task for each in checked if each.changes}):
            tolerance = next(each.tolerance for each in checked if each.key.task == task)
            lines.append(f"tolerance of {task}: {tolerance}")
    if parted := sum(math.isnan(each.found.value) for each in checked):
        lines.append(f"diverged in one alone, the record or again: {parted}")
    outside = [each for each in checked if each.verdict == "outside"]
    for each in outside:
        lines.append(f"OUTSIDE: {'/'.join(each.key)} trial {each.trial}: {said(each)}")
    return "\n".join(lines)
