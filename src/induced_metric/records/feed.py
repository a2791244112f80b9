"""The records of a study as they come in, from any process."""

import pandas as pd

from induced_metric.records.schema import Records
from induced_metric.records.store import RecordStore


class RecordFeed:
    """Hands out the records of a study in portions, each trial once.

    Args:
        store: the store of the records.
    """

    def __init__(self, store: RecordStore) -> None:
        self._store = store
        self._known: set[int] = set()
        self._files: set[str] = set()
        self._version: object = None

    def skip(self, trial: int) -> None:
        """Leaves out a trial that is known already, so that its file is not read."""
        self._known.add(trial)
        self._files.add(self._store.file_of(trial).name)

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
        trials, curves = (frame[~frame["trial"].isin(self._known)] for frame in records)
        self._known.update(map(int, trials["trial"]))
        return Records(trials, curves)
