"""Time of one optimizer step, as a ratio to Adam's in the same run.

    python benchmarks/optimizers.py jax      # to optax.adam, state and parameters donated
    python benchmarks/optimizers.py torch    # to torch.optim.AdamW(foreach=True)

Every round takes one sample of every optimizer, so that noise of the machine meets all alike; a ratio is
that of the medians. The last row is the paper's claim that the metric costs "one extra dot product over
SGD": the time of ``sgd_metric`` beyond SGD with the same momentum, in dot products of that size.
"""

import argparse
import math
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

SIZES = {
    "10M vector": [(10_000_000,)],
    "10 x 1000²": [(1000, 1000)] * 10,
    "100k vector": [(100_000,)],
    "10 x 100²": [(100, 100)] * 10,
}
SMALL = 1_000_000  # elements; below it, a sample is many steps
STEPS_OF_A_SMALL_SAMPLE = 50
DOT, SGD, METRIC = "dot product", "sgd with an EMA", "sgd_metric"


def medians(steps: dict[str, Callable[[], None]], rounds: int, repeats: int) -> dict[str, float]:
    """Median seconds of a call of each, interleaved; each call must wait for its own result."""
    samples: dict[str, list[float]] = {name: [] for name in steps}
    for step in steps.values():
        step()
    for _ in range(rounds):
        for name, step in steps.items():
            start = time.perf_counter()
            for _ in range(repeats):
                step()
            samples[name].append((time.perf_counter() - start) / repeats)
    return {name: statistics.median(times) for name, times in samples.items()}


def jax_steps(shapes: list[tuple[int, ...]]) -> dict[str, Callable[[], None]]:
    import jax
    import jax.numpy as jnp
    import numpy as np
    import optax

    import induced_metric

    rng = np.random.default_rng(0)
    grads = [jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in shapes]
    loss = jnp.asarray(2.0)

    def stepper(optimizer: Any) -> Callable[[], None]:
        optimizer = optax.with_extra_args_support(optimizer)

        @partial(jax.jit, donate_argnums=0)
        def step(carry: Any, grads: Any, loss: Any) -> Any:
            params, state = carry
            updates, state = optimizer.update(grads, state, params, value=loss)
            return optax.apply_updates(params, updates), state

        params = [jnp.ones(shape) for shape in shapes]
        carry = (params, optimizer.init(params))

        def run() -> None:
            nonlocal carry
            carry = jax.block_until_ready(step(carry, grads, loss))

        return run

    dot = jax.jit(lambda grads: sum(jnp.vdot(g, g) for g in grads))
    ema = optax.chain(optax.ema(0.9, debias=True), optax.scale_by_learning_rate(1e-3))
    return {
        "adam": stepper(optax.adam(1e-3)),
        "adamw": stepper(optax.adamw(1e-3)),
        "sgd": stepper(optax.sgd(1e-3, momentum=0.9)),
        SGD: stepper(ema),
        METRIC: stepper(induced_metric.sgd_metric(1e-3)),
        "sgd_log_metric": stepper(induced_metric.sgd_log_metric(1e-3)),
        "sgd_rms": stepper(induced_metric.sgd_rms(1e-3)),
        "sgd_log_rms": stepper(induced_metric.sgd_log_rms(1e-3)),
        "adamw_metric": stepper(induced_metric.adamw_metric(1e-3)),
        DOT: lambda: jax.block_until_ready(dot(grads)) and None,
    }


def torch_steps(shapes: list[tuple[int, ...]]) -> dict[str, Callable[[], None]]:
    import torch

    from induced_metric.torch import SGDRMS, SGDLogMetric, SGDMetric

    torch.manual_seed(0)
    grads = [torch.randn(shape) for shape in shapes]
    loss = torch.tensor(2.0)

    def stepper(factory: Callable[..., Any], **step_arguments: Any) -> Callable[[], None]:
        params = [torch.nn.Parameter(torch.ones(shape)) for shape in shapes]
        for param, grad in zip(params, grads, strict=True):
            param.grad = grad
        optimizer = factory(params, lr=1e-3)
        return lambda: optimizer.step(**step_arguments)

    def dot() -> None:
        sum(torch.dot(g.view(-1), g.view(-1)) for g in grads)

    return {
        "AdamW": stepper(partial(torch.optim.AdamW, foreach=True)),
        SGD: stepper(partial(torch.optim.SGD, momentum=0.9, dampening=0.9, foreach=True)),
        METRIC: stepper(SGDMetric),
        "sgd_log_metric": stepper(SGDLogMetric, loss=loss),
        "sgd_rms": stepper(SGDRMS),
        "sgd_rms, foreach=False": stepper(partial(SGDRMS, foreach=False)),
        DOT: dot,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("framework", choices=["jax", "torch"])
    parser.add_argument("--rounds", type=int, default=21)
    arguments = parser.parse_args()
    build = {"jax": jax_steps, "torch": torch_steps}[arguments.framework]

    columns = {}
    for size, shapes in SIZES.items():
        elements = sum(math.prod(shape) for shape in shapes)
        repeats = STEPS_OF_A_SMALL_SAMPLE if elements < SMALL else 1
        columns[size] = medians(build(shapes), arguments.rounds, repeats)

    names = list(next(iter(columns.values())))
    print(f"{'ratio to ' + names[0]:28}" + "".join(f"{size:>14}" for size in columns))
    for name in names:
        print(f"{name:28}" + "".join(f"{times[name] / times[names[0]]:14.2f}" for times in columns.values()))
    extra = [(times[METRIC] - times[SGD]) / times[DOT] for times in columns.values()]
    print(f"{'metric over sgd, in dots':28}" + "".join(f"{dots:14.2f}" for dots in extra))
    milliseconds = [1e3 * times[names[0]] for times in columns.values()]
    print(f"{names[0] + ', ms (this machine)':28}" + "".join(f"{ms:14.3f}" for ms in milliseconds))


if __name__ == "__main__":
    main()
