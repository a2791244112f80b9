"""Optimisers that use the metric that the graph of the loss inherits from the space around it.

The names below load on first use, so that ``induced_metric.torch`` never imports JAX.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from induced_metric.optimizers import (
        adam,
        adamw,
        adamw_metric,
        induced_metric,
        lion_metric,
        muon,
        muon_metric,
        scale_by_induced_metric,
        sgd,
        sgd_log_metric,
        sgd_log_rms,
        sgd_metric,
        sgd_rms,
    )

__all__ = [
    "adam",
    "adamw",
    "adamw_metric",
    "induced_metric",
    "lion_metric",
    "muon",
    "muon_metric",
    "scale_by_induced_metric",
    "sgd",
    "sgd_log_metric",
    "sgd_log_rms",
    "sgd_metric",
    "sgd_rms",
]


_MODULES = ("optimizers", "torch")


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(importlib.import_module("induced_metric.optimizers"), name)
    if name in _MODULES:
        return importlib.import_module(f"induced_metric.{name}")
    if name == "__version__":
        from importlib.metadata import version

        return version("induced-metric")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "optimizers"]  # torch may not be installed, and the version is of an installed package
