"""SGD with the induced metric, for PyTorch."""

import math
from typing import Any

import torch

from induced_metric.torch._base import MetricOptimizer, signed_rate
from induced_metric.torch._batches import Batch


class SGDMetric(MetricOptimizer):
    r"""SGD with the metric pulled back from the graph of the loss; twin of ``induced_metric.sgd_metric``.

    .. math::
        r_t = \frac{1}{1 + |\hat v_t|}, \quad
        \theta_t = \theta_{t-1} - \eta\,(r_t \hat m_t + \lambda \theta_{t-1})

    with :math:`\hat v_t` the bias-corrected EMA of :math:`\xi \|g_t\|^2` over the gradients of *all*
    parameter groups and :math:`\hat m_t` that of the gradients.

    Parameters in float16 and bfloat16 have float32 averages and are rounded once per step.

    Args:
        params: parameters, or groups with their own ``lr``, ``momentum`` and ``weight_decay``.
        lr: η >= 0.
        momentum: decay μ of the moving average of the gradients, in [0, 1).
        xi: weight ξ >= 0 of the loss direction; about one over the number of parameters.
        beta: decay β of the moving average of the squared norm, in [0, 1); 0 uses only the current value.
        weight_decay: decoupled decay λ >= 0, scaled by η but not by r.
        maximize: ascend instead of descending.
        foreach: False takes one parameter at a time. None and True take all at once on an accelerator,
            and as many as the cache holds on a CPU.
        per_group: give every parameter group its own metric, with its own ξ, β and r, instead of one metric
            for all parameters.

    Raises:
        ValueError: for a number outside its range, or groups that share a metric but not ξ and β.

    Example:
        >>> import torch
        >>> from induced_metric.torch import SGDMetric
        >>> model = torch.nn.Linear(3, 1)
        >>> optimizer = SGDMetric(model.parameters(), lr=0.1, xi=0.01)
        >>> model(torch.ones(2, 3)).square().mean().backward()
        >>> optimizer.step()
        >>> float(optimizer.param_groups[0]["inverse_scale"]) > 1  # 1 / r, for logging
        True

    References:
        Harvey, The Optimiser Hidden in Plain Sight, Algorithm 1 and Eq. 13.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 0.1,
        momentum: float = 0.9,
        xi: float = 0.1,
        beta: float = 0.8,
        weight_decay: float = 0.0,
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
            "weight_decay": weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "per_group": per_group,
        }
        super().__init__(params, defaults)

    def _advance(self, batch: Batch) -> tuple[torch.Tensor, None]:
        grads = batch.grads
        torch._foreach_lerp_(batch.moments[0], grads, 1 - batch.group["momentum"])
        dtype = torch.promote_types(grads[0].dtype, torch.float32)
        norms = torch._foreach_norm(grads, 2, dtype=dtype)
        return (norms[0] if len(norms) == 1 else torch.linalg.vector_norm(torch.stack(norms))).square(), None

    def _descend(self, batch: Batch, inverse_scale: torch.Tensor, kept: None) -> None:
        del kept
        rate, scale = signed_rate(batch), inverse_scale.reciprocal()
        if scale.device.type == "cpu":
            # One pass over memory; on an accelerator this would start one kernel for every parameter.
            torch._foreach_addcmul_(batch.params, batch.moments[0], [scale] * len(batch.params), rate)
        else:
            torch._foreach_add_(batch.params, torch._foreach_mul(batch.moments[0], scale), alpha=rate)


class SGDLogMetric(SGDMetric):
    r"""SGD with the metric pulled back from the graph of the log-loss: ``induced_metric.sgd_log_metric``.

    .. math::
        r_t = \frac{L_t}{L_t^2 + |\hat v_t|}, \quad
        \theta_t = \theta_{t-1} - \eta\,(r_t \hat m_t + \lambda \theta_{t-1})

    The loss L must be positive; ``step`` takes it from a closure or as ``step(loss=loss)``. At a loss of
    exactly zero the update is zero. The arguments are those of ``SGDMetric``.

    Example:
        >>> import torch
        >>> from induced_metric.torch import SGDLogMetric
        >>> model = torch.nn.Linear(3, 1)
        >>> optimizer = SGDLogMetric(model.parameters(), lr=0.1, xi=0.01)
        >>> loss = model(torch.ones(2, 3)).square().mean()
        >>> loss.backward()
        >>> optimizer.step(loss=loss)

    References:
        Harvey, The Optimiser Hidden in Plain Sight, Algorithm 2 and Eq. 14.
    """

    needs_loss = True

    def _inverse_scale(self, norm: torch.Tensor, loss: Any) -> torch.Tensor:
        if isinstance(loss, torch.Tensor):
            if loss.numel() != 1:
                raise ValueError(f"the loss must be one number, got a tensor of shape {tuple(loss.shape)}")
            loss = loss.detach().reshape(()).to(norm, non_blocking=True)
        else:
            loss = torch.full_like(norm, loss)
        # L + v̂ / L needs no square, which would be 0 or infinite for extreme losses. At L = 0, 1 / r = ∞.
        return torch.where(loss == 0, math.inf, torch.addcdiv(loss, norm, loss))
