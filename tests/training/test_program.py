"""What is trained: mistakes in one's own code are said with their place, and a program has a name."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import optax
import pytest

import induced_metric
from induced_metric.errors import UserError
from induced_metric.training.program import TrialProgram

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
        TrialProgram(tiny_task, optimizer, {"learning_rate": 0.1})


def test_an_error_in_the_task_is_said_with_its_place(tiny_task):
    def broken(params, model_state, batch, keys):
        raise KeyError("a task's own")

    said = r"^task: test_program\.py, line \d+: KeyError: \"a task's own\" \(init is called with a key, loss "
    with pytest.raises(UserError, match=said):
        TrialProgram(dataclasses.replace(tiny_task, loss=broken), optax.sgd, {"learning_rate": 0.1})


def test_an_error_in_the_schedule_is_said_with_its_place(tiny_task):
    def broken(learning_rate, steps):
        return [learning_rate][steps]

    said = (
        r"^schedule: test_program\.py, line \d+: IndexError: .* \(it is called with learning_rate, steps and "
    )
    with pytest.raises(UserError, match=said):
        TrialProgram(tiny_task, optax.sgd, {"learning_rate": 0.1}, schedule=broken)

    def later(learning_rate, steps):
        return lambda count: {}[learning_rate]

    with pytest.raises(UserError, match=r"^schedule: test_program\.py, line \d+: "):
        TrialProgram(tiny_task, optax.sgd, {"learning_rate": 0.1}, schedule=later)


def test_a_python_if_is_said_with_its_place(tiny_task):
    def decided(learning_rate):
        return optax.sgd(learning_rate if learning_rate > 0 else 0.1)

    said = (
        r"^one of learning_rate decides a Python if or a shape: write jnp\.where .*"
        r"\(test_program\.py, line \d+: TracerBoolConversionError"
    )
    with pytest.raises(UserError, match=said):
        TrialProgram(tiny_task, decided, {"learning_rate": 0.1})


def test_an_error_of_no_line_of_a_task_is_raised_as_it_is(tiny_task):
    with pytest.raises(TypeError, match="Expected a callable value, got 0"):
        TrialProgram(dataclasses.replace(tiny_task, loss=0), optax.sgd, {"learning_rate": 0.1})


def with_extra(add):
    """SGD, and something that is added to every update, in a compiled function of its own."""

    def optimizer(learning_rate):
        def update(grads, state, params=None):
            return jax.tree.map(lambda g: -learning_rate * jax.jit(add)(g), grads), state

        return optax.GradientTransformation(lambda params: (), update)

    return optimizer


def digest(task, optimizer, **changed):
    return TrialProgram(task, optimizer, {"learning_rate": 0.1, **changed}).digest


def test_a_program_is_named_after_what_it_computes(tiny_task):
    def with_table(*table):
        return with_extra(lambda g: g + jnp.asarray(table).sum())

    def with_key(seed):
        key = jax.random.key(seed)
        return with_extra(lambda g: g + jax.random.normal(key))

    def said_otherwise(gradient):
        """With other names, and in two steps."""
        total = jnp.asarray((1.0, 2.0)).sum()
        return gradient + total

    first = digest(tiny_task, with_table(1.0, 2.0))
    assert first == digest(tiny_task, with_table(1.0, 2.0))
    assert first == digest(tiny_task, with_extra(said_otherwise), learning_rate=0.5)
    # The printed program only names a table.
    assert first != digest(tiny_task, with_table(1.0, 3.0))
    assert first != digest(tiny_task, with_extra(lambda g: g - jnp.asarray((1.0, 2.0)).sum()))
    assert digest(tiny_task, with_key(1)) != digest(tiny_task, with_key(2)) == digest(tiny_task, with_key(2))
    assert first != digest(dataclasses.replace(tiny_task, batch_size=8), with_table(1.0, 2.0))


def with_batches_of(task, **changed):
    """A task whose batch size is searched, and what else differs in its variants."""
    return {
        "hyperparameters": {"learning_rate": 0.1, "task.batch_size": 8},
        "static": ["task.batch_size"],
        "task_of": lambda batch_size: dataclasses.replace(task, batch_size=batch_size, **changed),
    }


@pytest.mark.parametrize("changed", [{"epochs": 1}, {"objective": "train/loss"}, {"direction": "maximize"}])
def test_a_searched_setting_may_not_change_what_a_trial_is_judged_by(tiny_task, changed):
    assert getattr(tiny_task, next(iter(changed))) not in changed.values()
    with pytest.raises(UserError, match="must leave the task's objective, direction and epochs as they are"):
        TrialProgram(tiny_task, optax.sgd, **with_batches_of(tiny_task, **changed))


def test_variants_of_a_task_hold_equal_data_once(tiny_task):
    copied, other = (jax.tree.map(lambda array, more=more: array + more, tiny_task.splits) for more in (0, 1))
    for splits, shared in ((copied, True), (other, False)):
        program = TrialProgram(tiny_task, optax.sgd, **with_batches_of(tiny_task, splits=splits))
        with program.lanes() as lanes:
            (held,) = lanes._variants[(8,)].shared
        same = [a is b for a, b in zip(jax.tree.leaves(held), jax.tree.leaves(tiny_task.splits), strict=True)]
        assert same == [shared] * len(same)


@pytest.mark.slow
def test_a_program_has_the_same_name_in_another_process_and_in_a_terminal(tiny_task):
    code = """if True:
        import configured, induced_metric
        from induced_metric.training.program import TrialProgram
        task = configured.task(
            "regression", epochs=6, batch_size=16, train_examples=70, test_examples=40, widths=(4, 1)
        )
        numbers = {"learning_rate": 0.1, "momentum": 0.9, "xi": 0.1, "beta": 0.8, "weight_decay": 0.0}
        print(TrialProgram(task, induced_metric.sgd_metric, numbers).digest)
    """
    numbers = {"learning_rate": 0.1, "momentum": 0.9, "xi": 0.1, "beta": 0.8, "weight_decay": 0.0}
    here = TrialProgram(tiny_task, induced_metric.sgd_metric, numbers).digest
    helpers = Path(__file__).parents[1] / "helpers"
    read, terminal = os.openpty()
    try:
        subprocess.run(
            [sys.executable, "-c", code], cwd=helpers, stdout=terminal, check=True,
            env={**os.environ, "PYTHONHASHSEED": "7"},
        )  # fmt: skip
        assert os.read(read, 1000).decode().split() == [here]
    finally:
        os.close(read)
        os.close(terminal)
