"""Floating-point operations per epoch, counted in its program, and the peak rate; for accelerator.py."""

import math
import time

# JAX's names of the precisions.
PEAKS = {"float32": "float32", "tf32": "tensorfloat32", "bfloat16": "bfloat16"}


def products(task):
    """Floating-point operations in the products and convolutions of one epoch of one trial with Adam."""
    import jax
    import jax.numpy as jnp
    from ways import ADAM

    import induced_metric
    from induced_metric.training.epoch import init_trial, train_epoch

    def epoch(state, data):
        return train_epoch(task, induced_metric.adam, state, ADAM, data)

    state = jax.eval_shape(lambda seed: init_trial(task, induced_metric.adam, ADAM, seed), jnp.uint32(0))
    return operations(jax.make_jaxpr(epoch)(state, dict(task.splits)).jaxpr)


def operations(jaxpr):
    """The operations in a jaxpr; products with zeros that a stride inserted are not counted."""
    total = 0
    for equation in jaxpr.eqns:
        size = math.prod(equation.outvars[0].aval.shape) if equation.outvars else 0
        if equation.primitive.name == "dot_general":
            ((contracted, _), _) = equation.params["dimension_numbers"]
            total += 2 * size * math.prod(equation.invars[0].aval.shape[axis] for axis in contracted)
        elif equation.primitive.name == "conv_general_dilated":
            kernel, numbers = equation.invars[1].aval.shape, equation.params["dimension_numbers"]
            count = 2 * size * math.prod(kernel) // kernel[numbers.rhs_spec[0]]
            # The input's gradient of a strided convolution is a convolution of cotangents with zeros between.
            total += count // math.prod(equation.params["lhs_dilation"])
        elif equation.primitive.name == "cond":
            # A convolution has a branch for each kind of device; the last is for accelerators. The one for
            # CPUs also has a gradient of the first layer's images, which XLA leaves out.
            total += operations(equation.params["branches"][-1].jaxpr)
        else:
            inner = [
                value for value in equation.params.values() if hasattr(getattr(value, "jaxpr", value), "eqns")
            ]
            total += equation.params.get("length", 1) * sum(
                operations(getattr(value, "jaxpr", value)) for value in inner
            )
    return total


def peak(quick):
    """Operations per second of a large product on one device, by precision."""
    import jax
    import jax.numpy as jnp

    size = 256 if quick else 2048 if jax.default_backend() == "cpu" else 8192
    # Random numbers instead of ones, since the power that a card draws, and so its clock, depends on them.
    numbers = jax.random.normal(jax.random.key(0), (2, size, size))
    rates = {}
    for precision, name in PEAKS.items():
        a, b = numbers.astype(jnp.bfloat16 if precision == "bfloat16" else jnp.float32)
        with jax.default_matmul_precision(name):
            product = jax.jit(lambda a, b: a @ b)
            product(a, b).block_until_ready()
            times = []
            for _ in range(5):
                start = time.perf_counter()
                for _ in range(4):
                    out = product(a, b)
                out.block_until_ready()
                times.append((time.perf_counter() - start) / 4)
        rates[precision] = 2 * size**3 / min(times)
    return {"size": size, "flops": rates}
