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

    Norms are of the parameters that this process holds, so ``ZeroRedundancyOptimizer`` and the flat
    parameters of FSDP1, which would give every rank a metric of its own shard, are not supported.

    Args:
        params: parameters, or groups with their own ``lr``, ``momentum``, ``weight_decay`` and
            ``heavy_ball``.
        lr: η >= 0.
        momentum: decay μ of the moving average of the gradients, in [0, 1).
        xi: weight ξ >= 0 of the loss direction. The default suits small networks only: the
            paper starts from one over the number of parameters, and its best values are within some two
            orders of magnitude of that.
        beta: decay β of the moving average of the squared norm, in [0, 1); 0 uses only the current value.
        weight_decay: decoupled decay λ >= 0, scaled by η but not by r.
        heavy_ball: use the sum :math:`b_t = \mu b_{t-1} + g_t` of the gradients instead of
            :math:`\hat m_t`, as ``torch.optim.SGD`` does.
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
        heavy_ball: bool = False,
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
            "heavy_ball": heavy_ball,
            "maximize": maximize,
            "foreach": foreach,
            "per_group": per_group,
        }
        super().__init__(params, defaults)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in (self.defaults, *self.param_groups):
            group.setdefault("heavy_ball", False)  # saved before this option existed, thus an average

    def _advance(self, batch: Batch) -> tuple[torch.Tensor, None]:
        grads, first, group = batch.grads, batch.moments[0], batch.group
        if group["heavy_ball"]:
            torch._foreach_mul_(first, group["momentum"])
            torch._foreach_add_(first, grads)
        else:
            torch._foreach_lerp_(first, grads, 1 - group["momentum"])
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
    exactly zero the update is zero. The arguments are those of ``SGDMetric``, and so is what is not
    supported. The default of ``xi`` suits small networks only; begin with one over the number of parameters.

    L must be the loss whose gradient is in ``.grad``: under ``DistributedDataParallel`` the average over all
    processes by ``all_reduce``, since with losses of their own the replicas drift apart silently, and under
    gradient accumulation the mean over the accumulated batches.

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

    def _check_loss(self, loss: Any) -> torch.Tensor | float:
        if isinstance(loss, torch.Tensor):
            if loss.numel() != 1:
                raise ValueError(f"the loss must be one number, got a tensor of shape {tuple(loss.shape)}")
            return loss.detach().reshape(())
        if loss is not None:
            return float(loss)
        # torch.distributed.checkpoint creates the state by a step of this kind; at a loss of 0 nothing moves.
        if all(group["lr"] == 0 for group in self.param_groups):
            return 0.0
        raise ValueError(f"{type(self).__name__} needs the loss: call step(closure) or step(loss=loss)")

    def _inverse_scale(self, norm: torch.Tensor, loss: Any) -> torch.Tensor:
        if isinstance(loss, torch.Tensor):
            loss = loss.to(norm, non_blocking=True)
        else:
            loss = torch.full_like(norm, loss)
        # L + v̂ / L needs no square, which would be 0 or infinite for extreme losses. At L = 0, 1 / r = ∞.
        return torch.where(loss == 0, math.inf, torch.addcdiv(loss, norm, loss))
