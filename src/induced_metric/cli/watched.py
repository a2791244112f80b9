"""The progress of all studies of a results directory, from their records and storages.

This module locks and writes nothing, so it can be used at any time, from any machine that sees the results.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from induced_metric.cli.storages import database_url, file_of
from induced_metric.cli.units import duration, number, rate

if TYPE_CHECKING:
    import pandas as pd
    import rich.table

    from induced_metric.records import StudyKey
    from induced_metric.studies.watching import Coordinated


class Watched:
    """The studies of a results directory, for repeated looks; each look reads only the new records.

    Args:
        results: the results directory.
        task: watch only the studies of this task.
        protocol: watch only the studies under this protocol.
        storage: where to look for trials under way: in the database (``postgresql``) or in the journals.
        url_file: a file with the URL of the database; by default the URL is taken from the environment.
    """

    def __init__(
        self, results: Path, *, task: str | None = None, protocol: str | None = None,
        storage: Literal["journal", "postgresql"] = "journal", url_file: str | None = None,
    ) -> None:  # fmt: skip
        from induced_metric.records import RecordFeed

        self._results, self._task, self._protocol = results, task, protocol
        self._url = database_url(url_file) if storage == "postgresql" else None
        self._feeds: dict[StudyKey, RecordFeed] = {}
        self._trials: dict[StudyKey, pd.DataFrame] = {}

    def look(self, now: float) -> dict[str, Any]:
        """The progress of the studies, as the JSON object that ``status --json`` prints.

        Args:
            now: seconds since 1970.
        """
        from induced_metric import records

        keys = records.begun(protocol=self._protocol, task=self._task, results=self._results)
        # Read before the records, so that a trial that ends in between is found there and not missed.
        coordinated = self._coordinated(keys)
        for key in keys:
            self._read(key)
        studies = [self._study(key, coordinated[key], now) for key in keys]
        return {"results": str(self._results), "time": now, "studies": studies, "workers": _workers(studies)}

    def _coordinated(self, keys: "Sequence[StudyKey]") -> "dict[StudyKey, Coordinated]":
        from induced_metric.studies.watching import in_database, in_journal

        by_name = in_database(self._url, [key.name for key in keys]) if self._url else {}
        # A study that is not in the database may have been run by a single process with a journal.
        return {
            key: by_name.get(key.name) or in_journal(file_of(key, self._results, "journal")) for key in keys
        }

    def _read(self, key: "StudyKey") -> None:
        import pandas as pd

        from induced_metric.records import RecordFeed, RecordStore

        if key not in self._feeds:
            self._feeds[key] = RecordFeed(RecordStore(key.directory(self._results)))
            self._trials[key] = pd.DataFrame()
        if not (news := self._feeds[key].news().trials).empty:
            before = self._trials[key]
            if not before.empty:  # a failed trial may have been run again
                before = before[~before["trial"].isin(news["trial"])]
            self._trials[key] = pd.concat([before, news], ignore_index=True)

    def _study(self, key: "StudyKey", coordinated: "Coordinated", now: float) -> dict[str, Any]:
        import pandas as pd

        from induced_metric.analysis.progress.status import recorded_status

        same_lanes = [
            trials
            for other, trials in self._trials.items()
            if other._replace(sampler=_alone(other)) == key._replace(sampler=_alone(key)) and not trials.empty
        ]
        trials = self._trials[key]
        status = recorded_status(
            trials, now=now, beside=pd.concat(same_lanes, ignore_index=True) if same_lanes else None
        )
        recorded = set() if trials.empty else set(trials["trial"])
        wanted = coordinated.trials
        left = None if wanted is None else max(wanted - status.finished, 0)
        speed = None if left == 0 else status.trials_per_second
        under_way = [each._asdict() for each in coordinated.under_way if each.trial not in recorded]
        lost = [trial for trial in coordinated.lost if trial not in recorded]
        return {
            **key._asdict(),
            "name": key.name,
            "wanted": wanted,
            **asdict(status),
            "reclaimed": status.reclaimed + len(lost),
            "trials_per_second": speed,
            "seconds_left": left / speed if left is not None and speed else 0.0 if left == 0 else None,
            "under_way": under_way,
        }


def _alone(key: "StudyKey") -> str:
    """The sampler without the seed: studies that differ only in the seed share the lanes."""
    return re.sub(r"-seed\d+", "", key.sampler)


def _workers(studies: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What each worker has done and is doing, summed over all studies."""
    totals: dict[str, dict[str, Any]] = {}

    def of(name: str) -> dict[str, Any]:
        nothing = {"finished": 0, "reclaimed": 0, "failed": 0, "under_way": 0}
        unseen = {"heartbeat_seconds": None, "last_finished": None}
        return totals.setdefault(name, {"worker": name, **nothing, **unseen})

    for study in studies:
        for part in study["workers"]:
            total = of(part["worker"])
            for count in ("finished", "reclaimed", "failed"):
                total[count] += part[count]
            total["last_finished"] = max(total["last_finished"] or 0.0, part["last_finished"])
        for trial in study["under_way"]:
            total = of(trial["worker"] or "")
            total["under_way"] += 1
            ages = [total["heartbeat_seconds"], trial["heartbeat_seconds"]]
            total["heartbeat_seconds"] = min((age for age in ages if age is not None), default=None)
    return [totals[name] for name in sorted(totals)]


def tables(said: Mapping[str, Any]) -> "list[rich.table.Table | str]":
    """The result of ``Watched.look`` as tables for people."""
    if not said["studies"]:
        return [f"no study in {said['results']}"]
    now = said["time"]
    shown: list[rich.table.Table | str] = [_table([_study_cells(study, now) for study in said["studies"]])]
    if any(each["worker"] for each in said["workers"]):
        shown.append(_table([_worker_cells(each, now) for each in said["workers"]]))
    return shown


def _table(rows: Sequence[Mapping[str, str]]) -> "rich.table.Table":
    """A table without its empty columns."""
    from rich.table import Column, Table

    headings = [heading for heading in rows[0] if any(row[heading] for row in rows)]
    name, *numbers = headings
    table = Table(Column(name, overflow="fold"), *numbers)
    for row in rows:
        table.add_row(*(row[heading] for heading in headings))
    return table


def _study_cells(study: Mapping[str, Any], now: float) -> dict[str, str]:
    wanted, left = study["wanted"], study["seconds_left"]
    return {
        "study": study["name"],
        "finished": f"{study['finished']}/{wanted}" if wanted is not None else str(study["finished"]),
        "under way": str(len(study["under_way"]) or ""),
        "best": number(study["best"]),
        **{count: str(study[count] or "") for count in ("pruned", "diverged", "failed", "reclaimed")},
        "occupancy": "" if study["occupancy"] is None else f"{study['occupancy']:.1%}",
        "speed": rate(study["trials_per_second"] or 0.0),
        "time left": duration(left) if left else "",
        "last finished": _ago(study["last_finished"], now),
    }


def _worker_cells(worker: Mapping[str, Any], now: float) -> dict[str, str]:
    heartbeat = worker["heartbeat_seconds"]
    return {
        "worker": worker["worker"],
        "finished": str(worker["finished"]),
        "under way": str(worker["under_way"] or ""),
        **{count: str(worker[count] or "") for count in ("reclaimed", "failed")},
        "last heartbeat": "" if heartbeat is None else f"{duration(heartbeat)} ago",
        "last finished": _ago(worker["last_finished"], now),
    }


def _ago(at: float | None, now: float) -> str:
    return "" if at is None else f"{duration(max(now - at, 0.0))} ago"
