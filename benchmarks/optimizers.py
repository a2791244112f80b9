"""Time of one optimiser step, as a ratio to Adam's in the same run.

    python benchmarks/optimizers.py jax      # to optax.adam, state and parameters donated
    python benchmarks/optimizers.py torch    # to torch.optim.AdamW(foreach=True)

Every round takes one sample of every optimiser, so that noise of the machine affects all of them alike. A
ratio is the ratio of the medians. A sample of a small size is many steps, each depending on the last, with
one wait at the end. The last rows test the paper's claim that the metric costs "one extra dot product over
SGD": the additional time of ``sgd_metric`` over SGD with the same momentum, in dot products of that size.

Variants that were tried for the JAX ``sgd_rms`` with 10M parameters (ratio to adam, two cores, JAX 0.10 and
0.12). The norm and the update both need γ⁻¹. On a CPU, XLA writes a value that two consumers share to a new
buffer, whose page faults cost more than the arithmetic.

    4.5   written plainly; 3.9 with the bias corrections folded into scalars
    4.7   a blocked sum, (n / 1024, 1024) first over rows: the products are also materialised
    5.1   a barrier that forces the second moment into memory: this is not the shared value
    3.8   the norm from the old second moment: its in-place update then needs a copy
    3.1   √(r k²) in one place and √r k in the other: the root is no longer shared, but ε still is
    1.4   a barrier on (r, k, ε) of every leaf before the norm: nothing is shared or written;
          a barrier on the scalars alone is merged across leaves (1.7 for 10 matrices)

By its passes over memory it could take 12/10 of adam's time, as XLA runs it; the rest is the second root and
division.
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
SMALL = 1_000_000  # elements; with fewer, a sample is many steps
STEPS_OF_A_SMALL_SAMPLE = 50
DOT, SGD, METRIC = "dot product", "sgd with an EMA", "sgd_metric"


def medians(runs: dict[str, Callable[[int], None]], rounds: int, repeats: int) -> dict[str, float]:
    """Median seconds per step of each run, interleaved; ``run(n)`` takes n steps and waits for them."""
    samples: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        run(2)
    for _ in range(rounds):
        for name, run in runs.items():
            start = time.perf_counter()
            run(repeats)
            samples[name].append((time.perf_counter() - start) / repeats)
    return {name: statistics.median(times) for name, times in samples.items()}


def jax_runs(shapes: list[tuple[int, ...]]) -> dict[str, Callable[[int], None]]:
    import jax
    import jax.numpy as jnp
    import numpy as np
    import optax

    import induced_metric

    rng = np.random.default_rng(0)
    grads = [jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in shapes]
    loss = jnp.asarray(2.0)

    def runner(optimizer: Any) -> Callable[[int], None]:
        optimizer = optax.with_extra_args_support(optimizer)

        @partial(jax.jit, donate_argnums=0)
        def step(carry: Any, grads: Any, loss: Any) -> Any:
            params, state = carry
            updates, state = optimizer.update(grads, state, params, value=loss)
            return optax.apply_updates(params, updates), state

        params = [jnp.ones(shape) for shape in shapes]
        carry = (params, optimizer.init(params))

        def run(steps: int) -> None:
            nonlocal carry
            for _ in range(steps):
                carry = step(carry, grads, loss)
            jax.block_until_ready(carry)

        return run

    dot = jax.jit(lambda grads: sum(jnp.vdot(g, g) for g in grads))

    def run_dot(steps: int) -> None:
        jax.block_until_ready([dot(grads) for _ in range(steps)])

    ema = optax.chain(optax.ema(0.9, debias=True), optax.scale_by_learning_rate(1e-3))
    return {
        "adam": runner(optax.adam(1e-3)),
        "adamw": runner(optax.adamw(1e-3)),
        "sgd": runner(optax.sgd(1e-3, momentum=0.9)),
        SGD: runner(ema),
        METRIC: runner(induced_metric.sgd_metric(1e-3)),
        "sgd_log_metric": runner(induced_metric.sgd_log_metric(1e-3)),
        "sgd_rms": runner(induced_metric.sgd_rms(1e-3)),
        "sgd_log_rms": runner(induced_metric.sgd_log_rms(1e-3)),
        "adamw_metric": runner(induced_metric.adamw_metric(1e-3)),
        DOT: run_dot,
    }


def torch_runs(shapes: list[tuple[int, ...]]) -> dict[str, Callable[[int], None]]:
    import torch

    from induced_metric.torch import SGDRMS, SGDLogMetric, SGDMetric

    torch.manual_seed(0)
    grads = [torch.randn(shape) for shape in shapes]
    loss = torch.tensor(2.0)

    def runner(factory: Callable[..., Any], **step_arguments: Any) -> Callable[[int], None]:
        params = [torch.nn.Parameter(torch.ones(shape)) for shape in shapes]
        for param, grad in zip(params, grads, strict=True):
            param.grad = grad
        optimizer = factory(params, lr=1e-3)

        def run(steps: int) -> None:
            for _ in range(steps):
                optimizer.step(**step_arguments)

        return run

    def run_dot(steps: int) -> None:
        for _ in range(steps):
            sum(torch.dot(g.view(-1), g.view(-1)) for g in grads)

    return {
        "AdamW": runner(partial(torch.optim.AdamW, foreach=True)),
        SGD: runner(partial(torch.optim.SGD, momentum=0.9, dampening=0.9, foreach=True)),
        METRIC: runner(SGDMetric),
        "sgd_log_metric": runner(SGDLogMetric, loss=loss),
        "sgd_rms": runner(SGDRMS),
        "sgd_rms, foreach=False": runner(partial(SGDRMS, foreach=False)),
        DOT: run_dot,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("framework", choices=["jax", "torch"])
    parser.add_argument("--rounds", type=int, default=21)
    arguments = parser.parse_args()
    build = {"jax": jax_runs, "torch": torch_runs}[arguments.framework]

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
