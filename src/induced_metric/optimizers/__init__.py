"""The optimizers: one metric transformation with its aliases, and the baselines from optax."""

from induced_metric.optimizers.aliases import sgd_log_metric, sgd_metric, sgd_rms
from induced_metric.optimizers.baselines import adam, adamw, muon, sgd
from induced_metric.optimizers.metric import (
    Embedding,
    Geometry,
    InducedMetricState,
    euclidean,
    identity,
    induced_metric,
    log,
    preconditioned_by,
    rms,
    scale_by_induced_metric,
)

__all__ = [
    "Embedding",
    "Geometry",
    "InducedMetricState",
    "adam",
    "adamw",
    "euclidean",
    "identity",
    "induced_metric",
    "log",
    "muon",
    "preconditioned_by",
    "rms",
    "scale_by_induced_metric",
    "sgd",
    "sgd_log_metric",
    "sgd_metric",
    "sgd_rms",
]
