"""The records of a study as they come in, from any process."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from induced_metric.records.schema import Records
from induced_metric.records.store import RecordStore


class RecordFeed:
    """Hands out the records of a study in portions, each record once: a trial comes anew if it was run again.

    Args:
        store: the store of the records.
    """

    def __init__(self, store: RecordStore) -> None:
        self._store = store
        self._known: set[tuple[int, str]] = set()  # trials, each with the time it finished
        self._files: set[str] = set()
        self._version: object = None

    def skip(self, row: Mapping[str, Any]) -> None:
        """Leaves out a record that is known already, so that its file is not read."""
        self._known.add((int(row["trial"]), row["finished"]))
        self._files.add(self._store.file_of(row["trial"]).name)

    def news(self) -> Records:
        """The trials recorded since the last call; empty, without columns, if there are none."""
        pending = self._store.pending()
        version = self._store.version()
        new = [path for path in pending if path.name not in self._files]
        if not new and version == self._version:
            return Records(pd.DataFrame(), pd.DataFrame())
        # If the tables changed, they have taken in pending files, perhaps some that were never seen here.
        records = self._store.read(None if version != self._version else new)
        self._version, self._files = version, {path.name for path in pending}
        if records.trials.empty:
            return records
        recorded = [*zip(map(int, records.trials["trial"]), records.trials["finished"], strict=True)]
        news = {trial for trial, finished in recorded if (trial, finished) not in self._known}
        self._known.update(recorded)
        trials, curves = (frame[frame["trial"].isin(news)] for frame in records)
        return Records(trials, curves)
