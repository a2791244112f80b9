"""Durable records of finished trials: Parquet files, the only thing that the analysis reads.

A study's directory ``<results>/records/<protocol>/<task>/<sampler>/<optimizer>/`` holds two tables:

``trials.parquet`` - one row per finished trial

==================  =======  ==========================================================================
column              type     meaning
==================  =======  ==========================================================================
trial               int64    number of the trial in its study, from 0
state               string   ``complete``, ``pruned`` or ``failed``
diverged            bool     a metric was not finite; ``value`` is then the worst finite float32
value               float64  best value of ``objective`` over the epochs run; in a confirmation, its value
                             at the epoch that the validation split chose
objective           string   metric of ``value``, such as ``test/loss``
direction           string   ``minimize`` or ``maximize``
best_epoch          int64    epoch of ``value``, from 0; -1 where diverged
epochs              int64    epochs run
seed                int64    seed of initial parameters, shuffling and dropout
seconds             float64  the trial's share of its device's time over these epochs, including evaluation
                             but not compilation
hyperparameters     float64  one column each, under its own name, in alphabetical order; int64, bool or
                             string if it is searched among integers or categories
protocol, task,     string   as in the directory, so that a row can be understood by itself
sampler, optimizer
finished            string   UTC time, ISO 8601
provenance          string   JSON, keys sorted: version, git commit and dirtiness, digest of the program,
                             libraries, device, flags
config              string   JSON, keys sorted: the full configuration of the study
==================  =======  ==========================================================================

Trials of no study (``train.py``) are stored under the sampler ``single``: ``load`` reads them by that name,
and ``samplers`` lists the other samplers. A confirmation, that is, a setting that a search chose, trained
again from fresh seeds, is stored under the search's sampler followed by ``-confirmed``, and the same with a
hyperparameter set to 0 under a name such as ``tpe-confirmed-without_xi``.

``curves.parquet`` - one row per epoch: ``trial``, ``epoch`` (from 0), ``seconds`` (that epoch's share of the
device's time) and one float32 column per metric, whose name begins with its split: ``train/loss``,
``test/loss``.

``seconds`` divide the device's time among the trials that it served together: the time of a dispatch is
shared equally among the epochs that it ran, in whichever lanes. Summed over trials, they are the time that a
device computed. Where lanes are mapped, that is, run one after the other, they are also about how long an
epoch takes; where they are vmapped, it takes up to as many times longer as there are lanes. ``lanes`` in the
provenance says which it was: ``layout``, ``width`` (lanes of a dispatch), ``queue`` (dispatches in flight on
a device) and ``places`` (devices, or groups of them that divide every batch, with lanes of their own).
Seconds of different layouts, widths or devices are not comparable.

Of hyperparameters that are searched as 1 − x, such as a momentum, ``complements`` in the provenance has 1 − x
as it was proposed: x alone has fewer digits, and a study that goes on tells its sampler what it proposed.

In a study with a pruner, ``judged`` in the provenance has the pruner's verdicts on a trial, in order: after
how many ``epochs`` and by which ``value`` (the best so far) it was judged, the ``threshold`` (the worst value
that went on; null if the pruner compared the trial with nothing, or its rule is not known here), and whether
the trial was ``stopped``.

While a study runs, every ``append`` leaves one file in ``pending/``, written before the values of its trials
are told to Optuna: one row per trial, with the epochs of its curve as a list in the column ``curve``.
``compact`` folds these files into the two tables.
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
