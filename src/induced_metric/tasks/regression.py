"""Regression of a random polynomial with a small MLP (paper, Section 3.2)."""

import functools
import itertools
from collections.abc import Sequence
from typing import Unpack

import jax
import jax.numpy as jnp
import numpy as np

from induced_metric.errors import UserError
from induced_metric.models.mlp import MLP
from induced_metric.tasks.base import Batch, ModelState, Params, RunSettings, Task, model_dtype

# The published script asks for six variables, but its points have four columns. JAX clamps an index that is
# out of range, so variables 5 and 6 read the last column. This is part of the data's definition.
_COLUMN_OF_VARIABLE = (0, 1, 2, 3, 3, 3)
_DEGREE = 6
_FRESH = 2  # the seed of further points; seeds 0 and 1 make the published data


def polynomial_data(
    points: int, fresh: int = 0, *, published_bits: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """The published data set: standard normal points and a random polynomial of total degree <= 6.

    The coefficients of all 924 monomials in six variables are standard normal; y is standardised by mean and
    deviation over the published points.

    Args:
        points: number of points; the published data set has 13,312.
        fresh: number of further points, which are drawn independently, follow the others and leave them
            unchanged.
        published_bits: whether the points and coefficients are the paper's, or those that JAX's generator
            gives for the same seeds today, which are another data set.

    Returns:
        x of shape [points + fresh, 4] and y of shape [points + fresh], float32.

    Raises:
        UserError: if JAX may not use the CPU.
    """
    powers = np.array(
        [
            power
            for degree in range(_DEGREE + 1)
            for power in itertools.product(range(degree + 1), repeat=len(_COLUMN_OF_VARIABLE))
            if sum(power) == degree
        ]
    )
    normal = functools.partial(_normal, published_bits=published_bits)
    x = np.concatenate([normal(0, (points, 4)), normal(_FRESH, (fresh, 4))])
    coefficients = normal(1, (len(powers),))
    # power_of[k] holds every variable to the k-th power. It is float64, so that the sum of 924 terms is
    # exact to float32 precision and the same on every machine.
    power_of = np.stack([x[:, _COLUMN_OF_VARIABLE].astype(np.float64) ** k for k in range(_DEGREE + 1)])
    variables = np.arange(len(_COLUMN_OF_VARIABLE))
    y = np.zeros(len(x))
    for coefficient, power in zip(coefficients.astype(np.float64), powers, strict=True):
        y += coefficient * power_of[power, :, variables].prod(axis=0)
    return x, ((y - y[:points].mean()) / y[:points].std()).astype(np.float32)


def _normal(seed: int, shape: tuple[int, ...], *, published_bits: bool) -> np.ndarray:
    """Standard normal numbers, with the same bits whatever JAX's default device and precision are."""
    try:
        cpu = jax.local_devices(backend="cpu")[0]
    except RuntimeError as error:
        raise UserError(
            "the regression data set is drawn on the CPU, because accelerators round differently: "
            f"JAX_PLATFORMS must name cpu too ({error})"
        ) from error
    # JAX's default for this flag was False when the paper's data was made, and is True now.
    with jax.default_device(cpu), jax.threefry_partitionable(not published_bits):
        key = jax.random.key(seed, impl="threefry2x32")
        return np.asarray(jax.random.normal(key, shape, np.float32))


def regression(
    *,
    train_examples: int,
    test_examples: int,
    fresh_examples: int,
    published_bits: bool,
    widths: Sequence[int],
    **run: Unpack[RunSettings],
) -> Task:
    """Builds the task: mean squared error of an MLP, as published 4-32-32-1 (N = 1,249 parameters).

    The loss of an evaluation is the mean squared error over the whole split.

    Args:
        train_examples: training examples, the first of the published data set.
        test_examples: test examples, the next ones. The total number of both changes the polynomial's scale.
        fresh_examples: number of further points of the same polynomial, in a validation split and in a test
            split that replaces the published one. 0 keeps the published splits, without validation.
        published_bits: as in ``polynomial_data``; False makes another data set.
        widths: widths of the layers; the last has one unit.
        run: see ``RunSettings``.

    Raises:
        ValueError: for a setting out of range.
        UserError: if JAX may not use the CPU, which draws the data.
    """
    if min(train_examples, test_examples) < 1 or fresh_examples < 0:
        raise ValueError(
            "train_examples and test_examples must be >= 1 and fresh_examples >= 0, "
            f"got {train_examples}, {test_examples} and {fresh_examples}"
        )
    published = train_examples + test_examples
    x, y = polynomial_data(published, 2 * fresh_examples, published_bits=published_bits)
    ends = {"train": (0, train_examples), "test": (train_examples, published)}
    if fresh_examples:
        middle = published + fresh_examples
        ends |= {"validation": (published, middle), "test": (middle, middle + fresh_examples)}
    model = MLP(tuple(widths), model_dtype(run))

    def init(key: jax.Array) -> tuple[Params, ModelState]:
        return model.init(key, jnp.zeros((1, x.shape[1])))["params"], {}

    def mean_squared_error(params: Params, batch: Batch) -> jax.Array:
        inputs, targets = batch
        return jnp.mean(jnp.square(model.apply({"params": params}, inputs)[:, 0] - targets))

    return Task(
        splits={split: (x[first:last], y[first:last]) for split, (first, last) in ends.items()},
        init=init,
        loss=lambda params, model_state, batch, _: (mean_squared_error(params, batch), (model_state, {})),
        metrics=lambda params, _, batch: {"loss": mean_squared_error(params, batch)},
        direction="minimize",
        **run,
    )
