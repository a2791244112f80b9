"""The metric optimizers for PyTorch: the maths, names and arguments of ``induced_metric``, without JAX."""

from induced_metric.torch.rms import SGDRMS
from induced_metric.torch.sgd import SGDLogMetric, SGDMetric

__all__ = ["SGDRMS", "SGDLogMetric", "SGDMetric"]
