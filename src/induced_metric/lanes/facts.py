"""What a record says about the devices and lanes that trained it."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from induced_metric.lanes.engine import Lanes

_FLOAT32_BITS = 23  # of a float32's significand after the first
_PRECISIONS = {_FLOAT32_BITS: "float32", 10: "tensorfloat32", 7: "bfloat16"}


def device_facts(matmul_precision: str | None = None) -> dict[str, Any]:
    """What a record says about the devices that trained it.

    Args:
        matmul_precision: the precision asked for, by JAX's name; by default JAX's own.
    """
    devices = jax.devices()
    with jax.default_matmul_precision(matmul_precision or jax.config.jax_default_matmul_precision):  # type: ignore[attr-defined]
        return {
            "device": devices[0].device_kind,
            "devices": len(devices),
            "jax_default_matmul_precision": jax.config.jax_default_matmul_precision,  # type: ignore[attr-defined]
            "matmul_precision": _matmul_precision(),
        }


def lane_facts(lanes: Lanes) -> dict[str, Any]:
    """What a record says about the lanes that trained it; ``records`` says what ``seconds`` are then."""
    places = lanes.capacity // (lanes.width * lanes.queue)
    facts = {"layout": lanes.layout, "width": lanes.width, "queue": lanes.queue, "places": places}
    return {"lanes": facts | lanes.facts}


def _matmul_precision() -> str:
    """Measures the precision of float32 matrix products on the default device: defaults differ by device."""
    # 1 + 2^-k survives a product with the identity if factors keep at least k bits after the first.
    numbers = np.ones(128, np.float32)
    numbers[:_FLOAT32_BITS] += 2.0 ** -np.arange(1, _FLOAT32_BITS + 1)
    product = np.diag(jax.device_get(jnp.diag(numbers) @ jnp.eye(len(numbers), dtype=jnp.float32)))
    kept = (product == numbers)[:_FLOAT32_BITS]
    bits = _FLOAT32_BITS if kept.all() else int(kept.argmin())
    return _PRECISIONS.get(bits, f"{bits} bits")
