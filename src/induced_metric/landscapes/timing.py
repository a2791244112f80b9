"""What an iteration costs, with every optimizer compiled alike.

Three ways to run the same iterations are measured, because the published run-time gap comes from mixing
them: the notebook jitted its own optimizers and let optax's run operation by operation.

``compiled``  the whole descent is one program, as in this package; gradient included.
``stepped``   every update is one jitted call and Python tests f after each; gradient included.
``eager``     the same, with the optimizer's operations dispatched one by one.
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

from induced_metric.landscapes.candidates import Contender
from induced_metric.landscapes.descent import Program, update
from induced_metric.landscapes.functions import Landscape

LEARNING_RATE = 1e-4
"""Small enough that no optimizer leaves the domain, so that all run all iterations."""


class _Measured(NamedTuple):
    function: str
    optimizer: str
    mode: str
    iterations: int  # of one measurement
    compile_seconds: float  # or of loading from the compilation cache; NaN where nothing is compiled
    run: Callable[[], Any]  # the iterations, until the device is done


def measure(
    landscapes: Mapping[str, Landscape],
    contenders: Sequence[Contender],
    *,
    compiled: int,
    stepped: int,
    eager: int,
    rounds: int,
    device: jax.Device,
) -> pd.DataFrame:
    """One row a function, optimizer and mode; ``compiled``, ``stepped`` and ``eager`` are iterations a round.

    Columns: ``compile_seconds``, ``seconds_per_iteration`` (median over rounds), ``low`` and ``high``
    (quartiles) and ``rounds``. A round measures everything once, one after the other, so that what
    disturbs the machine for a while disturbs all alike.
    """
    with jax.default_device(device):
        subjects = [
            subject
            for name, landscape in landscapes.items()
            for contender in contenders
            for subject in _subjects(name, landscape, contender, compiled, stepped, eager, device)
        ]
        for subject in subjects:
            subject.run()
        seconds: list[list[float]] = [[] for _ in subjects]
        for _ in range(rounds):
            for subject, measured in zip(subjects, seconds, strict=True):
                begun = time.perf_counter()
                subject.run()
                measured.append((time.perf_counter() - begun) / subject.iterations)
    rows = []
    for subject, measured in zip(subjects, seconds, strict=True):
        low, median, high = statistics.quantiles(measured, n=4, method="inclusive")
        rows.append(
            {
                "function": subject.function,
                "optimizer": subject.optimizer,
                "mode": subject.mode,
                "compile_seconds": subject.compile_seconds,
                "seconds_per_iteration": median,
                "low": low,
                "high": high,
                "rounds": rounds,
            }
        )
    return pd.DataFrame(rows)


def _subjects(
    name: str,
    landscape: Landscape,
    contender: Contender,
    compiled: int,
    stepped: int,
    eager: int,
    device: jax.Device,
) -> list[_Measured]:
    names = list(contender.grid)
    settings = {key: contender.default[key] for key in names} | {"learning_rate": LEARNING_RATE}
    optimizer = contender.partial(names)
    start = jnp.asarray(landscape.start)
    # No value lies 1 below the minimum, so the program runs all its iterations.
    program = Program(
        landscape, optimizer, names, tolerances=[-1.0], iterations=compiled, tile=1, device=device
    )
    columns = {key: np.array([value]) for key, value in settings.items()}

    def run_compiled() -> None:
        made = int(program(columns, runs).steps[0])
        if made != compiled:
            raise RuntimeError(f"{contender.name} on {name} stopped after {made} of {compiled} iterations")

    value_and_gradient = jax.jit(jax.value_and_grad(landscape.fn))
    transformation = optimizer(**settings)

    @jax.jit
    def step(theta: Any, state: Any) -> Any:
        value, gradient = jax.value_and_grad(landscape.fn)(theta)
        updates, state = update(transformation, gradient, state, theta, value)
        return optax.apply_updates(theta, updates), state, value

    def run_stepped() -> None:
        theta, state = start, transformation.init(start)
        for _ in range(stepped):
            theta, state, value = step(theta, state)
            float(value)

    def run_eager() -> None:
        theta, state = start, transformation.init(start)
        for _ in range(eager):
            value, gradient = value_and_gradient(theta)
            updates, state = update(transformation, gradient, state, theta, value)
            theta = optax.apply_updates(theta, updates)
            float(value)

    begun = time.perf_counter()
    jax.device_get(step(start, transformation.init(start)))
    step_seconds = time.perf_counter() - begun
    runs = np.asarray(start)[None]
    return [
        _Measured(
            name,
            contender.name,
            "compiled",
            compiled,
            program.compile_seconds,
            run_compiled,
        ),
        _Measured(name, contender.name, "stepped", stepped, step_seconds, run_stepped),
        _Measured(name, contender.name, "eager", eager, float("nan"), run_eager),
    ]
