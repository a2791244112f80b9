"""Where each number comes from: the records, what made them, and the commands that make them again."""

import json
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any
from urllib.parse import quote

import pandas as pd

from induced_metric.analysis import draws, statistics, style
from induced_metric.analysis.report.markup import scrolled
from induced_metric.analysis.report.part import Part
from induced_metric.records import CONFIRMED, FIXED, Records, StudyKey, removed


def rests_on(part: Part, samplers: Iterable[str]) -> str:
    """A line with a link to the records of each sampler."""
    links = ", ".join(f'<a href="#{anchor(part, name)}">{escape(name)}</a>' for name in samplers)
    return f'<p class="note">Based on the records of {links}.</p>'


def anchor(part: Part, sampler: str) -> str:
    """The anchor of a sampler's row in the table of the records."""
    return escape(f"{part.name}-records-{sampler}")


def records_table(part: Part) -> str:
    """A row for each sampler: trials, how they ended, what made them, and the files."""
    head = (
        "Sampler",
        "Trials",
        "Not complete",
        "Commit",
        "Device",
        "Libraries and flags",
        "Finished (UTC)",
        "Files",
    )
    rows = (
        f'<tr id="{anchor(part, sampler)}"><th scope="row">{escape(sampler)}</th>'
        + "".join(f"<td>{cell}</td>" for cell in _cells(part, sampler, study))
        + "</tr>"
        for sampler, study in part.studies.items()
    )
    return scrolled("Records", [(name, "") for name in head], rows)


def _cells(part: Part, sampler: str, study: Records) -> list[str]:
    trials = study.trials
    counts = statistics.counts(trials).drop(columns="complete").sum()
    numbers = trials.groupby("optimizer", sort=False).size()
    facts = [json.loads(text) for text in trials["provenance"].unique()]
    finished = trials["finished"].str.slice(0, 16)
    return [
        f"{style.span(numbers)} for each of {len(numbers)} optimiser{'s' * (len(numbers) > 1)}",
        ", ".join(f"{count} {kind}" for kind, count in counts[counts > 0].items()) or "none",
        _joined(map(_commit, facts)),
        _joined(map(_device, facts)),
        _joined(map(_versions, facts)),
        escape(f"{finished.min()} to {finished.max()}").replace("T", " "),
        ", ".join(_link(part, sampler, str(name)) for name in numbers.index),
    ]


def _joined(texts: Iterable[str]) -> str:
    return "<br>".join(dict.fromkeys(texts))


def _commit(facts: Mapping[str, Any]) -> str:
    commit, version = facts.get("commit"), facts.get("version")
    where = f"<code>{escape(str(commit)[:12])}</code>" if commit else f"version {escape(str(version))}"
    return f"{where}{', with uncommitted changes' if facts.get('dirty') else ''}"


def _device(facts: Mapping[str, Any]) -> str:
    lanes = facts.get("lanes") or {}
    layout = (
        f", lanes {lanes['layout']}ped, {lanes['width']} wide" if {"layout", "width"} <= set(lanes) else ""
    )
    return escape(f"{facts.get('devices', 1)} × {facts.get('device', 'not recorded')}{layout}")


def _versions(facts: Mapping[str, Any]) -> str:
    named = {"python": facts.get("python"), **facts.get("versions", {})}
    text = ", ".join(f"{name} {version}" for name, version in named.items() if version)
    flags = facts.get("xla_flags")
    return (
        f"<small>{escape(text)}</small>{f'<br><small><code>{escape(flags)}</code></small>' if flags else ''}"
    )


def _link(part: Part, sampler: str, optimizer: str) -> str:
    directory = StudyKey(part.protocol, part.task, sampler, optimizer).directory(part.results)
    trials = directory / "trials.parquet"
    target = (trials if trials.exists() else directory).relative_to(part.results).as_posix()
    return f'<a href="{quote(target)}">{escape(optimizer)}</a>'


def commands(part: Part) -> str:
    """The commands that make the records again, and from them the tables and figures."""
    runs = [_sweep(part, family, studies) for family, studies in draws.families(part.searches).items()]
    repeats = {
        name: study for name, study in part.repeats.items() if name == FIXED or name.endswith(CONFIRMED)
    }
    for family, studies in draws.families(repeats).items():
        runs.append(_sweep(part, family, studies))
    for without in sorted({name for sampler in part.repeats if (name := removed(sampler))}):
        reduced = {name: study for name, study in part.repeats.items() if removed(name) == without}
        for family, studies in draws.families(reduced).items():
            runs.append(_sweep(part, family, studies, without))
    about = f"TASK={part.task} PROTOCOL={part.protocol}"
    make_commands = [f"make {kind} {about} RESULTS=<this directory>" for kind in ("tables", "figures")]
    example = next(iter(part.studies.values())).trials.iloc[0]
    study = "/".join(StudyKey(part.protocol, part.task, example["sampler"], example["optimizer"]))
    return (
        "<p>These commands make the records again, bit for bit on the same platform with the same versions. "
        "Add another <code>results=</code> to make them from scratch and keep these as they are:</p>"
        f"<pre>{escape(chr(10).join(runs))}</pre>"
        f"<p>These make the tables, the figures and this page from the records:</p>"
        f"<pre>{escape(chr(10).join([*make_commands, 'make report RESULTS=<this directory>']))}</pre>"
        "<p>This runs one trial and compares it with its record. Point at a dot of a chart to see the "
        "number of its trial. For example:</p>"
        f"<pre>make trial STUDY={escape(study)} TRIAL={example['trial']} RESULTS=&lt;this directory&gt;</pre>"
    )


def _sweep(part: Part, family: str, studies: Mapping[str, Records], without: str | None = None) -> str:
    trials = pd.concat([study.trials for study in studies.values()])
    sampler, _, pruner = family.partition("+")
    optimizers = ",".join(dict.fromkeys(trials["optimizer"]))
    number = max(int(study.trials.groupby("optimizer").size().max()) for study in studies.values())
    words = [f"protocol={part.protocol}", f"task={part.task}", f"optimizer={optimizers}"]
    seed = _first_seed(trials)
    if without or any(name.endswith(CONFIRMED) for name in studies):
        words += ["sampler=confirmed", f"sampler.of={sampler}"]
        words += [f"sampler.seed={seed}"] if seed is not None else []
        searched = part.searches.get(family)
        seed = None
        if searched is not None:
            words.append(f"sampler.searched={int(searched.trials.groupby('optimizer').size().max())}")
            seed = _first_seed(searched.trials)
    else:
        words.append(f"sampler={sampler}")
    words += [f"sampler.without={without}"] if without else []
    words += [f"pruner={pruner}"] if pruner else []
    words += [f"studies={len(studies)}"] if len(studies) > 1 else []
    words += [f"seed={seed}"] if seed is not None else []
    return f"python sweeps/sweep.py {' '.join(words)} trials={number}"


def _first_seed(trials: pd.DataFrame) -> int | None:
    """The seed of the first study; None if it is not on record."""
    seeds = [config["seed"] for text in trials["config"].unique() if "seed" in (config := json.loads(text))]
    return min(seeds) if seeds else None
