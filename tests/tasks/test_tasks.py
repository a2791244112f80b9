"""What holds of every data task: it learns, its randomness is its own, its bits do not depend on the lane."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import induced_metric
from induced_metric.lanes import Assignment
from induced_metric.lanes.placement import Placement
from induced_metric.models.dropout import StepKeys
from induced_metric.training.epoch import evaluate, gradients, init_trial, train_epoch
from induced_metric.training.program import TrialProgram

pytestmark = pytest.mark.slow

NAMES = ["mnist", "cifar10", "shakespeare"]
ADAM = {"learning_rate": 0.01, "beta1": 0.9, "beta2": 0.999}


@pytest.fixture(params=NAMES)
def task(request, build):
    return build(request.param)


def test_a_trial_learns_and_is_the_same_bits_in_any_lane(task):
    trials = [Assignment(k, {**ADAM, "learning_rate": 0.03 * (1 + k % 2)}, k, task.epochs) for k in range(5)]
    with TrialProgram(task, induced_metric.adam, ADAM).lanes(Placement(steps_per_dispatch=2)) as lanes:
        together = lanes.run_all(trials)
        for trial in reversed(trials):
            (alone,) = lanes.run_all([trial]).values()
            for name in alone.keys() - {"seconds"}:
                values = alone[name]
                np.testing.assert_array_equal(values, together[trial.trial][name], err_msg=name)
    for curve in together.values():
        loss = curve["train/minibatch_loss"]
        assert loss[-1] < 0.95 * loss[0]
    assert len({float(curve["train/minibatch_loss"][-1]) for curve in together.values()}) == 5


def test_the_objective_is_measured_and_splits_stay_small_integers(task):
    state = jax.eval_shape(lambda: init_trial(task, induced_metric.adam, ADAM, jnp.uint32(0)))
    _, metrics = jax.eval_shape(
        lambda state, data: train_epoch(task, induced_metric.adam, state, ADAM, data), state, task.splits
    )
    assert task.objective in metrics
    assert {leaf.dtype for leaf in jax.tree.leaves(task.splits)} == {np.dtype(np.uint8)}


@pytest.mark.parametrize("name", ["mnist", "shakespeare"])
def test_micro_batches_have_the_gradients_of_the_batch(build, name):
    """In float64 the two differ by rounding alone; dropout masks included."""
    whole, *divided = (build(name, micro_batch=size, batch_size=16) for size in (None, 1, 8))
    with jax.enable_x64(True):
        params, model_state = whole.init(jax.random.key(0))
        params = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), params)
        keys = StepKeys.of(jax.random.key(1), 16)
        expected, *others = (
            jax.jit(gradients, static_argnums=0)(
                _Hashable(task), params, model_state, jnp.arange(16), keys, task.splits["train"]
            )
            for task in (whole, *divided)
        )
    assert expected[0].dtype == jnp.float64
    for actual in others:
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12), actual, expected)


class _Hashable:
    """A task as a static argument."""

    def __init__(self, task):
        self._task = task

    def __getattr__(self, name):
        return getattr(self._task, name)


def test_micro_batches_train_like_the_batch(build, start):
    whole, divided = (start(build("mnist", micro_batch=size), learning_rate=0.1) for size in (None, 8))
    for _ in range(3):
        expected, actual = whole.epoch(), divided.epoch()
    assert actual == pytest.approx(expected, rel=1e-4)


def test_batch_norm_refuses_micro_batches(build):
    with pytest.raises(
        ValueError, match=r"micro_batch must be null: BatchNorm .* whole batch of 16, and over 8"
    ):
        build("cifar10", micro_batch=8)
    assert build("cifar10", micro_batch=16).examples_at_once == 16
    assert build("cifar10", micro_batch="auto").examples_at_once == 16
    with pytest.raises(ValueError, match="micro_batch must be null, auto, or divide the batch of 16, got 5"):
        build("shakespeare", micro_batch=5)


def test_batch_norm_statistics_go_from_step_to_step_and_into_evaluation(build, start):
    trial = start(build("cifar10"))
    before = trial.state
    first = trial.epoch()
    jax.tree.map(np.testing.assert_array_equal, before.params, trial.state.params)
    means = [state.model_state["BatchNorm_0"]["mean"] for state in (before, trial.state)]
    assert not np.allclose(*means)
    expected = evaluate(trial.task, trial.state.params, trial.state.model_state, trial.task.splits["test"])
    assert first["test/loss"] == pytest.approx(float(expected["loss"]), rel=1e-5)
    assert trial.epoch()["test/loss"] != first["test/loss"]


def test_dropout_differs_from_epoch_to_epoch(build, start):
    trial = start(build("shakespeare", dropout=0.5))
    before = trial.state
    first, again, second = trial.epoch(), trial.epoch(before), trial.epoch()
    assert first == again
    assert first["train/minibatch_loss"] != second["train/minibatch_loss"]
    assert first["validation/loss"] == second["validation/loss"]
