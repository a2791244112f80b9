"""What trained a trial: whether what it goes on with, or is compared with, is still the same program."""

from collections.abc import Mapping
from typing import Any

PROGRAM = "program"  # the digest of what a trial computes (``training.program``), in provenances
# What a traced program depends on besides its code; the processor may round a constant that a task computes.
_TRACED_BY = ("versions", "device", "processor", "jax_default_matmul_precision", "micro_batch")


def origin(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """The facts of a provenance that two programs are compared by."""
    return {fact: provenance[fact] for fact in (PROGRAM, *_TRACED_BY) if fact in provenance}


def edited(before: Mapping[str, Any], now: Mapping[str, Any]) -> bool | None:
    """Whether the optimiser, the task or the training loop computes something else than before.

    Args:
        before: the provenance or origin of a trial.
        now: that of another.

    Returns:
        None if that cannot be said, because one of them has no digest, or they were traced by other versions,
        for another device or on another processor.
    """
    alike = all(before.get(fact) == now.get(fact) for fact in _TRACED_BY)
    return before[PROGRAM] != now[PROGRAM] if alike and PROGRAM in before and PROGRAM in now else None
