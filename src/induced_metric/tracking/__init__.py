"""Weights & Biases: a live run, the mirror of what is recorded, and the mirror read back.

A sweep does not talk to W&B. Its records are the truth. Afterwards ``export`` mirrors the trials that are not
mirrored yet, one W&B run per trial (``make wandb TASK=...``), and ``load`` reads the mirror as
``records.load`` reads the records. Only ``train.py`` logs while it trains, with ``LiveRun``. The summary of a
mirrored run holds the columns ``records.schema.OUTCOME``; the other columns of its row are its configuration.
"""

from induced_metric.tracking.live import MODES, PROJECT, LiveRun, Mode
from induced_metric.tracking.mirror import export
from induced_metric.tracking.reader import load

__all__ = ["MODES", "PROJECT", "LiveRun", "Mode", "export", "load"]
