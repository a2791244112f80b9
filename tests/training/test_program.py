"""Mistakes in an optimiser of one's own are said in a sentence that names the place."""

import dataclasses

import jax
import jax.numpy as jnp
import optax
import pytest

from induced_metric.errors import UserError
from induced_metric.training.program import trial_lanes

HERE = r"^optimizer: test_program\.py, line \d+: "


def transformation(update, *, extra=False):
    kind = optax.GradientTransformationExtraArgs if extra else optax.GradientTransformation
    return lambda learning_rate: kind(lambda params: (), update)


@pytest.mark.parametrize(
    ("optimizer", "said"),
    [
        (
            transformation(lambda grads, state, params=None: (grads["w"], state)),
            HERE + r"KeyError: 'w' \(update is called with grads, state, params",
        ),
        (
            transformation(
                lambda grads, state, params=None: (jax.tree.map(lambda x: jnp.ones((7, 7)) @ x, grads), state)
            ),
            HERE + "TypeError: dot_general",
        ),
        (
            transformation(lambda grads, state, params=None: grads),
            "^the optimiser's updates must have the shapes of the parameters",
        ),
        (
            transformation(lambda grads, state: (grads, state)),
            "^optimizer: TypeError: .* 2 positional arguments",
        ),
        (
            transformation(lambda grads, state, params=None, *, closure: (grads, state), extra=True),
            "^optimizer: TypeError: .* 'value' .*value=loss",
        ),
        (lambda learning_rate: optax.lbfgs(learning_rate), "^optimizer: TypeError: .* 'grad' and 'value_fn'"),
    ],
    ids=["key", "shapes", "updates alone", "no params", "closure", "line search"],
)  # fmt: skip
def test_an_error_in_the_optimizer_is_said_with_its_place(tiny_task, optimizer, said):
    with pytest.raises(UserError, match=said):
        trial_lanes(tiny_task, optimizer, {"learning_rate": 0.1})


def test_an_error_elsewhere_is_raised_as_it_is(tiny_task):
    def broken(params, model_state, batch, keys):
        raise KeyError("a task's own")

    with pytest.raises(KeyError, match="a task's own"):
        trial_lanes(dataclasses.replace(tiny_task, loss=broken), optax.sgd, {"learning_rate": 0.1})
