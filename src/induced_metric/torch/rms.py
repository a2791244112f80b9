"""The induced metric with RMSprop's metric on the parameters, for PyTorch."""

import math
from typing import Any

import torch

from induced_metric.torch._base import MetricOptimizer, signed_rate
from induced_metric.torch._batches import CPU_ELEMENTS, Batch, Tensors


class SGDRMS(MetricOptimizer):
    r"""Algorithm 1 with the metric of RMSprop; the twin of ``induced_metric.sgd_rms``.

    .. math::
        \hat v_t = \mathrm{EMA}_\beta\big(\xi \textstyle\sum_i g_i^2/(\sqrt{\hat r_i} + \epsilon)\big), \quad
        \theta_t = \theta_{t-1} - \eta\Big(\frac{1}{1 + |\hat v_t|}
            \frac{\hat m_t}{\sqrt{\hat r_t} + \epsilon} + \lambda \theta_{t-1}\Big)

    The sum runs over *all* parameter groups. ξ = 0 is ``torch.optim.AdamW`` with betas (μ, β_rms).

    Parameters in float16 and bfloat16 have float32 averages and are rounded once per step.

    Norms are of the parameters that this process holds, so ``ZeroRedundancyOptimizer`` and the flat
    parameters of FSDP1, which would give every rank a metric of its own shard, are not supported.

    Args:
        params: parameters, or groups with their own ``lr``, ``momentum``, ``beta_rms``, ``eps`` and
            ``weight_decay``.
        lr: η >= 0, on AdamW's scale: 1e-3 is usual, and the default is large.
        momentum: decay μ of the moving average of the gradients, in [0, 1).
        xi: weight ξ >= 0 of the loss direction. The default suits small networks only: the
            paper starts from one over the number of parameters, and its best values are within some two
            orders of magnitude of that.
        beta: decay β of the moving average of the squared norm, in [0, 1); 0 uses only the current value.
        beta_rms: decay of the moving average of the squared gradients, in [0, 1).
        weight_decay: decoupled decay λ >= 0, scaled by η but not by r.
        eps: ε > 0, added outside the square root.
        maximize: ascend instead of descending.
        foreach: False takes one parameter at a time. None and True take all at once on an accelerator,
            and as many as the cache holds on a CPU.
        per_group: give every parameter group its own metric, with its own ξ, β and r, instead of one metric
            for all parameters.

    Raises:
        ValueError: for a number outside its range, or groups that share a metric but not ξ and β.
        TypeError: for a hyperparameter that is no number, such as a tensor as ``lr``.

    Example:
        >>> import torch
        >>> from induced_metric.torch import SGDRMS
        >>> model = torch.nn.Linear(3, 1)
        >>> optimizer = SGDRMS(model.parameters(), lr=1e-3, xi=0.01, weight_decay=0.01)
        >>> model(torch.ones(2, 3)).square().mean().backward()
        >>> optimizer.step()

    References:
        Harvey, The Optimiser Hidden in Plain Sight, Algorithm 1 and Section 3.
    """

    moments = ("momentum_buffer", "square_avg")

    def __init__(
        self,
        params: Any,
        lr: float = 0.1,
        momentum: float = 0.9,
        xi: float = 0.1,
        beta: float = 0.8,
        beta_rms: float = 0.99,
        weight_decay: float = 0.0,
        eps: float = 1e-8,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        per_group: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "xi": xi,
            "beta": beta,
            "beta_rms": beta_rms,
            "weight_decay": weight_decay,
            "eps": eps,
            "maximize": maximize,
            "foreach": foreach,
            "per_group": per_group,
        }
        super().__init__(params, defaults)

    def _unbias(self, batch: Batch) -> float:
        """√(1 − β_rmsᵗ), factored out of √r̂ + ε, which is (√r + ε √(1 − β_rmsᵗ)) / √(1 − β_rmsᵗ)."""
        return math.sqrt(1 - batch.group["beta_rms"] ** batch.step)

    def _diagonal(self, batch: Batch) -> Tensors:
        """γ, up to the factor ``_unbias``; in new memory."""
        diagonal: Tensors = torch._foreach_sqrt(batch.moments[1])
        torch._foreach_add_(diagonal, batch.group["eps"] * self._unbias(batch))
        return diagonal

    def _advance(self, batch: Batch) -> tuple[torch.Tensor, Tensors | None]:
        grads, (first, second), group = batch.grads, batch.moments, batch.group
        torch._foreach_lerp_(first, grads, 1 - group["momentum"])
        torch._foreach_mul_(second, group["beta_rms"])
        torch._foreach_addcmul_(second, grads, grads, 1 - group["beta_rms"])
        diagonal = self._diagonal(batch)
        # g · (g / γ) instead of g² / γ, because the square of a large gradient would be infinite.
        if _fits_twice(grads):
            ratios, kept = torch._foreach_div(grads, diagonal), diagonal
        else:
            # With a second large temporary, glibc returns memory to the system after every batch. The page
            # faults when it is allocated again cost more than computing γ once more for the update.
            ratios, kept = [torch.div(g, d, out=d) for g, d in zip(grads, diagonal, strict=True)], None
        return _inner_product(ratios, grads) * self._unbias(batch), kept

    def _descend(self, batch: Batch, inverse_scale: torch.Tensor, kept: Tensors | None) -> None:
        diagonal = kept or self._diagonal(batch)
        torch._foreach_mul_(diagonal, inverse_scale)
        rate = signed_rate(batch) * self._unbias(batch)
        torch._foreach_addcdiv_(batch.params, batch.moments[0], diagonal, rate)


def _fits_twice(tensors: Tensors) -> bool:
    """Whether two temporaries of this size may be held at once: not if they are large and on a CPU."""
    elements = sum(int(tensor.numel()) for tensor in tensors)
    return bool(tensors[0].device.type != "cpu") or elements <= CPU_ELEMENTS // 4


def _inner_product(left: Tensors, right: Tensors) -> torch.Tensor:
    """Σ left · right, in at least float32, for non-negative products; may overwrite ``left``."""
    dtype = torch.promote_types(left[0].dtype, torch.float32)
    if left[0].device.type == "cpu" and left[0].dtype == dtype:
        sums = [torch.dot(a.reshape(-1), b.reshape(-1)) for a, b in zip(left, right, strict=True)]
    else:
        torch._foreach_mul_(left, right)
        # Since the products are not negative, their sum is their 1-norm, which foreach offers.
        sums = torch._foreach_norm(left, 1, dtype=dtype)
    return sums[0] if len(sums) == 1 else torch.stack(sums).sum()
