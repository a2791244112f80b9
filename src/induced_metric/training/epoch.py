"""One epoch of one trial, as pure functions: the only training loop of the repository.

All randomness is derived from (seed, purpose, epoch), never from a lane or the order of execution, so that a
trial has the same curve wherever it runs.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import optax

from induced_metric.models.dropout import StepKeys
from induced_metric.models.sharding import data_axes
from induced_metric.tasks.base import Batch, ModelState, Params, Task
from induced_metric.training.mistakes import check_update, of_the_optimizer
from induced_metric.training.shuffling import bijection

Optimizer: TypeAlias = Callable[..., optax.GradientTransformation]
Hyperparameters: TypeAlias = Mapping[str, Any]  # scalars, traced
Data: TypeAlias = Mapping[str, Batch]  # the task's splits, on the device

# Purposes of randomness.
_PARAMETERS, _ORDER, _DROPOUT, _EVALUATION = range(4)


class TrialState(NamedTuple):
    """Everything that a trial carries from epoch to epoch."""

    params: Params
    model_state: ModelState  # {} or BatchNorm statistics
    opt_state: optax.OptState
    epoch: jax.Array  # shape=(), int32, number of epochs done
    seed: jax.Array  # shape=(), uint32
    order: jax.Array  # shape=(training examples,), int32; (0,) if every epoch draws a new permutation


def _key(seed: jax.Array, purpose: int, epoch: jax.Array | int = 0) -> jax.Array:
    return jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), purpose), epoch)


def init_trial(
    task: Task, optimizer: Optimizer, hyperparameters: Hyperparameters, seed: jax.Array
) -> TrialState:
    """The state of a trial before its first epoch."""
    with jax.default_matmul_precision(task.matmul_precision):
        return _init_trial(task, optimizer, hyperparameters, seed)


def _init_trial(
    task: Task, optimizer: Optimizer, hyperparameters: Hyperparameters, seed: jax.Array
) -> TrialState:
    params, model_state = task.init(_key(seed, _PARAMETERS))
    with of_the_optimizer():
        opt_state = optimizer(**hyperparameters).init(params)
    examples = task.num_examples("train")
    order = (
        jnp.zeros(0, jnp.int32)
        if task.shuffle == "every_epoch"
        else jax.random.permutation(_key(seed, _ORDER), examples)
    )
    return TrialState(
        params=params,
        model_state=model_state,
        opt_state=opt_state,
        epoch=jnp.zeros([], jnp.int32),
        seed=jnp.asarray(seed, jnp.uint32),
        order=order,
    )


def train_epoch(
    task: Task, optimizer: Optimizer, state: TrialState, hyperparameters: Hyperparameters, data: Data
) -> tuple[TrialState, dict[str, jax.Array]]:
    """Trains for one epoch, then evaluates, in the precision of the task.

    Returns:
        The new state and the metrics of the epoch: ``train/minibatch_<metric>``, the mean over its batches,
        for the loss and others, and ``<split>/<metric>`` after the epoch for each evaluated split.
    """
    with jax.default_matmul_precision(task.matmul_precision):
        return _train_epoch(task, optimizer, state, hyperparameters, data)


def _train_epoch(
    task: Task, optimizer: Optimizer, state: TrialState, hyperparameters: Hyperparameters, data: Data
) -> tuple[TrialState, dict[str, jax.Array]]:
    transformation = optax.with_extra_args_support(optimizer(**hyperparameters))
    steps = task.num_examples("train") // task.batch_size
    order = _order(task, state)
    dropout = _key(state.seed, _DROPOUT, state.epoch)

    def step(carry: tuple[Params, ModelState, Any], inputs: tuple[jax.Array, jax.Array]) -> Any:
        params, model_state, opt_state = carry
        indices, number = inputs
        keys = StepKeys.of(jax.random.fold_in(dropout, number), task.batch_size)
        loss, model_state, metrics, grads = gradients(task, params, model_state, indices, keys, data["train"])
        with of_the_optimizer():
            updates, new_opt_state = transformation.update(grads, opt_state, params, value=loss)
        check_update(params, updates, opt_state, new_opt_state)
        return (optax.apply_updates(params, updates), model_state, new_opt_state), {"loss": loss, **metrics}

    batches = order[: steps * task.batch_size].reshape(steps, task.batch_size)
    (params, model_state, opt_state), minibatch = jax.lax.scan(
        step, (state.params, state.model_state, state.opt_state), (batches, jnp.arange(steps))
    )
    metrics = {f"train/minibatch_{name}": jnp.mean(values) for name, values in minibatch.items()}
    for split in task.eval_splits:
        examples = data[split]
        sampled = task.num_sampled(split)
        if sampled is not None:
            drawn = jax.random.permutation(_key(state.seed, _EVALUATION), task.num_examples(split))
            examples = _take(examples, drawn[:sampled])
        for name, value in evaluate(task, params, model_state, examples).items():
            metrics[f"{split}/{name}"] = value
    return (
        TrialState(params, model_state, opt_state, state.epoch + 1, state.seed, state.order),
        metrics,
    )


def _order(task: Task, state: TrialState) -> jax.Array:
    """The order in which an epoch takes the training examples."""
    if task.shuffle == "once":
        return state.order
    key, examples = _key(state.seed, _ORDER, state.epoch), task.num_examples("train")
    if task.shuffle == "every_epoch":
        return jax.random.permutation(key, examples)  # by sorting, longer than an epoch of some models
    return state.order[bijection(key, examples)]


def gradients(
    task: Task,
    params: Params,
    model_state: ModelState,
    indices: jax.Array,
    keys: StepKeys,
    train: Batch,
) -> tuple[jax.Array, ModelState, dict[str, jax.Array], Params]:
    """Loss, model state, metrics and gradients of one batch, computed ``task.examples_at_once`` at a time.

    The parts have equal sizes, so the means of their losses and gradients are those of the batch.
    """
    gradient = jax.value_and_grad(task.loss, has_aux=True)
    parts = task.batch_size // task.examples_at_once

    def part(params: Params, model_state: ModelState, indices: jax.Array, examples: jax.Array) -> Any:
        batch = shard_batch(_take(train, indices))
        (loss, (model_state, metrics)), grads = gradient(
            params, model_state, batch, StepKeys(keys.shared, examples)
        )
        return (loss, metrics, grads), model_state

    if parts == 1:
        (loss, metrics, grads), model_state = part(params, model_state, indices, keys.examples)
        return loss, model_state, metrics, grads

    divided = jax.tree.map(lambda array: array.reshape(parts, -1), (indices, keys.examples))

    def accumulate(carry: Any, inputs: Any) -> Any:
        sums, model_state = carry
        new, model_state = part(params, model_state, *inputs)
        return (jax.tree.map(jnp.add, sums, new), model_state), None

    first = jax.tree.map(lambda array: array[0], divided)
    shapes, _ = jax.eval_shape(part, params, model_state, *first)
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    (sums, model_state), _ = jax.lax.scan(accumulate, (zeros, model_state), divided)
    loss, metrics, grads = jax.tree.map(lambda total: total / parts, sums)
    return loss, model_state, metrics, grads


def _take(split: Batch, indices: jax.Array) -> Batch:
    return jax.tree.map(lambda array: jnp.asarray(array)[indices], split)


def shard_batch(batch: Batch) -> Batch:
    """Distributes the examples of a batch over the devices of the current mesh, if any: data parallelism.

    The results are those of one device except for rounding; BatchNorm's statistics are still those of the
    whole batch. A batch that the mesh does not divide stays on all devices.
    """
    axes = data_axes(jax.tree.leaves(batch)[0].shape[0])
    return jax.lax.with_sharding_constraint(batch, jax.P(axes)) if axes else batch


def evaluate(task: Task, params: Params, model_state: ModelState, split: Batch) -> dict[str, jax.Array]:
    """The task's metrics over all given examples, in batches; a smaller last one is weighted by its size."""
    examples = jax.tree.leaves(split)[0].shape[0]
    size = min(task.examples_at_once, examples)
    batches, remainder = divmod(examples, size)

    def total(batch: Batch, count: int) -> dict[str, jax.Array]:
        return jax.tree.map(lambda mean: mean * count, task.metrics(params, model_state, shard_batch(batch)))

    whole = jax.tree.map(
        lambda array: array[: batches * size].reshape(batches, size, *array.shape[1:]), split
    )
    sums = jax.tree.map(
        jnp.sum,
        jax.lax.map(lambda batch: total(batch, size), whole),
    )
    if remainder:
        rest = total(jax.tree.map(lambda array: array[batches * size :], split), remainder)
        sums = jax.tree.map(jnp.add, sums, rest)
    return task.finish(jax.tree.map(lambda value: value / examples, sums))
