"""Finds the studies that have records, and loads all records of a task at once."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from induced_metric.records.schema import CONFIRMED, FIXED, SINGLE, Records, StudyKey, removed, tidy
from induced_metric.records.store import RecordStore


def _subdirectories(path: Path) -> list[str]:
    return sorted(child.name for child in path.glob("*") if child.is_dir())


def tasks(*, protocol: str = "paper", results: str | Path = "results") -> list[str]:
    """The tasks that have records of a study, by name."""
    root = Path(results) / "records" / protocol
    return [name for name in _subdirectories(root) if samplers(name, protocol=protocol, results=results)]


def protocols(*, results: str | Path = "results") -> list[str]:
    """The protocols that have records of a task, by name."""
    return [
        name for name in _subdirectories(Path(results) / "records") if tasks(protocol=name, results=results)
    ]


def samplers(task: str, *, protocol: str = "paper", results: str | Path = "results") -> list[str]:
    """The samplers of a task's studies that have records, by name; not ``SINGLE``, which is no study's."""
    return [name for name in _samplers(task, protocol, results) if name != SINGLE]


def searches(task: str, *, protocol: str = "paper", results: str | Path = "results") -> list[str]:
    """Those of ``samplers`` that search; ``FIXED`` repeats one setting, so there is no best to compare."""
    names = samplers(task, protocol=protocol, results=results)
    return [name for name in names if name != FIXED and not (name.endswith(CONFIRMED) or removed(name))]


def confirmations(task: str, *, protocol: str = "paper", results: str | Path = "results") -> list[str]:
    """Those of ``samplers`` that confirm what a search chose: ``tpe-confirmed`` for ``tpe``."""
    return [name for name in samplers(task, protocol=protocol, results=results) if name.endswith(CONFIRMED)]


def ablations(task: str, *, protocol: str = "paper", results: str | Path = "results") -> list[str]:
    """Those of ``samplers`` that confirm a choice without a hyperparameter: ``tpe-confirmed-without_xi``."""
    return [name for name in samplers(task, protocol=protocol, results=results) if removed(name)]


def begun(
    *, protocol: str | None = None, task: str | None = None, results: str | Path = "results"
) -> list[StudyKey]:
    """Every study of a results directory, including those without a record yet, in alphabetical order.

    Args:
        protocol: if given, only the studies of this protocol.
        task: if given, only the studies of this task.
        results: the results directory.
    """
    # A process that works on a study locks it before there is anything to record.
    locked = Path(results, "studies").glob(f"{protocol or '*'}/{task or '*'}/*/*.lock")
    keys = {StudyKey(*path.with_suffix("").parts[-len(StudyKey._fields) :]) for path in locked}
    return sorted({*keys, *recorded(protocol=protocol, task=task, results=results)})


def recorded(
    *, protocol: str | None = None, task: str | None = None, results: str | Path = "results"
) -> list[StudyKey]:
    """Every study of a results directory that has records, in alphabetical order; see ``begun``."""
    paths = Path(results, "records").glob(f"{protocol or '*'}/{task or '*'}/*/*")
    keys = [StudyKey(*path.parts[-len(StudyKey._fields) :]) for path in paths if _has_records(path)]
    return sorted(key for key in keys if key.sampler != SINGLE)


def studies(
    task: str,
    *,
    protocol: str = "paper",
    sampler: str = "tpe",
    optimizers: Iterable[str] | None = None,
    results: str | Path = "results",
) -> list[str]:
    """The optimisers with records; if ``optimizers`` is given, those, in the given order.

    Raises:
        FileNotFoundError: if one that is asked for has no record, or none has; the message says which have.
    """
    root = StudyKey(protocol, task, sampler, "").directory(results)
    available = _recorded(root)
    wanted = available if optimizers is None else list(optimizers)
    missing = [name for name in wanted if name not in available]
    if missing or not wanted:
        others = _samplers(task, protocol, results)
        raise FileNotFoundError(
            f"no records of {', '.join(missing) or task} under {root};"
            f" there are: {', '.join(available) or 'none'}"
            f" (samplers with records: {', '.join(others) or 'none'})"
        )
    return wanted


def _samplers(task: str, protocol: str, results: str | Path) -> list[str]:
    root = Path(results) / "records" / protocol / task
    return [name for name in _subdirectories(root) if _recorded(root / name)]


def _recorded(root: Path) -> list[str]:
    """The optimisers below a sampler's directory that have at least one record."""
    return [name for name in _subdirectories(root) if _has_records(root / name)]


def _has_records(study: Path) -> bool:
    return (study / "trials.parquet").exists() or any((study / "pending").glob("*.parquet"))


def load(
    task: str,
    *,
    protocol: str = "paper",
    sampler: str = "tpe",
    optimizers: Iterable[str] | None = None,
    results: str | Path = "results",
) -> Records:
    """Loads the records of a task.

    Args:
        task: name of the task.
        protocol: name of the protocol.
        sampler: ``tpe``, ``random``, ``tpe+hyperband`` ...; ``single`` for the trials of no study.
        optimizers: which to load; all that have records by default.
        results: the results directory.

    Returns:
        Trials and curves of all studies, each with a column ``optimizer``.

    Raises:
        FileNotFoundError: if a study asked for has no record; the message says which exist.
    """
    names = studies(task, protocol=protocol, sampler=sampler, optimizers=optimizers, results=results)
    stores = {name: RecordStore(StudyKey(protocol, task, sampler, name).directory(results)) for name in names}
    read = [(name, store.read()) for name, store in stores.items()]
    return tidy(
        pd.concat([study.trials.assign(optimizer=name) for name, study in read], ignore_index=True),
        pd.concat([study.curves.assign(optimizer=name) for name, study in read], ignore_index=True),
    )
