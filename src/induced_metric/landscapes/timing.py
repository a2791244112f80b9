"""What an iteration costs, with every optimiser compiled alike.

Three ways to run the same iterations are measured, because the published run-time gap comes from mixing
them: the notebook jitted its own optimisers and let optax's run operation by operation.

``compiled``  the whole run is one program, as in this package; gradient included.
``stepped``   every update is one jitted call and Python tests f after each; gradient included.
``eager``     the same, with the optimiser's operations dispatched one by one.
"""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pandas as pd

from induced_metric.landscapes.candidates import Candidate, Case, cases
from induced_metric.landscapes.descent import CompiledDescent
from induced_metric.landscapes.functions import Landscape
from induced_metric.landscapes.settings import TimingSettings

LEARNING_RATE = 1e-4
"""Small enough that no optimiser leaves the domain, so that all run all iterations."""


class _Measured(NamedTuple):
    case: Case
    mode: str
    iterations: int  # of one measurement
    compile_seconds: float  # or of loading from the compilation cache; NaN where nothing is compiled
    run: Callable[[], Any]  # runs the iterations, and waits until the device is done


def measure(
    landscapes: Mapping[str, Landscape],
    candidates: Sequence[Candidate],
    settings: TimingSettings,
    *,
    device: jax.Device,
) -> pd.DataFrame:
    """One row per function, optimiser and mode.

    Columns: ``compile_seconds``, ``seconds_per_iteration`` (median over rounds), ``low`` and ``high``
    (quartiles) and ``rounds``. A round measures everything once, one after the other, so that whatever
    disturbs the machine for a while disturbs all alike.
    """
    with jax.default_device(device):
        measured = [
            each
            for case in cases(landscapes, candidates, controls=False)
            for each in _ways(case, settings, device)
        ]
        for each in measured:
            each.run()
        seconds: list[list[float]] = [[] for _ in measured]
        for _ in range(settings.rounds):
            for each, measurements in zip(measured, seconds, strict=True):
                begun = time.perf_counter()
                each.run()
                measurements.append((time.perf_counter() - begun) / each.iterations)
    rows = []
    for each, measurements in zip(measured, seconds, strict=True):
        low, median, high = statistics.quantiles(measurements, n=4, method="inclusive")
        rows.append(
            {
                "function": each.case.function,
                "optimizer": each.case.candidate.name,
                "mode": each.mode,
                "compile_seconds": each.compile_seconds,
                "seconds_per_iteration": median,
                "low": low,
                "high": high,
                "rounds": settings.rounds,
            }
        )
    return pd.DataFrame(rows)


def _ways(case: Case, settings: TimingSettings, device: jax.Device) -> list[_Measured]:
    landscape, candidate = case.landscape, case.candidate
    names = list(candidate.grid)
    hyperparameters = {key: candidate.default[key] for key in names} | {"learning_rate": LEARNING_RATE}
    optimizer = candidate.partial(names)
    start = jnp.asarray(landscape.start)
    # No value lies 1 below the minimum, so the program runs all its iterations.
    descent = CompiledDescent(
        landscape, optimizer, names, tolerances=[-1.0], iterations=settings.compiled, device=device
    )
    columns = {key: np.array([value]) for key, value in hyperparameters.items()}
    runs = np.asarray(start)[None]

    def run_compiled() -> None:
        made = int(descent(columns, runs).steps[0])
        if made != settings.compiled:
            raise RuntimeError(
                f"{candidate.name} on {case.function} stopped after {made} of {settings.compiled} iterations"
            )

    value_and_gradient = jax.jit(jax.value_and_grad(landscape.fn))
    transformation = optax.with_extra_args_support(optimizer(**hyperparameters))

    @jax.jit
    def step(theta: Any, state: Any) -> Any:
        value, gradient = jax.value_and_grad(landscape.fn)(theta)
        updates, state = transformation.update(gradient, state, theta, value=value)
        return optax.apply_updates(theta, updates), state, value

    def run_stepped() -> None:
        theta, state = start, transformation.init(start)
        for _ in range(settings.stepped):
            theta, state, value = step(theta, state)
            float(value)

    def run_eager() -> None:
        theta, state = start, transformation.init(start)
        for _ in range(settings.eager):
            value, gradient = value_and_gradient(theta)
            updates, state = transformation.update(gradient, state, theta, value=value)
            theta = optax.apply_updates(theta, updates)
            float(value)

    begun = time.perf_counter()
    jax.device_get(step(start, transformation.init(start)))
    step_seconds = time.perf_counter() - begun
    return [
        _Measured(case, "compiled", settings.compiled, descent.compile_seconds, run_compiled),
        _Measured(case, "stepped", settings.stepped, step_seconds, run_stepped),
        _Measured(case, "eager", settings.eager, float("nan"), run_eager),
    ]
