"""Gathers the parameters of a group into batches on which ``torch._foreach_*`` works."""

from collections import defaultdict
from collections.abc import Iterator
from itertools import chain
from typing import Any, NamedTuple, TypeAlias

import torch

Tensors: TypeAlias = list[torch.Tensor]

# On a CPU, temporaries of this many elements stay in the cache; larger ones use new memory every time.
CPU_ELEMENTS = 2**19


class Batch(NamedTuple):
    """Tensors with the same group, device, dtypes and step; the lists are parallel."""

    group: dict[str, Any]
    step: int  # number of steps of these parameters, counted from 1
    params: Tensors
    grads: Tensors
    moments: list[Tensors]  # one list for each name; in float32 if the parameters are narrower


def accumulator_dtype(param: torch.Tensor) -> torch.dtype:
    """The dtype of a parameter's moving averages: at least float32, or increments would round to zero."""
    return torch.promote_types(param.dtype, torch.float32)


def cast(tensors: Tensors, like: Tensors) -> Tensors:
    """The tensors in the dtype of ``like``; not copied if they have it already, so float32 costs nothing."""
    dtype = like[0].dtype
    if tensors[0].dtype == dtype:
        return tensors
    copies = [torch.empty_like(tensor, dtype=dtype) for tensor in tensors]
    torch._foreach_copy_(copies, tensors)
    return copies


def check_gradients(groups: list[dict[str, Any]], optimizer: str) -> None:
    """Refuses sparse and complex gradients, in all groups before any state changes."""
    for param in chain.from_iterable(group["params"] for group in groups):
        if param.grad is None:
            continue
        if param.grad.is_sparse:
            raise RuntimeError(
                f"{optimizer} does not support sparse gradients; use sparse=False in nn.Embedding"
            )
        if torch.is_complex(param.grad):
            raise RuntimeError(
                f"{optimizer} does not support complex gradients; hold real and imaginary parts"
            )


def gather(group: dict[str, Any], state: Any, names: tuple[str, ...]) -> Iterator[Batch]:
    """Advances the step of every parameter with a gradient and yields them in batches.

    Args:
        group: the parameter group.
        state: the optimiser's state, to which missing moments are added.
        names: names of the moments, tensors with the parameter's shape and its ``accumulator_dtype``.
    """
    kinds: dict[tuple[torch.device, torch.dtype, torch.dtype, int], list[Tensors]] = defaultdict(list)
    for param in group["params"]:
        if param.grad is None:
            continue
        param_state = state[param]
        if not param_state:
            param_state["step"] = 0
            dtype = accumulator_dtype(param)
            for name in names:
                param_state[name] = torch.zeros_like(param, dtype=dtype, memory_format=torch.preserve_format)
        param_state["step"] += 1
        row = [param, param.grad, *(param_state[name] for name in names)]
        kinds[param.device, param.dtype, param.grad.dtype, param_state["step"]].append(row)
    for (device, _, _, step), rows in kinds.items():
        for part in _parts(rows, device, group["foreach"]):
            params, grads, *moments = map(list, zip(*part, strict=True))
            yield Batch(group, step, params, grads, moments)


def _parts(rows: list[Tensors], device: torch.device, foreach: bool | None) -> Iterator[list[Tensors]]:
    """Splits rows of tensors: one by one if foreach is False, on a CPU by its cache size, else not at all."""
    if foreach is False:
        yield from ([row] for row in rows)
    elif device.type != "cpu":
        yield rows
    else:
        part: list[Tensors] = []
        size = 0
        for row in rows:
            for piece in _pieces(row):
                if part and size + piece[0].numel() > CPU_ELEMENTS:
                    yield part
                    part, size = [], 0
                part.append(piece)
                size += piece[0].numel()
        yield part


def _pieces(row: list[torch.Tensor]) -> Iterator[Tensors]:
    """Views with at most ``CPU_ELEMENTS`` elements of all tensors of a row, if these are contiguous."""
    if row[0].numel() <= CPU_ELEMENTS or not all(tensor.is_contiguous() for tensor in row):
        yield row
    else:
        yield from map(list, zip(*(t.view(-1).split(CPU_ELEMENTS) for t in row), strict=True))
