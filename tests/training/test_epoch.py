"""One trial: the core against a plain loop, and its randomness."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import induced_metric
from induced_metric.errors import UserError
from induced_metric.models.gpt import GPT
from induced_metric.tasks.base import Task
from induced_metric.training.epoch import evaluate, init_trial, train_epoch

HYPERPARAMETERS = {"learning_rate": 0.05, "momentum": 0.9, "xi": 0.1, "beta": 0.8, "weight_decay": 1e-3}


def train(task, optimizer, hyperparameters, seed, epochs):
    state = init_trial(task, optimizer, hyperparameters, jnp.uint32(seed))
    metrics = []
    for _ in range(epochs):
        state, new = train_epoch(task, optimizer, state, hyperparameters, task.splits)
        metrics.append(new)
    return state, metrics


@pytest.mark.parametrize("name", ["sgd_log_metric", "sgd_metric"])
def test_an_epoch_is_a_plain_optax_loop(tiny_task, name):
    optimizer = getattr(induced_metric, name)
    state, metrics = train(tiny_task, optimizer, HYPERPARAMETERS, 5, 2)

    start = init_trial(tiny_task, optimizer, HYPERPARAMETERS, jnp.uint32(5))
    params, order = start.params, np.asarray(start.order)
    transformation = optimizer(**HYPERPARAMETERS)
    opt_state = transformation.init(params)
    x, y = tiny_task.splits["train"]
    for _ in range(2):
        losses = []
        for step in range(4):  # 70 examples: four batches of 16, the remainder dropped
            batch = order[16 * step : 16 * (step + 1)]
            loss, grads = jax.value_and_grad(lambda p, b=batch: tiny_task.loss(p, {}, (x[b], y[b]), None)[0])(
                params
            )
            updates, opt_state = transformation.update(grads, opt_state, params, value=loss)
            params = optax.apply_updates(params, updates)
            losses.append(float(loss))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), state.params, params)
    assert float(metrics[-1]["train/minibatch_loss"]) == pytest.approx(np.mean(losses), rel=1e-4)
    assert float(metrics[-1]["test/loss"]) == pytest.approx(
        float(tiny_task.metrics(params, {}, tiny_task.splits["test"])["loss"]), rel=1e-4
    )


def test_metrics_are_named_after_their_split(tiny_task):
    _, (metrics,) = train(tiny_task, induced_metric.sgd_metric, HYPERPARAMETERS, 0, 1)
    assert sorted(metrics) == ["test/loss", "train/loss", "train/minibatch_loss"]


def test_evaluation_weighs_a_smaller_last_batch_by_its_size(tiny_task):
    params, _ = tiny_task.init(jax.random.key(0))
    whole = tiny_task.metrics(params, {}, tiny_task.splits["test"])["loss"]
    for batch_size in (1, 7, 40, 64):
        task = dataclasses.replace(tiny_task, batch_size=batch_size)
        batched = evaluate(task, params, {}, task.splits["test"])["loss"]
        assert float(batched) == pytest.approx(float(whole), rel=1e-5)


def test_order_is_drawn_once_or_every_epoch(tiny_task):
    once = init_trial(tiny_task, induced_metric.sgd_metric, HYPERPARAMETERS, jnp.uint32(1))
    assert sorted(np.asarray(once.order)) == list(range(70))
    every = dataclasses.replace(tiny_task, shuffle="every_epoch")
    state = init_trial(every, induced_metric.sgd_metric, HYPERPARAMETERS, jnp.uint32(1))
    assert state.order.shape == (0,)
    # A frozen model shows the order alone: with a learning rate of 0 the minibatch losses still change.
    frozen = {**HYPERPARAMETERS, "learning_rate": 0.0}
    _, fixed = train(tiny_task, induced_metric.sgd_metric, frozen, 1, 3)
    _, drawn = train(every, induced_metric.sgd_metric, frozen, 1, 3)
    assert len({float(m["train/minibatch_loss"]) for m in fixed}) == 1
    assert len({float(m["train/minibatch_loss"]) for m in drawn}) == 3


def test_seed_decides_parameters_and_order(tiny_task):
    def start(seed):
        return init_trial(tiny_task, induced_metric.sgd_metric, HYPERPARAMETERS, jnp.uint32(seed))

    jax.tree.map(np.testing.assert_array_equal, start(2), start(2))
    assert not np.array_equal(start(2).order, start(3).order)
    assert not np.array_equal(start(2).params["Dense_0"]["kernel"], start(3).params["Dense_0"]["kernel"])
    assert int(start(2**32 - 1).seed) == 2**32 - 1


@pytest.mark.slow
@pytest.mark.parametrize("shuffle", ["every_epoch", "once"])
def test_no_two_draws_of_a_trial_share_a_key(monkeypatch, shuffle):
    """Nor does a key that others are made of draw anything itself: among its numbers are theirs."""
    model = GPT(vocab_size=5, context=4, layers=2, heads=1, embed_dim=4, dropout=0.5)
    sequences = np.arange(60).reshape(12, 5) % 5

    def loss(params, model_state, batch, keys):
        logits = model.apply({"params": params}, batch[:, :-1], keys)
        return optax.losses.softmax_cross_entropy_with_integer_labels(logits, batch[:, 1:]).mean(), (
            model_state,
            {},
        )

    uses = {"parameters": [], "fold_in": [], "split": [], "bits": [], "permutation": []}

    def init(key):
        uses["parameters"].append(tuple(jax.random.key_data(key).tolist()))
        return model.init(key, sequences[:1, :-1])["params"], {}

    task = Task(
        name="gpt",
        splits={"train": sequences, "test": sequences[:4]},
        init=init,
        loss=loss,
        metrics=lambda params, _, batch: {"loss": loss(params, {}, batch, None)[0]},
        eval_splits=("train", "test"),
        sampled=2,
        objective="train/loss",
        direction="minimize",
        epochs=2,
        batch_size=4,
        micro_batch=None,
        shuffle=shuffle,
        precision="float32",
    )

    def recorded(name, function):
        def record(key, *args, **options):
            jax.debug.callback(lambda data: uses[name].append(tuple(data.tolist())), jax.random.key_data(key))
            return function(key, *args, **options)

        return record

    monkeypatch.setattr(jax.random, "permutation", recorded("permutation", jax.random.permutation))
    state = init_trial(task, induced_metric.sgd_metric, HYPERPARAMETERS, jnp.uint32(1))
    for name in ("fold_in", "split", "bits"):
        monkeypatch.setattr(jax.random, name, recorded(name, getattr(jax.random, name)))
    epoch = jax.jit(
        lambda state: train_epoch(task, induced_metric.sgd_metric, state, HYPERPARAMETERS, task.splits)[0],
        compiler_options={"xla_backend_optimization_level": 0},  # run twice: compiling is what takes time
    )
    for _ in range(2):
        state = epoch(state)
    jax.effects_barrier()

    draws = uses["bits"] + uses["permutation"]
    # Two epochs of three steps: 2 masks of the attention, and of each of 4 examples one for the embeddings
    # and two a layer; orders; the examples to be evaluated, the same in both epochs.
    orders = 2 if shuffle == "every_epoch" else 1
    assert len(draws) == 2 * 3 * (2 + 4 * 5) + orders + 2
    assert len(set(draws)) == len(draws) - 1
    assert len(set(uses["parameters"])) == 1
    assert not set(draws) & set(uses["parameters"] + uses["fold_in"] + uses["split"])


@pytest.mark.parametrize(
    ("update", "said"),
    [
        (
            lambda updates, state: (jax.tree.map(jnp.sum, updates), state),
            r"updates .* expected \(.*\) for .*, got \(\)",
        ),
        (lambda updates, state: (jax.tree.leaves(updates), state), "updates .* expected the structure"),
        (lambda updates, state: (updates, state + 0.5), r"state .* expected int32\[\], got float32\[\]"),
    ],
    ids=["shape", "structure", "state"],
)
def test_an_update_of_another_shape_is_not_broadcast(tiny_task, update, said):
    def optimizer():
        return optax.GradientTransformation(
            lambda params: jnp.zeros([], jnp.int32),
            lambda updates, state, params=None: update(updates, state),
        )

    with pytest.raises(UserError, match=said):
        train(tiny_task, optimizer, {}, 0, 1)
