"""Our convolution is XLA's, with its gradients."""

import contextlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from hypothesis import example, given, settings
from hypothesis import strategies as st

from induced_metric.models.convolution import convolve

pytestmark = pytest.mark.slow


def sharing(devices):
    """The mesh of so many devices in context, if more than one."""
    mesh = jax.sharding.Mesh(jax.devices()[:devices], "data")
    return jax.set_mesh(mesh) if devices > 1 else contextlib.nullcontext()


@settings(max_examples=40, deadline=None)
@given(
    examples=st.sampled_from([1, 2, 8, 9, 18, 64, 65, 130]),  # around the parts that a batch is computed in
    size=st.tuples(st.integers(3, 8), st.integers(3, 8)),
    window=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    strides=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    padding=st.sampled_from(["SAME", "VALID", ((1, 0), (0, 2))]),
    features=st.sampled_from([4, 40]),  # few and many: their kernels' gradients are computed otherwise
    devices=st.sampled_from([1, 2]),
)
@example(examples=18, size=(24, 24), window=(3, 3), strides=(1, 1), padding="SAME", features=4, devices=2)
@example(examples=18, size=(24, 24), window=(3, 3), strides=(1, 1), padding="SAME", features=40, devices=2)
@pytest.mark.exhaustive
def test_convolution_and_gradients_are_those_of_jax(
    examples, size, window, strides, padding, features, devices
):
    keys = jax.random.split(jax.random.key(0), 2)
    images = jax.random.normal(keys[0], (examples, *size, 3))
    kernel = jax.random.normal(keys[1], (*window, 3, features))

    def native(images, kernel):
        return jax.lax.conv_general_dilated(
            images, kernel, strides, padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
        )

    def value(convolution):
        return jax.jit(jax.value_and_grad(lambda *inputs: jnp.sum(jnp.sin(convolution(*inputs))), (0, 1)))(
            images, kernel
        )

    theirs = value(native)
    with sharing(devices):
        ours = value(lambda *inputs: convolve(*inputs, strides, padding))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-3), ours, theirs)


@pytest.mark.parametrize("features", [1, 40])
@pytest.mark.parametrize("devices", [1, 2])
def test_sums_of_the_gradient_to_a_kernel_are_kept_in_float32(devices, features):
    images, kernel = jnp.ones((130, 16, 16, 1), jnp.bfloat16), jnp.ones((1, 2, 1, features), jnp.bfloat16)

    def loss(kernel):
        return jnp.sum(convolve(images, kernel, (1, 1), "VALID").astype(jnp.float32))

    with sharing(devices):
        gradient = jax.jit(jax.grad(loss))(kernel)
    assert gradient.dtype == jnp.bfloat16
    # In bfloat16 a sum of ones stops at 256.
    np.testing.assert_allclose(gradient.astype(jnp.float32), 130 * 16 * 15, rtol=2**-8)


@pytest.mark.parametrize(("features", "count"), [(32, 3), (33, 2)])
@pytest.mark.parametrize("stride", [1, 2])
def test_on_cpu_no_convolution_has_an_order_without_fast_kernels(stride, features, count):
    """XLA puts no convolution inside a loop into this order; the gradient of a wide kernel is a product."""

    def loss(images, kernel):
        return jnp.sum(convolve(images, kernel, (stride, stride), "SAME") ** 2)

    text = str(
        jax.jit(jax.grad(loss, (0, 1)))
        .lower(jnp.zeros((2, 8, 8, 3)), jnp.zeros((3, 3, 3, features)))
        .compiler_ir("stablehlo")
    )
    convolutions = [line for line in text.splitlines() if "stablehlo.convolution" in line]
    assert len(convolutions) == count
    for line in convolutions:
        assert "[b, 0, 1, f]x[0, 1, i, o]->[b, 0, 1, f]" in line


def test_options_of_flax_at_their_defaults_are_accepted():
    images = jnp.ones((2, 4, 4, 3))
    ours = nn.Conv(5, (3, 3), conv_general_dilated=convolve)
    params = ours.init(jax.random.key(0), images)
    np.testing.assert_allclose(
        ours.apply(params, images), nn.Conv(5, (3, 3)).apply(params, images), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize(
    "options",
    [
        {"input_dilation": 2},
        {"kernel_dilation": 2},
        {"feature_group_count": 3},
        {"precision": "highest"},
    ],
)
def test_options_that_would_be_ignored_are_refused(options):
    layer = nn.Conv(6, (3, 3), conv_general_dilated=convolve, **options)
    with pytest.raises(ValueError, match="convolve does not support"):
        layer.init(jax.random.key(0), jnp.ones((2, 8, 8, 3)))


def test_another_order_of_dimensions_is_refused():
    with pytest.raises(ValueError, match="does not support dimension_numbers"):
        convolve(
            jnp.ones((2, 3, 8, 8)),
            jnp.ones((3, 3, 3, 4)),
            (1, 1),
            "SAME",
            dimension_numbers=("NCHW", "HWIO", "NCHW"),
        )
