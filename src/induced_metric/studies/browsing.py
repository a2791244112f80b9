"""The recorded studies as one Optuna storage, to be viewed with Optuna's tools.

The storage is built from the records. So it is the same wherever the studies are coordinated, its curves span
all epochs, and nothing that is done to it affects a study.
"""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.study import StudyDirection
from optuna.study.study import _SYSTEM_ATTR_METRIC_NAMES
from optuna.trial import FrozenTrial, TrialState, create_trial

from induced_metric import records
from induced_metric.records import RecordFeed, RecordStore, StudyKey
from induced_metric.space import Dimension, Float, dimensions
from induced_metric.studies.dimensions import distribution, recorded
from induced_metric.studies.storage import STATES

_POINTS = 40  # most points of a curve: a browser draws that many for every trial
_FACTS = ("seed", "epochs", "best_epoch", "seconds", "diverged")
_OF_A_TRIAL = ("worker", "lost", "failed")


class Browsed:
    """The studies of a results directory, kept up to date by ``refresh``.

    A trial without a record is shown as under way if a later one is recorded. A diverged trial is shown as
    failed, as Optuna does with a value that is not finite, and without its curve: otherwise its value, the
    worst that there is, and the values that led there would hide everything else in a figure.

    Args:
        results: the results directory.
        task: if given, only the studies of this task.
        protocol: if given, only the studies of this protocol.

    Attributes:
        storage: the Optuna storage, in memory.
    """

    def __init__(self, results: Path, *, task: str | None = None, protocol: str | None = None) -> None:
        self._results, self._task, self._protocol = results, task, protocol
        self._feeds: dict[StudyKey, RecordFeed] = {}
        self._ids: dict[StudyKey, list[int]] = {}  # trial ids in the storage, by number
        optuna.logging.set_verbosity(optuna.logging.WARNING)  # otherwise it logs a line per study
        self.storage = optuna.storages.InMemoryStorage()

    def refresh(self) -> int:
        """Adds the trials recorded since the last call; returns how many there are."""
        added = 0
        for key in records.begun(protocol=self._protocol, task=self._task, results=self._results):
            feed = self._feeds.setdefault(key, RecordFeed(RecordStore(key.directory(self._results))))
            trials, curves = feed.news()
            if trials.empty:
                continue
            rows: list[dict[str, Any]] = trials.to_dict("records")  # type: ignore[assignment]
            by_trial: dict[Any, Any] = dict(iter(curves.groupby("trial")))
            study = self._study(key, rows[0])
            for row in rows:
                self._add(study, self._ids[key], row, by_trial.get(row["trial"], {}))
            added += len(rows)
        return added

    def _study(self, key: StudyKey, row: Mapping[str, Any]) -> int:
        if key not in self._ids:
            direction = StudyDirection[row["direction"].upper()]
            study_id = self.storage.create_new_study([direction], key.name)
            self.storage.set_study_system_attr(study_id, _SYSTEM_ATTR_METRIC_NAMES, [row["objective"]])
            self._ids[key] = []
        return int(self.storage.get_study_id_from_name(key.name))

    def _add(self, study: int, ids: list[int], row: Mapping[str, Any], curve: Any) -> None:
        number = int(row["trial"])
        while len(ids) <= number:  # records come in any order
            ids.append(self.storage.create_new_trial(study, create_trial(state=TrialState.RUNNING)))
        self.storage._set_trial(ids[number], _frozen(ids[number], row, curve))
        self.storage._update_cache(ids[number], study)


def _frozen(identity: int, row: Mapping[str, Any], curve: Any) -> FrozenTrial:
    """A record as an Optuna trial."""
    state = TrialState.FAIL if row["diverged"] else STATES[row["state"]]
    provenance = json.loads(row["provenance"])
    finished = datetime.fromisoformat(row["finished"]).astimezone().replace(tzinfo=None)
    searched = dimensions(json.loads(row["config"]).get("search_space") or {})
    space = {name: dimension for name, dimension in searched.items() if name in row}
    return FrozenTrial(
        number=int(row["trial"]),
        trial_id=identity,
        state=state,
        value=float(row["value"]) if state is TrialState.COMPLETE else None,
        # The start is not recorded, so the duration shown is the time that the trial had its device.
        datetime_start=finished - timedelta(seconds=row["seconds"]),
        datetime_complete=finished,
        params={name: recorded(dimension, row[name]) for name, dimension in space.items()},
        distributions={name: _axis(dimension) for name, dimension in space.items()},
        user_attrs={name: row[name] for name in _FACTS}
        | {name: provenance[name] for name in _OF_A_TRIAL if name in provenance},
        system_attrs={},
        intermediate_values={} if row["diverged"] else _thinned(curve, row["objective"]),
    )


def _thinned(curve: Any, objective: str) -> dict[int, float]:
    """The finite values of a curve; of a long one, evenly spaced points with the first and the last."""
    if not len(curve) or objective not in curve:
        return {}
    indices = np.unique(np.linspace(0, len(curve) - 1, min(len(curve), _POINTS)).round().astype(int))
    epochs, values = curve["epoch"].to_numpy()[indices], curve[objective].to_numpy()[indices]
    finite = np.isfinite(values)
    return dict(zip(epochs[finite].tolist(), values[finite].tolist(), strict=True))


def _axis(dimension: Dimension) -> BaseDistribution:
    """A dimension as a figure's axis; for a complement it shows x, although 1 − x was searched evenly."""
    if isinstance(dimension, Float) and dimension.complement:
        return FloatDistribution(dimension.low, dimension.high)
    return distribution(dimension)
