"""Our convolution is XLA's, with its gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from induced_metric.models.convolution import convolve


@settings(max_examples=40, deadline=None)
@given(
    examples=st.sampled_from([1, 2, 8, 9, 64, 65, 130]),  # around the parts that a batch is computed in
    size=st.tuples(st.integers(3, 8), st.integers(3, 8)),
    window=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    strides=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    padding=st.sampled_from(["SAME", "VALID", ((1, 0), (0, 2))]),
)
def test_convolution_and_gradients_are_those_of_jax(examples, size, window, strides, padding):
    keys = jax.random.split(jax.random.key(0), 2)
    images = jax.random.normal(keys[0], (examples, *size, 3))
    kernel = jax.random.normal(keys[1], (*window, 3, 4))

    def native(images, kernel):
        return jax.lax.conv_general_dilated(
            images, kernel, strides, padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
        )

    def value(convolution):
        return jax.value_and_grad(lambda *inputs: jnp.sum(jnp.sin(convolution(*inputs))), (0, 1))(
            images, kernel
        )

    ours, theirs = value(lambda *inputs: convolve(*inputs, strides, padding)), value(native)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-3), ours, theirs)


@pytest.mark.parametrize("stride", [1, 2])
def test_on_cpu_no_convolution_has_an_order_without_fast_kernels(stride):
    """XLA puts no convolution inside a loop into this order; the kernel's gradient is a matrix product."""

    def loss(images, kernel):
        return jnp.sum(convolve(images, kernel, (stride, stride), "SAME") ** 2)

    text = str(
        jax.jit(jax.grad(loss, (0, 1)))
        .lower(jnp.zeros((2, 8, 8, 3)), jnp.zeros((3, 3, 3, 4)))
        .compiler_ir("stablehlo")
    )
    convolutions = [line for line in text.splitlines() if "stablehlo.convolution" in line]
    assert len(convolutions) == 2
    for line in convolutions:
        assert "[b, 0, 1, f]x[0, 1, i, o]->[b, 0, 1, f]" in line
