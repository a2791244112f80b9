"""The optimisers: one metric transformation with its aliases, and the baselines from optax."""

from induced_metric.optimizers import schedules
from induced_metric.optimizers._rms import sgd_log_rms, sgd_rms
from induced_metric.optimizers._sgd import sgd_log_metric, sgd_metric
from induced_metric.optimizers._wrapped import adamw_metric, lion_metric, muon_metric
from induced_metric.optimizers.baselines import Betas, adam, adamw, muon, sgd, sgd_clipped
from induced_metric.optimizers.components import scale_by_component_metric
from induced_metric.optimizers.embeddings import (
    Embedding,
    as_embedding,
    identity,
    log,
    named_embedding,
    power,
    shifted_log,
    softplus,
    sqrt,
)
from induced_metric.optimizers.geometries import Geometry, euclidean, preconditioned_by, rms
from induced_metric.optimizers.metric import (
    InducedMetricState,
    descend,
    induced_metric,
    scale_by_induced_metric,
)
from induced_metric.optimizers.subsets import each_leaf, named_subsets
from induced_metric.optimizers.tilted import scale_by_tilted_metric

__all__ = [
    "Betas",
    "Embedding",
    "Geometry",
    "InducedMetricState",
    "adam",
    "adamw",
    "adamw_metric",
    "as_embedding",
    "descend",
    "each_leaf",
    "euclidean",
    "identity",
    "induced_metric",
    "lion_metric",
    "log",
    "muon",
    "muon_metric",
    "named_embedding",
    "named_subsets",
    "power",
    "preconditioned_by",
    "rms",
    "scale_by_component_metric",
    "scale_by_induced_metric",
    "scale_by_tilted_metric",
    "schedules",
    "sgd",
    "sgd_clipped",
    "sgd_log_metric",
    "sgd_log_rms",
    "sgd_metric",
    "sgd_rms",
    "shifted_log",
    "softplus",
    "sqrt",
]
