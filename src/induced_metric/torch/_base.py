"""The base of the three optimisers: computes one number from all gradients, then takes one scaled step."""

import math
import numbers
from abc import abstractmethod
from collections.abc import Callable
from itertools import chain
from typing import Any

import torch
from torch.optim import Optimizer

from induced_metric.torch._batches import Batch, accumulator_dtype, cast, check_gradients, gather

NON_NEGATIVE = ("lr", "xi", "weight_decay")
DECAYS = ("momentum", "beta", "beta_rms")


def _check_hyperparameters(group: dict[str, Any]) -> None:
    for name in (*NON_NEGATIVE, *DECAYS, "eps"):
        value = group.get(name, 0.5)  # for those that an optimiser has not
        if isinstance(value, torch.Tensor):
            raise TypeError(f"{name} must be a number: a tensor would be read from the device at every step")
        if not (isinstance(value, numbers.Real) or hasattr(value, "dtype")):
            raise TypeError(f"{name} must be a number, got {value!r}")
        if name in NON_NEGATIVE and not 0 <= value < math.inf:
            raise ValueError(f"{name} must be >= 0 and finite, got {value}")
        if name in DECAYS and not 0 <= value < 1:
            raise ValueError(f"{name} must be in [0, 1), got {value}")
        if name == "eps" and not 0 < value < math.inf:
            raise ValueError(f"eps must be > 0 and finite, got {value}")


class MetricOptimizer(Optimizer):
    """Computes s from all gradients, averages it, and scales every parameter's step by r."""

    moments: tuple[str, ...] = ("momentum_buffer",)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Adds a group; it must have the same ξ and β as the others unless ``per_group`` is set."""
        group = {**self.defaults, **param_group}
        _check_hyperparameters(group)
        self._check_groups_agree(group)
        super().add_param_group(param_group)
        self.param_groups[-1].update(metric=None, metric_step=0, inverse_scale=None)

    def _check_groups_agree(self, *added: dict[str, Any]) -> None:
        pairs = {(group["xi"], group["beta"]) for group in (*self.param_groups, *added)}
        if not self.defaults["per_group"] and len(pairs) > 1:
            raise ValueError(
                f"all groups share one metric, so one xi and beta, got {sorted(pairs)}; "
                "per_group=True gives every group its own"
            )

    @torch.no_grad()
    def step(
        self, closure: Callable[[], Any] | None = None, *, loss: torch.Tensor | float | None = None
    ) -> Any:
        """Performs one step; a refused one leaves the optimiser as it was.

        Args:
            closure: returns the loss whose gradients are then in ``.grad``. It may compute both or, as
                ``lambda: loss``, only pass on a loss that ``backward`` was called on.
            loss: that loss, instead of a closure; the host never reads it.

        Returns:
            What ``closure`` returned, or None.

        Raises:
            ValueError: if the optimiser needs the loss and gets none (unless every ``lr`` is 0) or a tensor
                of several numbers, or if groups that share a metric have come to differ in ξ or β.
            TypeError: for a loss that is no number.
            RuntimeError: for a sparse or complex gradient.
        """
        returned = None
        if closure is not None:
            with torch.enable_grad():
                returned = closure()
        loss = self._check_loss(returned if loss is None else loss)
        check_gradients(self.param_groups, type(self).__name__)
        if self.defaults["per_group"]:
            families = [[group] for group in self.param_groups]
        else:
            self._check_groups_agree()
            families = [self.param_groups]
        for family in families:
            self._step_family(family, loss)
        return returned

    def _step_family(self, groups: list[dict[str, Any]], loss: Any) -> None:
        """Takes a step with groups that share one metric, which the first group keeps between steps."""
        batches = [batch for group in groups for batch in gather(group, self.state, self.moments)]
        if not batches:
            return
        squares, kept = zip(*(self._advance_wide(batch) for batch in batches), strict=True)
        squared_norm = _total(squares)
        dtype = squared_norm.dtype

        first = groups[0]
        # An infinite sample would never leave the average, and would be NaN where xi is 0; the largest finite
        # number decays with beta.
        most = torch.finfo(dtype).max
        sample = (squared_norm.clamp(max=most) * first["xi"]).clamp_(max=most)
        metric, count = first["metric"], first["metric_step"] + 1
        metric = torch.zeros_like(sample) if metric is None else metric.to(sample, non_blocking=True)
        metric = metric.lerp(sample, 1 - first["beta"])
        inverse_scale = self._inverse_scale(metric / (1 - first["beta"] ** count), loss)
        for group in groups:
            group.update(metric=metric, metric_step=count, inverse_scale=inverse_scale)
        for batch, own in zip(batches, kept, strict=True):
            self._descend_wide(batch, inverse_scale, own)

    def _advance_wide(self, batch: Batch) -> tuple[torch.Tensor, Any]:
        """Computes in the dtype of the moments; a copy of the gradients in that dtype is freed on return."""
        return self._advance(batch._replace(grads=cast(batch.grads, batch.moments[0])))

    def _descend_wide(self, batch: Batch, inverse_scale: torch.Tensor, kept: Any) -> None:
        """Decays and moves the parameters in the moments' dtype; rounds narrower ones once, at the end."""
        params = cast(batch.params, batch.moments[0])
        wide = batch._replace(params=params)
        decay(wide)
        self._descend(wide, inverse_scale.to(params[0], non_blocking=True), kept)
        if params is not batch.params:
            torch._foreach_copy_(batch.params, params)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Loads what ``state_dict`` returned; moving averages of narrower parameters stay float32.

        Args:
            state_dict: the state of an optimiser with groups of the same sizes.

        Raises:
            ValueError: if the groups differ in number or size.
        """
        saved: dict[str, Any] = {}
        # PyTorch rounds every tensor to the dtype of its parameter. Other hooks that replace the loaded state
        # run before these hooks, and those that read it run after them.
        hooks = [
            self.register_load_state_dict_pre_hook(lambda _, final: saved.update(final)),
            self.register_load_state_dict_post_hook(lambda _: self._restore_moments(saved), prepend=True),
        ]
        try:
            super().load_state_dict(state_dict)
        finally:
            for hook in hooks:
                hook.remove()

    def _restore_moments(self, saved: dict[str, Any]) -> None:
        """Replaces the moments that loading rounded by the saved ones."""
        keys = chain.from_iterable(group["params"] for group in saved["param_groups"])
        params = chain.from_iterable(group["params"] for group in self.param_groups)
        for key, param in zip(keys, params, strict=True):
            dtype, stored = accumulator_dtype(param), saved["state"].get(key, {})
            if param.dtype != dtype:
                for name in stored.keys() & set(self.moments):
                    self.state[param][name] = stored[name].to(param.device, dtype)

    def _check_loss(self, loss: Any) -> Any:
        """The loss in the form that ``_inverse_scale`` takes; the embedding f(L) = L does not need it."""
        return loss

    def _inverse_scale(self, norm: torch.Tensor, loss: Any) -> torch.Tensor:
        """1 / r = 1 + v̂ for the embedding f(L) = L; v̂ is never negative here."""
        del loss
        return norm + 1

    @abstractmethod
    def _advance(self, batch: Batch) -> tuple[torch.Tensor, Any]:
        """Updates the moments; returns g·γ⁻¹g, in at least float32, and what ``_descend`` may reuse."""

    @abstractmethod
    def _descend(self, batch: Batch, inverse_scale: torch.Tensor, kept: Any) -> None:
        """Moves the parameters along γ⁻¹m̂."""


def _total(squares: tuple[torch.Tensor, ...]) -> torch.Tensor:
    """Sums over devices and dtypes without waiting for any of them."""
    if len(squares) == 1:
        return squares[0]
    widest = max(squares, key=lambda square: square.dtype.itemsize)
    return torch.stack([square.to(widest, non_blocking=True) for square in squares]).sum()


def decay(batch: Batch) -> None:
    """θ ← (1 − ηλ) θ, scaled neither by the induced metric nor by γ."""
    group = batch.group
    if group["weight_decay"] != 0:
        torch._foreach_mul_(batch.params, 1 - group["lr"] * group["weight_decay"])


def signed_rate(batch: Batch) -> float:
    """−η / (1 − μᵗ), or +η / (1 − μᵗ) to maximise: the step size without r, with m's bias correction.

    The sum of ``heavy_ball`` has no bias to correct.
    """
    group = batch.group
    sign = 1 if group["maximize"] else -1
    bias = 0 if group.get("heavy_ball") else group["momentum"] ** batch.step
    return float(sign * group["lr"] / (1 - bias))
