"""The columns of the records, their order and their types; ``records`` documents them."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pyarrow as pa

_TEXT, _INTEGER, _REAL = pa.string(), pa.int64(), pa.float64()
_TRIAL = {
    "trial": _INTEGER,
    "state": _TEXT,
    "diverged": pa.bool_(),
    "value": _REAL,
    "objective": _TEXT,
    "direction": _TEXT,
    "best_epoch": _INTEGER,
    "epochs": _INTEGER,
    "seed": _INTEGER,
    "seconds": _REAL,
}
_CONTEXT = dict.fromkeys(
    ("protocol", "task", "sampler", "optimizer", "finished", "provenance", "config"), _TEXT
)
_CURVE = {"trial": _INTEGER, "epoch": _INTEGER, "seconds": _REAL}

RESERVED = frozenset(_TRIAL | _CONTEXT)
_TAKEN = RESERVED | {"curve", "epoch"}
OUTCOME = ("state", "diverged", "value", "best_epoch", "epochs", "seconds", "finished")
"""The columns of a trial that are known only at its end; the others are given when it starts."""
NESTED = ("provenance", "config")
"""The columns that hold JSON; the mirror in W&B holds the decoded objects."""
EPOCH_SECONDS = "epoch/seconds"
"""The name of a curve's ``seconds`` in W&B, where ``seconds`` in a run's summary are the whole trial's."""

SINGLE = "single"
"""Stands in place of a sampler for trials that no study proposed, such as those of ``train.py``."""
FIXED = "fixed"
"""The sampler that searches nothing: trial k is the published best setting with seed k."""
CONFIRMED = "-confirmed"
"""Ends the sampler name of a confirmation: the settings that the search named before it chose, each trained
again from seeds that the choice did not depend on, the same seeds for every optimiser and study."""
WITHOUT = "-without_"
"""Stands between ``CONFIRMED`` and a hyperparameter: the same settings and seeds, but that one is 0."""


def removed(sampler: str) -> str | None:
    """The hyperparameter set to 0: ``xi`` for ``tpe-confirmed-without_xi``, None for any other sampler."""
    _, separator, name = sampler.rpartition(CONFIRMED + WITHOUT)
    return name if separator else None


class StudyKey(NamedTuple):
    """What identifies a study: all of its trials share these names.

    Attributes:
        protocol: rules of the comparison.
        task: what is trained.
        sampler: the sampler, with its pruner, and with its seed if there are several such studies:
            ``tpe+hyperband``, ``tpe-seed1``.
        optimizer: the optimiser that trains it.
    """

    protocol: str
    task: str
    sampler: str
    optimizer: str

    @property
    def name(self) -> str:
        """The study's name where there are no directories: in Optuna's storage and as a group in W&B."""
        return "-".join(self)

    def directory(self, results: str | Path, kind: str = "records") -> Path:
        """The study's directory of this kind below the results."""
        return Path(results, kind, *self)


class Records(NamedTuple):
    """Two DataFrames: ``trials``, one row per trial, and ``curves``, one row per epoch."""

    trials: pd.DataFrame
    curves: pd.DataFrame


def trial_table(rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    """Rows of trials as a table with the columns, order and types of the schema.

    Raises:
        ValueError: if a row lacks a column.
    """
    listed = [dict(row) for row in rows]
    if missing := [name for row in listed for name in sorted(RESERVED - row.keys())]:
        raise ValueError(f"a trial needs the columns {', '.join(sorted(RESERVED))}; there is no {missing[0]}")
    names = _trial_order(name for row in listed for name in row)
    columns = {name: [row.get(name) for row in listed] for name in names}
    return pa.table(columns, schema(columns))


def curve_table(trial: int, curve: Mapping[str, Any]) -> pa.Table:
    """A trial's curve, given as arrays by column name, as a table with the types of the schema."""
    arrays = {"trial": [trial] * len(curve["epoch"]), **curve}
    names = [*_CURVE, *sorted(arrays.keys() - _CURVE)]
    return pa.table({name: pa.array(arrays[name], _type(name)) for name in names})


def tidy(trials: pd.DataFrame, curves: pd.DataFrame) -> Records:
    """Orders the columns: those of the schema in the schema's order, the others by name."""
    leading = [name for name in ("optimizer", *_CURVE) if name in curves]
    metrics = sorted(set(curves.columns) - set(leading))
    return Records(trials[_trial_order(trials.columns)], curves[[*leading, *metrics]])


def _trial_order(names: Iterable[str]) -> list[str]:
    present = set(names)
    hyperparameters = sorted(present - RESERVED)
    return [name for name in (*_TRIAL, *hyperparameters, *_CONTEXT) if name in present]


def schema(columns: Mapping[str, Sequence[Any]]) -> pa.Schema:
    """The types of the columns of trials or curves; a hyperparameter's type follows from its values."""
    return pa.schema([(name, _type(name, values)) for name, values in columns.items()])


def _type(column: str, values: Sequence[Any] = ()) -> pa.DataType:
    fixed = (_TRIAL | _CONTEXT | _CURVE).get(column)
    if fixed is not None:
        return fixed
    if "/" in column:  # a metric, whose name begins with its split
        return pa.float32()
    kinds = {type(value) for value in values} - {type(None)}
    if not kinds:
        return pa.null()  # can be joined with any other type
    of_kind = {bool: pa.bool_(), str: _TEXT, int: _INTEGER}
    return of_kind.get(kinds.pop(), _REAL) if len(kinds) == 1 else _REAL


def check_hyperparameter_names(names: Iterable[str]) -> None:
    """Raises ValueError for a hyperparameter whose name is a reserved column or not an identifier."""
    for name in names:
        if name in _TAKEN or not re.fullmatch(r"[a-z_]\w*(\.[a-z_]\w*)*", name):
            raise ValueError(
                f"a hyperparameter cannot be called {name!r}: "
                f"the reserved names are {', '.join(sorted(_TAKEN))}"
            )
