"""Durable records of finished trials: Parquet files that the analysis reads, and nothing else.

A study's directory ``<results>/records/<protocol>/<task>/<sampler>/<optimizer>/`` holds two tables:

``trials.parquet`` - one row a finished trial

==================  =======  ==========================================================================
column              type     meaning
==================  =======  ==========================================================================
trial               int64    number of the trial in its study, from 0
state               string   ``complete``, ``pruned`` or ``failed``
diverged            bool     a metric was not finite; ``value`` is then the worst finite float32
value               float64  best value of ``objective`` over the epochs run; of a confirmation, the one
                             at the epoch that the validation split chose
objective           string   metric that ``value`` is of, such as ``test/loss``
direction           string   ``minimize`` or ``maximize``
best_epoch          int64    epoch of ``value``, from 0; -1 where diverged
epochs              int64    epochs run
seed                int64    seed of initial parameters, shuffling and dropout
seconds             float64  the trial's share of its device over these epochs: evaluation included,
                             compilation not
hyperparameters     float64  one column each, under its own name, in alphabetical order; int64, bool or
                             string where it is searched among integers or categories
protocol, task,     string   what the directory says, so that a row stands by itself
sampler, optimizer
finished            string   UTC time, ISO 8601
provenance          string   JSON, keys sorted: version, git commit and dirtiness, libraries, device, flags
config              string   JSON, keys sorted: the full configuration of the study
==================  =======  ==========================================================================

Trials of no study (``train.py``) stand under the sampler ``single``: ``load`` reads them by that name, and
``samplers`` lists the others. What a search chose, trained again from fresh seeds, stands under the name of
its sampler followed by ``-confirmed``; where one such study confirms those of several searches, the column
``study`` says whose. The same with a hyperparameter set to 0 stands under ``tpe-confirmed-without_xi``.

``curves.parquet`` - one row an epoch: ``trial``, ``epoch`` (from 0), ``seconds`` (that epoch's share of the
device) and one float32 column a metric, named after its split: ``train/loss``, ``test/loss``.

``seconds`` divide the device's time among the trials that it served together: those of a dispatch are shared
equally by the epochs it ran, of whichever lanes. Summed over trials they are the time a device computed.
Where lanes are mapped, one after the other, they are also about how long an epoch takes; where they are
vmapped, it takes up to as many times longer as there are lanes. ``lanes`` in the provenance says which it
was: ``layout``, ``width`` (lanes of a dispatch), ``queue`` (dispatches in flight on a device) and ``places``
(devices, or groups of them that divide every batch, with lanes of their own). Seconds of different layouts,
widths or devices do not compare.

Of a study with a pruner, ``judged`` in the provenance has the pruner's verdicts on a trial, in order: after
how many ``epochs``, by which ``value`` (the best so far), the ``threshold`` (the worst value that went on;
null where the pruner compared the trial with nothing, or its rule is none that we know), and whether it was
``stopped``.

While a study runs, every ``append`` leaves one file in ``pending/``, written before its trials are told
to Optuna: a row a trial, the epochs of its curve as a list in the column ``curve``. ``compact`` folds
these files into the two tables.
"""

from induced_metric.records.digests import digest
from induced_metric.records.feed import RecordFeed
from induced_metric.records.provenance import provenance
from induced_metric.records.query import (
    ablations,
    begun,
    confirmations,
    load,
    protocols,
    recorded,
    samplers,
    searches,
    studies,
    tasks,
)
from induced_metric.records.schema import CONFIRMED, FIXED, SINGLE, WITHOUT, Records, StudyKey, removed
from induced_metric.records.store import RecordStore

__all__ = [
    "CONFIRMED",
    "FIXED",
    "SINGLE",
    "WITHOUT",
    "RecordFeed",
    "RecordStore",
    "Records",
    "StudyKey",
    "ablations",
    "begun",
    "confirmations",
    "digest",
    "load",
    "protocols",
    "provenance",
    "recorded",
    "removed",
    "samplers",
    "searches",
    "studies",
    "tasks",
]
