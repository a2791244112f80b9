"""Floating-point operations of an epoch, counted in the program before XLA has it. For accelerator.py."""

import math


def products(task):
    """Floating-point operations in products and convolutions of one epoch of one trial with Adam."""
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
    """Those of a jaxpr; what multiplies a zero that a stride put there is none."""
    total = 0
    for equation in jaxpr.eqns:
        size = math.prod(equation.outvars[0].aval.shape) if equation.outvars else 0
        if equation.primitive.name == "dot_general":
            ((contracted, _), _) = equation.params["dimension_numbers"]
            total += 2 * size * math.prod(equation.invars[0].aval.shape[axis] for axis in contracted)
        elif equation.primitive.name == "conv_general_dilated":
            kernel, numbers = equation.invars[1].aval.shape, equation.params["dimension_numbers"]
            each = 2 * size * math.prod(kernel) // kernel[numbers.rhs_spec[0]]
            # The gradient to the input of a strided convolution is one of cotangents with zeros in between.
            total += each // math.prod(equation.params["lhs_dilation"])
        elif equation.primitive.name == "cond":
            # A convolution has a branch for each kind of device, the last for accelerators. That for CPUs has
            # a gradient to the images of the first layer too, which XLA leaves out.
            total += operations(equation.params["branches"][-1].jaxpr)
        else:
            inner = [
                value for value in equation.params.values() if hasattr(getattr(value, "jaxpr", value), "eqns")
            ]
            total += equation.params.get("length", 1) * sum(
                operations(getattr(value, "jaxpr", value)) for value in inner
            )
    return total
