"""The metric optimisers for PyTorch: the mathematics of ``induced_metric``, without JAX.

The arguments have the names and defaults of the JAX optimisers', with ``lr`` for ``learning_rate``. Parameter
groups stand in for ``mask``, and ``per_group`` for ``subsets``; ``embedding`` and ``accumulator_dtype`` are
JAX's only.
"""

try:
    from induced_metric.torch.rms import SGDRMS
    from induced_metric.torch.sgd import SGDLogMetric, SGDMetric
except ModuleNotFoundError as error:
    # Without PyTorch, Python treats any directory called torch as a package, and ``import torch`` succeeds.
    if (error.name or "").partition(".")[0] != "torch":
        raise
    sentence = "induced_metric.torch needs PyTorch; pip install 'induced-metric[torch]' adds it"
    raise ModuleNotFoundError(sentence, name="torch") from None

__all__ = ["SGDRMS", "SGDLogMetric", "SGDMetric"]
