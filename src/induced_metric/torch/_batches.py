"""Gathers the parameters of a group into batches on which ``torch._foreach_*`` works."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any, NamedTuple, TypeAlias

import torch

Tensors: TypeAlias = list[torch.Tensor]

# On a CPU, temporaries of this many elements stay in the cache; larger ones are fresh memory every time.
CPU_ELEMENTS = 2**19


class Batch(NamedTuple):
    """Tensors of one group, device, dtypes and age; the lists run in parallel."""

    group: dict[str, Any]
    step: int  # of these parameters, 1 at their first
    params: Tensors
    grads: Tensors
    moments: list[Tensors]  # one list for each name; in float32 where the parameters are narrower


def accumulator_dtype(param: torch.Tensor) -> torch.dtype:
    """The dtype of a parameter's moving averages, whose increments would round away in less than float32."""
    return torch.promote_types(param.dtype, torch.float32)


def cast(tensors: Tensors, like: Tensors) -> Tensors:
    """The tensors in the dtype of ``like``: themselves where it is theirs, so that float32 costs nothing."""
    dtype = like[0].dtype
    if tensors[0].dtype == dtype:
        return tensors
    copies = [torch.empty_like(tensor, dtype=dtype) for tensor in tensors]
    torch._foreach_copy_(copies, tensors)
    return copies


def _check_gradient(grad: torch.Tensor, optimizer: str) -> None:
    if grad.is_sparse:
        raise RuntimeError(f"{optimizer} does not support sparse gradients; use sparse=False in nn.Embedding")
    if torch.is_complex(grad):
        raise RuntimeError(f"{optimizer} does not support complex gradients; hold real and imaginary parts")


def gather(group: dict[str, Any], state: Any, names: tuple[str, ...], optimizer: str) -> Iterator[Batch]:
    """Advances the step of every parameter with a gradient and yields them in batches.

    Args:
        group: the parameter group.
        state: the optimizer's state, to which the moments are added where missing.
        names: the moments, tensors in the shape of the parameter and its ``accumulator_dtype``.
        optimizer: its name, for errors.
    """
    kinds: dict[tuple[torch.device, torch.dtype, torch.dtype, int], list[Tensors]] = defaultdict(list)
    for param in group["params"]:
        if param.grad is None:
            continue
        _check_gradient(param.grad, optimizer)
        own = state[param]
        if not own:
            own["step"] = 0
            dtype = accumulator_dtype(param)
            for name in names:
                own[name] = torch.zeros_like(param, dtype=dtype, memory_format=torch.preserve_format)
        own["step"] += 1
        row = [param, param.grad, *(own[name] for name in names)]
        kinds[param.device, param.dtype, param.grad.dtype, own["step"]].append(row)
    for (device, _, _, step), rows in kinds.items():
        for part in _parts(rows, device, group["foreach"]):
            params, grads, *moments = map(list, zip(*part, strict=True))
            yield Batch(group, step, params, grads, moments)


def _parts(rows: list[Tensors], device: torch.device, foreach: bool | None) -> Iterator[list[Tensors]]:
    """Splits rows of tensors: one by one without foreach, all together, or by what a CPU's cache holds."""
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
    """Views of at most ``CPU_ELEMENTS`` elements of all tensors of a row, where their memory allows it."""
    if row[0].numel() <= CPU_ELEMENTS or not all(tensor.is_contiguous() for tensor in row):
        yield row
    else:
        yield from map(list, zip(*(t.view(-1).split(CPU_ELEMENTS) for t in row), strict=True))
