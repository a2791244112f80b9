"""``induced-metric verify``: trains a random share of all recorded trials again, study by study."""

import argparse
import json
import math
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from induced_metric.cli import arguments as common
from induced_metric.cli.again import Checked, Group, train_again
from induced_metric.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

    from induced_metric.records import Records, StudyKey

_COMPILE_SECONDS = 4  # the approximate time to compile a program, once; it is then cached


def arguments(command: argparse.ArgumentParser) -> None:
    """Adds the options of the command."""
    common.results(command)
    command.add_argument("--share", type=float, help="of each study's trials, at least one (default: 0.01)")
    command.add_argument("--seed", type=int, help="of the draw (default: 0)")
    command.add_argument("--task", help="only the studies of this task")
    command.add_argument("--study", help="only this study: protocol/task/sampler/optimizer")
    command.add_argument(
        "--deterministic", action="store_true",
        help="draw only trials of deterministic=true (default: only the others, if there are any)",
    )  # fmt: skip
    command.add_argument(
        "--plan", action="store_true", help="only show which trials it would train, and for how long"
    )


def run(
    results: Path, share: float | None, seed: int | None, task: str | None, study: str | None,
    deterministic: bool, plan: bool,
) -> None:  # fmt: skip
    """Draws trials, trains them again and prints one row per study; exit code 1 if any trial is outside.

    XLA's flags hold for a whole process, so trials with and without ``deterministic=true`` are not mixed.

    Raises:
        UserError: if there is nothing to draw from, or a drawn trial cannot be trained here.
    """
    from induced_metric.cli import app, recorded

    by_study = trained(results, task=task, study=study)
    exact, others = parted(by_study)
    if deterministic and not exact:
        raise UserError(f"no matching record under {results} was made with deterministic=true")
    deterministic = deterministic or not others
    flags = recorded.start_jax(deterministic=deterministic)  # before anything imports JAX
    chosen = recorded.verify_settings()
    share = chosen.share if share is None else share
    seed = chosen.seed if seed is None else seed
    drawn = draw(exact if deterministic else others, share=share, seed=seed)
    groups = together(drawn)
    trials = sum(map(len, groups.values()))
    print(app.device())
    if exact and not deterministic:
        omitted = sum(len(study.trials) for study in exact.values())
        print(f"left out: {omitted} trials of deterministic=true, which --deterministic draws from")
    print(expected(groups, share, seed), flush=True)
    if plan:
        for key, (rows, _) in drawn.items():
            print(f"  {'/'.join(key)}: trials {', '.join(map(str, rows['trial']))}")
        return
    started, checked = time.monotonic(), []
    for group in groups.values():
        for each in train_again(group, flags):
            checked.append(each)
            print(
                f"{len(checked)}/{trials}  {'/'.join(each.key)} trial {each.trial}: {said(each)}", flush=True
            )
    print(f"\n{table(checked)}")
    print(f"\n{conclusion(checked, time.monotonic() - started)}")
    if any(each.verdict == "outside" for each in checked):
        sys.exit(1)


def trained(results: Path, *, task: str | None, study: str | None) -> "dict[StudyKey, Records]":
    """The records of all trials that have a curve to compare, that is, did not fail, by study.

    Raises:
        UserError: if there are none.
    """
    from induced_metric import records
    from induced_metric.cli.recorded import study_key

    keys = [study_key(study, results)] if study else records.recorded(task=task, results=results)
    if task:
        keys = [key for key in keys if key.task == task]
    by_study = {key: records.RecordStore(key.directory(results)).read() for key in keys}
    comparable = {key: _only(study, study.trials["state"] != "failed") for key, study in by_study.items()}
    matching = {key: study for key, study in comparable.items() if len(study.trials)}
    if not matching:
        tasks = sorted({key.task for key in records.recorded(results=results)})
        raise UserError(
            f"no records{f' of {task}' if task else ''} under {results}; there are records of: "
            f"{', '.join(tasks) or 'no task'}"
        )
    return matching


def parted(read: "Mapping[StudyKey, Records]") -> "tuple[dict[StudyKey, Records], dict[StudyKey, Records]]":
    """The records of deterministic trials, and those of the others."""
    from induced_metric.cli.recorded import deterministic

    exact: dict[StudyKey, Records] = {}
    others: dict[StudyKey, Records] = {}
    for key, study in read.items():
        rows = study.trials["provenance"].map(deterministic)
        for part, of in ((exact, rows), (others, ~rows)):
            if of.any():
                part[key] = _only(study, of)
    return exact, others


def draw(read: "Mapping[StudyKey, Records]", *, share: float, seed: int) -> "dict[StudyKey, Records]":
    """The records of the trials that are drawn, by study."""
    from induced_metric.studies import verify

    numbers = {key: sorted(study.trials["trial"]) for key, study in read.items()}
    drawn = verify.draw(numbers, share=share, seed=seed)
    return {key: _only(read[key], read[key].trials["trial"].isin(chosen)) for key, chosen in drawn.items()}


def _only(study: "Records", rows: "pd.Series") -> "Records":
    """The records of some of the trials of a study."""
    trials = study.trials[rows]
    return study._replace(trials=trials, curves=study.curves[study.curves["trial"].isin(trials["trial"])])


def together(drawn: "Mapping[StudyKey, Records]") -> dict[str, Group]:
    """Groups trials that one program can train: same task, optimiser and schedule, from any study."""
    from induced_metric.studies.verify import curve_of

    groups: dict[str, Group] = {}
    for key, study in drawn.items():
        for row in study.trials.to_dict("records"):
            config = json.loads(row["config"])
            facts = json.loads(row["provenance"])
            fixed = facts.get("lanes") if facts.get("deterministic") else None
            lanes = fixed and [fixed.get(name) for name in ("layout", "width", "steps")]  # used again
            program = [config.get(part) for part in ("task", "optimizer", "schedule", "search_space")]
            curve = curve_of(study, row["trial"])
            parts = [program, facts.get("data_parallel") or 1, lanes, row["objective"]]
            groups.setdefault(json.dumps(parts), []).append((key, row, curve))
    return groups


def expected(groups: Mapping[str, Group], share: float, seed: int) -> str:
    """Says what will be trained, and about how long it takes, judging by the recorded seconds."""
    from induced_metric import xla
    from induced_metric.cli.units import duration

    rows = [row for group in groups.values() for _, row, _ in group]
    studies = len({key for group in groups.values() for key, _, _ in group})
    seconds = sum(row["seconds"] for row in rows) / xla.cores()
    about = duration(seconds + _COMPILE_SECONDS * len(groups))
    return (
        f"{len(rows)} trials of {studies} studies (a share of {share:g} of each, drawn with seed {seed}), in "
        f"{len(groups)} programs: about {about}, judging by their recorded times"
    )


def said(each: Checked) -> str:
    """The result for a trial, in a few words."""
    if each.found.identical:
        return "identical"
    found = each.found
    value = "only one of the two diverged" if math.isnan(found.value) else f"best value {found.value:.2g}"
    return f"{each.verdict} ({found.same} epochs identical; differences: early {found.early:.2g}, {value})"


def table(checked: Sequence[Checked]) -> str:
    """One row per study: its trials, and how many are identical, within or outside the tolerance."""
    import pandas as pd

    verdicts = ("identical", "within", "outside")
    frame = pd.DataFrame([{"study": "/".join(each.key), "verdict": each.verdict} for each in checked])
    counts = pd.crosstab(frame["study"], frame["verdict"]).reindex(columns=verdicts, fill_value=0)
    counts.insert(0, "trials", counts.sum(axis=1))
    counts.loc["all"] = counts.sum()
    return str(counts.rename_axis(columns=None).to_string())


def conclusion(checked: Sequence[Checked], seconds: float) -> str:
    """The summary: the time, the changes with the tolerances that they allow, and the trials outside."""
    lines = [f"trained again in {seconds:.0f} s"]
    changes = sorted({change for each in checked for change in each.changes})
    if changes:
        lines.append(f"what differs from the records: {'; '.join(changes)}")
        for task in sorted({each.key.task for each in checked if each.changes}):
            tolerance = next(each.tolerance for each in checked if each.key.task == task)
            lines.append(f"tolerance of {task}: {tolerance}")
    if parted := sum(math.isnan(each.found.value) for each in checked):
        lines.append(f"diverged either only in the record or only when trained again: {parted}")
    outside = [each for each in checked if each.verdict == "outside"]
    for each in outside:
        lines.append(f"OUTSIDE: {'/'.join(each.key)} trial {each.trial}: {said(each)}")
    return "\n".join(lines)
